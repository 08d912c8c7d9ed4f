"""A label map that belongs to a scan: on the same grid, of whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes.volume import Volume

_MM = 1e-3


def labels_of(
    labels: Volume, volume: Volume, where: str | Path | None = None
) -> NDArray[np.integer]:
    """The labels of a scan's voxels.

    Parameters
    ----------
    labels
        The label map, as read.
    volume
        The scan.
    where
        What an error calls the label map; its name if left out.

    Returns
    -------
    numpy.ndarray
        (S, A, R) integers; the map's own voxels where they are whole numbers as stored.

    Raises
    ------
    MrisslError
        If the grids differ, or a label is no whole number.
    """
    where = where or labels.name
    if labels.shape != volume.shape or not np.allclose(labels.affine, volume.affine, atol=_MM):
        raise MrisslError("labels on another grid than the scan", where=where)
    if labels.data.dtype.kind in "ui" and (labels.slope, labels.intercept) == (1.0, 0.0):
        whole: NDArray[np.integer] = labels.data
        return whole
    values = labels.slope * labels.data.astype(np.float64) + labels.intercept
    rounded = np.rint(values)
    if not (np.isfinite(values).all() and (rounded == values).all()):
        raise MrisslError("labels that are no whole numbers", where=where)
    return rounded.astype(np.int32)
