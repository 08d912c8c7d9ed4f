"""Overlap of label maps, counted exactly in integers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError


def dice(
    predicted: NDArray[Any], truth: NDArray[Any], labels: Iterable[int] | None = None
) -> dict[int, float]:
    """Dice coefficient per label: twice the common voxels over the sum of both counts.

    Parameters
    ----------
    predicted, truth
        Label maps of one shape, any integer or boolean dtype.
    labels
        Which labels; by default every label but 0 in either map.

    Returns
    -------
    dict
        Label -> Dice. Both empty: 1. One empty: 0.

    Raises
    ------
    MrisslError
        If the shapes differ or the arrays are not integers.
    """
    if predicted.shape != truth.shape:
        raise MrisslError(
            f"label maps of shapes {predicted.shape} and {truth.shape}", expected="one shape"
        )
    for array in (predicted, truth):
        if array.dtype.kind not in "bui":
            raise MrisslError(f"label map of type {array.dtype}", expected="integers")
    if labels is None:
        labels = sorted(({*_values(predicted)} | {*_values(truth)}) - {0})
    result = {}
    for label in labels:
        inside, wanted = predicted == label, truth == label
        total = int(np.count_nonzero(inside)) + int(np.count_nonzero(wanted))
        common = int(np.count_nonzero(inside & wanted))
        result[int(label)] = 2 * common / total if total else 1.0
    return result


def _values(array: NDArray[Any]) -> list[int]:
    return [int(v) for v in np.unique(array)]
