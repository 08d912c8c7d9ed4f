"""Label maps that belong to scans: whole numbers, on one grid in world."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes.volume import Volume

_APART = 0.05
"""Of a voxel's shortest side: what rounding in headers leaves between the same grids."""


def labels_of(
    labels: Volume, volume: Volume, where: str | Path | None = None
) -> NDArray[np.integer]:
    """The labels (S, A, R) of a scan's voxels; the map's own where they are whole as stored.

    Parameters
    ----------
    labels, volume
        The label map and the scan, as read.
    where
        What an error calls the label map; its name if left out.

    Raises
    ------
    MrisslError
        If the grids differ, or a label is no whole number.
    """
    where = where or labels.name
    check_grid(labels, volume, where, "its scan")
    return whole_numbers(labels, where)


def whole_numbers(labels: Volume, where: str | Path) -> NDArray[np.integer]:
    """The labels (S, A, R) of a label map as integers.

    Parameters
    ----------
    labels
        As read.
    where
        What an error calls the label map.

    Raises
    ------
    MrisslError
        If they are no whole numbers, or there are several frames.
    """
    check_one_frame(labels, where)
    if labels.data.dtype.kind in "ui" and (labels.slope, labels.intercept) == (1.0, 0.0):
        whole: NDArray[np.integer] = labels.data
        return whole
    values = labels.slope * labels.data.astype(np.float64) + labels.intercept
    rounded = np.rint(values)
    if not (np.isfinite(values).all() and (rounded == values).all()):
        raise MrisslError("holds labels that are no whole numbers", where=where)
    return rounded.astype(np.int32)


class _Framed(Protocol):
    @property
    def frames(self) -> int: ...


def check_one_frame(labels: _Framed, where: str | Path) -> None:
    """Refuse a file with several frames, of which one alone would be read as the label map.

    Raises
    ------
    MrisslError
        If there are several.
    """
    if labels.frames > 1:
        raise MrisslError(
            f"has {labels.frames} frames",
            where=where,
            expected="one, whose numbers are the labels",
            remedy="join probabilities, or one map for each label, to a single map first",
        )


def check_grid(labels: Volume, other: Volume, where: str | Path, title: str) -> None:
    """Let label maps be compared only where they are: nothing is resampled unasked.

    Grids are compared in world by their corners, so in whatever order files store their axes.

    Parameters
    ----------
    labels, other
        As read.
    where
        What an error calls the label map.
    title
        What the other is, e.g. ``"its scan"``.

    Raises
    ------
    MrisslError
        If they are on different grids.
    """
    if labels.shape != other.shape:
        raise MrisslError(
            "is on another grid than " + title,
            where=where,
            expected=f"{_times(other.shape)} voxels, not {_times(labels.shape)}",
        )
    ends = [(-0.5, side - 0.5) for side in labels.shape]
    corners = np.array([(*corner, 1.0) for corner in itertools.product(*ends)])
    apart = np.abs(corners @ (labels.affine - other.affine).T).max()
    if not apart <= _APART * float(other.spacing.min()):
        raise MrisslError(
            "is on another grid than " + title,
            where=where,
            expected=f"the same place, not {apart:.3g} mm away",
            remedy="resample it first",
        )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
