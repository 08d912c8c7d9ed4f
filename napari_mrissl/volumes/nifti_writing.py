"""A NIfTI file from an array and a grid; the header is made anew, never copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.geometry.affines import spacing
from napari_mrissl.geometry.rotations import quaternion_from_matrix
from napari_mrissl.volumes.nifti_header import DATATYPES, NIFTI1, NIFTI2
from napari_mrissl.volumes.volume import NiftiForms, StoredGrid

_CODES = {np.dtype(name): code for code, name in DATATYPES.items()}
_UNIT_CODES = {"unknown": 0, "m": 1, "mm": 2, "um": 3}
_INTENT_VECTOR, _INTENT_LABEL = 1007, 1002
_SCANNER = 1
_NO_EXTENSIONS = b"\0\0\0\0"


def encode(
    stored: NDArray[Any], grid: StoredGrid, is_labels: bool, _where: Path
) -> list[bytes | memoryview]:
    """Header and voxels of an uncompressed NIfTI file, little endian.

    NIfTI-1, unless the scan came as NIfTI-2 or has more than 32767 voxels on a side.
    """
    intent = _INTENT_LABEL if is_labels else 0
    return _encoded(stored, grid, intent, [3, *grid.shape, 1, 1, 1, 1])


def encode_vectors(stored: NDArray[Any], grid: StoredGrid) -> list[bytes | memoryview]:
    """`encode` for a vector (X, Y, Z, 3) in every voxel: the fifth dimension, vector intent."""
    return _encoded(stored, grid, _INTENT_VECTOR, [5, *grid.shape, 1, stored.shape[-1], 1, 1])


def _encoded(
    stored: NDArray[Any], grid: StoredGrid, intent: int, dimensions: list[int]
) -> list[bytes | memoryview]:
    forms = grid.forms or _forms_of(grid.affine)
    large = max(grid.shape) > np.iinfo(np.int16).max
    version = 2 if large else forms.version
    header = np.zeros((), NIFTI2 if version == 2 else NIFTI1)
    size = header.dtype.itemsize
    header["sizeof_hdr"] = size
    header["magic"] = b"n+2\0\r\n\x1a\n" if version == 2 else b"n+1"
    header["dim"] = dimensions
    header["datatype"] = _CODES[stored.dtype.newbyteorder("=")]
    header["bitpix"] = 8 * stored.dtype.itemsize
    header["vox_offset"] = size + len(_NO_EXTENSIONS)
    header["scl_slope"] = 1
    header["xyzt_units"] = _UNIT_CODES[forms.space_unit]
    header["descrip"] = f"napari-mrissl {__version__}".encode()[:79]
    header["intent_code"] = intent
    _set_forms(header, forms, grid)
    little = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    return [header.tobytes() + _NO_EXTENSIONS, little.tobytes(order="F")]


def encode_gzip(
    stored: NDArray[Any], grid: StoredGrid, is_labels: bool, where: Path
) -> list[bytes | memoryview]:
    """`encode`, as one gzip member without time stamp or name: same voxels, same bytes."""
    return gzip_parts(encode(stored, grid, is_labels, where))


def gzip_parts(parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """One gzip member that holds the parts, without time stamp or name."""
    compressor = isal_zlib.compressobj(level=2, wbits=31)
    return [*(compressor.compress(part) for part in parts), compressor.flush()]


def _forms_of(affine: NDArray[np.float64]) -> NiftiForms:
    """Forms for a scan that did not come as NIfTI: both, if a quaternion can say it."""
    unit = affine[:3, :3] / spacing(affine)
    rigid = bool(np.allclose(unit.T @ unit, np.eye(3), atol=1e-5))
    return NiftiForms(
        affine if rigid else None, _SCANNER if rigid else 0, affine, _SCANNER, "mm", 1
    )


def _set_forms(header: Any, forms: NiftiForms, grid: StoredGrid) -> None:
    pixdim = np.ones(8)
    # Without a qform, pixdim is all there is besides the sform, in the file's unit.
    sizes = forms.sform if forms.sform is not None else forms.qform
    unit = {"m": 1000.0, "um": 0.001}.get(forms.space_unit, 1.0)
    pixdim[1:4] = spacing(sizes) if sizes is not None else grid.spacing / unit
    if forms.qform is not None:
        zooms = spacing(forms.qform)
        rotation = forms.qform[:3, :3] / zooms
        if np.linalg.det(rotation) < 0:
            rotation[:, 2] *= -1
            pixdim[0] = -1
        pixdim[1:4] = zooms
        header["quatern"] = quaternion_from_matrix(rotation)[1:]
        header["qoffset"] = forms.qform[:3, 3]
    if forms.sform is not None:
        header["srow"] = forms.sform[:3]
    header["pixdim"] = pixdim
    header["qform_code"] = forms.qform_code
    header["sform_code"] = forms.sform_code
