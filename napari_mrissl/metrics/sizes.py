"""Volumes of labels in ml, and how they differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError


@dataclass(frozen=True)
class SizeScore:
    """How large a label is, truly and as predicted.

    Attributes
    ----------
    truth_ml, predicted_ml
        Voxels times the volume of one.
    """

    truth_ml: float
    predicted_ml: float

    @property
    def difference_ml(self) -> float:
        """Predicted less true."""
        return self.predicted_ml - self.truth_ml

    @property
    def difference_percent(self) -> float | None:
        """Of the true volume; None where that is 0."""
        return 100 * self.difference_ml / self.truth_ml if self.truth_ml else None


def size_scores(
    predicted: NDArray[Any], truth: NDArray[Any], voxel_mm3: float, labels: Iterable[int]
) -> dict[int, SizeScore]:
    """The volumes of each label in two label maps of one shape.

    Parameters
    ----------
    predicted, truth
        Label maps, any integer or boolean dtype.
    voxel_mm3
        Volume of a voxel.
    labels
        Which labels.

    Raises
    ------
    MrisslError
        If the volume of a voxel makes no sense.
    """
    if not (np.isfinite(voxel_mm3) and voxel_mm3 > 0):
        raise MrisslError(f"voxels of {voxel_mm3} mm³", expected="a positive volume")
    return {
        int(label): SizeScore(
            int(np.count_nonzero(truth == label)) * voxel_mm3 / 1000,
            int(np.count_nonzero(predicted == label)) * voxel_mm3 / 1000,
        )
        for label in labels
    }
