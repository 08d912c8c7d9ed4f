"""An MGH or MGZ file from an array and a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.geometry.affines import spacing
from napari_mrissl.volumes.errors import WriteError
from napari_mrissl.volumes.mgh import DATA_START, MGH, TYPES
from napari_mrissl.volumes.nifti_writing import gzip_parts
from napari_mrissl.volumes.volume import StoredGrid

# uint16 (code 10) is recent and few programs know it: int16 or int32 hold it as well.
_WRITTEN = {np.dtype(name): code for code, name in TYPES.items() if code != 10}


def encode(
    stored: NDArray[Any], grid: StoredGrid, _is_labels: bool, where: Path
) -> list[bytes | memoryview]:
    """Header and voxels of an MGH file, in the smallest of its types that holds them.

    Raises
    ------
    WriteError
        If MGH has no type for the values.
    """
    dtype = _fitting(stored, where)
    zooms = spacing(grid.affine)
    header = np.zeros((), MGH)
    header["version"] = 1
    header["dims"] = [*grid.shape, 1]
    header["type"] = _WRITTEN[dtype]
    header["good_ras"] = 1
    header["delta"] = zooms
    header["cosines"] = (grid.affine[:3, :3] / zooms).T
    header["center"] = (grid.affine @ [*(np.array(grid.shape) / 2), 1])[:3]
    return [
        header.tobytes().ljust(DATA_START, b"\0"),
        stored.astype(dtype).tobytes(order="F"),
    ]


def encode_gzip(
    stored: NDArray[Any], grid: StoredGrid, is_labels: bool, where: Path
) -> list[bytes | memoryview]:
    """`encode`, compressed: MGZ."""
    return gzip_parts(encode(stored, grid, is_labels, where))


def _fitting(stored: NDArray[Any], where: Path) -> np.dtype[Any]:
    if stored.dtype.kind == "f":
        if stored.dtype.itemsize <= 4:
            return np.dtype(">f4")
    else:
        low, high = int(stored.min()), int(stored.max())
        for name in (">u1", ">i2", ">i4"):
            limits = np.iinfo(name)
            if limits.min <= low and high <= limits.max:
                return np.dtype(name)
    raise WriteError(
        f"values of type {stored.dtype}, which MGH cannot hold",
        where=where,
        expected="at most 32 bits",
        remedy="save as .nii.gz",
    )
