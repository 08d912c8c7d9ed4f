"""NRRD and MetaImage files from an array and a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.geometry.affines import lps_to_ras, spacing
from napari_mrissl.volumes.errors import WriteError
from napari_mrissl.volumes.metaimage import TYPES as META_TYPES
from napari_mrissl.volumes.nifti_writing import gzip_parts
from napari_mrissl.volumes.volume import StoredGrid

_META_NAMES = {np.dtype(code): name for name, code in META_TYPES.items()}
_NRRD_NAMES = {"f4": "float", "f8": "double"}


def encode_nrrd(
    stored: NDArray[Any], grid: StoredGrid, _is_labels: bool, _where: Path
) -> list[bytes | memoryview]:
    """Header and gzip-compressed voxels of a NRRD file, in LPS as ITK writes it."""
    affine = lps_to_ras(grid.affine)
    code = f"{stored.dtype.kind}{stored.dtype.itemsize}"
    name = _NRRD_NAMES.get(code) or stored.dtype.name
    directions = " ".join(f"({_numbers(affine[:3, k], ',')})" for k in range(3))
    lines = [
        "NRRD0004",
        f"type: {name}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, grid.shape))}",
        f"space directions: {directions}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: ({_numbers(affine[:3, 3], ',')})",
    ]
    return ["\n".join([*lines, "", ""]).encode(), *gzip_parts([_bytes(stored)])]


def encode_metaimage(
    stored: NDArray[Any], grid: StoredGrid, _is_labels: bool, where: Path
) -> list[bytes | memoryview]:
    """Header and raw voxels of a MetaImage file.

    Raises
    ------
    WriteError
        If the grid is sheared, which MetaImage's readers refuse.
    """
    affine = lps_to_ras(grid.affine)
    zooms = spacing(affine)
    unit = affine[:3, :3] / zooms
    if not np.allclose(unit.T @ unit, np.eye(3), atol=1e-4):
        raise WriteError(
            "the scan's grid is sheared",
            where=where,
            expected="perpendicular axes for MetaImage",
            remedy="save as .nii.gz",
        )
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        f"TransformMatrix = {_numbers(unit.T.ravel(), ' ')}",
        f"Offset = {_numbers(affine[:3, 3], ' ')}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_numbers(zooms, ' ')}",
        f"DimSize = {' '.join(map(str, grid.shape))}",
        f"ElementType = {_META_NAMES[stored.dtype.newbyteorder('=')]}",
        "ElementDataFile = LOCAL",
    ]
    return ["\n".join([*lines, ""]).encode(), _bytes(stored)]


def _numbers(values: NDArray[np.float64], separator: str) -> str:
    """Shortest decimals that read back as the same numbers."""
    return separator.join(repr(float(value)) for value in values)


def _bytes(stored: NDArray[Any]) -> bytes:
    return stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes(order="F")
