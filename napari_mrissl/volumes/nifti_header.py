"""The NIfTI-1 and NIfTI-2 headers as bytes, checked before anything is believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_mrissl.volumes.errors import DamagedHeader, UnknownFormat, UnsupportedVoxels
from napari_mrissl.volumes.streams import Source

NIFTI1 = np.dtype(
    [
        ("sizeof_hdr", "<i4"),
        ("unused_analyze", "S35"),
        ("dim_info", "u1"),
        ("dim", "<i2", (8,)),
        ("intent_p", "<f4", (3,)),
        ("intent_code", "<i2"),
        ("datatype", "<i2"),
        ("bitpix", "<i2"),
        ("slice_start", "<i2"),
        ("pixdim", "<f4", (8,)),
        ("vox_offset", "<f4"),
        ("scl_slope", "<f4"),
        ("scl_inter", "<f4"),
        ("slice_end", "<i2"),
        ("slice_code", "u1"),
        ("xyzt_units", "u1"),
        ("cal_max", "<f4"),
        ("cal_min", "<f4"),
        ("slice_duration", "<f4"),
        ("toffset", "<f4"),
        ("unused_gl", "<i4", (2,)),
        ("descrip", "S80"),
        ("aux_file", "S24"),
        ("qform_code", "<i2"),
        ("sform_code", "<i2"),
        ("quatern", "<f4", (3,)),
        ("qoffset", "<f4", (3,)),
        ("srow", "<f4", (3, 4)),
        ("intent_name", "S16"),
        ("magic", "S4"),
    ]
)
NIFTI2 = np.dtype(
    [
        ("sizeof_hdr", "<i4"),
        ("magic", "S8"),
        ("datatype", "<i2"),
        ("bitpix", "<i2"),
        ("dim", "<i8", (8,)),
        ("intent_p", "<f8", (3,)),
        ("pixdim", "<f8", (8,)),
        ("vox_offset", "<i8"),
        ("scl_slope", "<f8"),
        ("scl_inter", "<f8"),
        ("cal_max", "<f8"),
        ("cal_min", "<f8"),
        ("slice_duration", "<f8"),
        ("toffset", "<f8"),
        ("slice_start", "<i8"),
        ("slice_end", "<i8"),
        ("descrip", "S80"),
        ("aux_file", "S24"),
        ("qform_code", "<i4"),
        ("sform_code", "<i4"),
        ("quatern", "<f8", (3,)),
        ("qoffset", "<f8", (3,)),
        ("srow", "<f8", (3, 4)),
        ("slice_code", "<i4"),
        ("xyzt_units", "<i4"),
        ("intent_code", "<i4"),
        ("intent_name", "S16"),
        ("dim_info", "u1"),
        ("unused", "S15"),
    ]
)

DATATYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
"""NIfTI datatype codes we show, as numpy types."""

_UNSHOWN = {
    1: "single bits",
    32: "complex numbers",
    128: "RGB colours",
    1536: "128-bit floating point numbers",
    1792: "complex numbers",
    2048: "complex numbers",
    2304: "RGBA colours",
}
# Magic -> voxels in the same file.
_MAGIC1 = {b"n+1": True, b"ni1": False}
_MAGIC2 = {b"n+2\0\r\n\x1a\n": True, b"ni2\0\r\n\x1a\n": False}
_FLAG_BYTES = 4
_LARGEST_EXTENSION = 64 * 2**20
_MOST_EXTENSIONS = 10_000


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """A header whose layout fields are consistent; geometry is judged elsewhere.

    Attributes
    ----------
    fields
        One record of `NIFTI1` or `NIFTI2`, in the file's byte order.
    version
        1 or 2.
    dims
        Array dimensions, as many as ``dim[0]`` says.
    dtype
        Voxel type, byte order included.
    offset
        Bytes before the first voxel in the file that holds the voxels.
    single_file
        Whether header and voxels share one file.
    """

    fields: Any
    version: int
    dims: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    single_file: bool


def looks_like_nifti(start: bytes) -> bool:
    """Whether bytes begin with the header size of NIfTI, in either byte order."""
    return start[:4] in {
        size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big")
    }


def read_header(source: Source) -> NiftiHeader:
    """Parse and check the header at the beginning of a source.

    Raises
    ------
    UnknownFormat, DamagedHeader, UnsupportedVoxels
    """
    where = source.path
    start = source.head(NIFTI2.itemsize + _FLAG_BYTES)
    version, record = _version(start, where)
    size = record.itemsize
    if len(start) < size:
        raise DamagedHeader(
            f"{len(start)} bytes",
            where=where,
            field="header",
            expected=f"{size} bytes",
            remedy="copy or download the file again",
        )
    fields = np.frombuffer(start, record, 1)[0]
    magics = _MAGIC1 if version == 1 else _MAGIC2
    magic = bytes(fields["magic"])
    if magic not in magics:
        raise UnknownFormat(
            f"{magic!r}",
            where=where,
            field="magic",
            expected="a NIfTI file; Analyze 7.5 does not say where its voxels are",
            remedy="convert the scan to NIfTI",
        )
    single = magics[magic]
    dims = _dims(fields, where)
    dtype = _dtype(fields, where).newbyteorder(record["sizeof_hdr"].byteorder)
    offset = _offset(fields, size, single, where)
    if single:
        _check_extensions(source, start, size, offset)
    return NiftiHeader(fields, version, dims, dtype, offset, single)


def _version(start: bytes, where: Path) -> tuple[int, np.dtype[Any]]:
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        size = int.from_bytes(start[:4], order)
        for version, record in ((1, NIFTI1), (2, NIFTI2)):
            if size == record.itemsize:
                return version, record.newbyteorder("<" if order == "little" else ">")
    raise UnknownFormat(
        f"{int.from_bytes(start[:4], 'little')}",
        where=where,
        field="sizeof_hdr",
        expected="348 (NIfTI-1) or 540 (NIfTI-2)",
        remedy="check that this is a NIfTI file and copy or download it again",
    )


def _dims(fields: Any, where: Path) -> tuple[int, ...]:
    count = int(fields["dim"][0])
    if not 1 <= count <= 7:
        raise _wrong("dim[0]", count, "1 to 7 dimensions", where)
    dims = tuple(int(n) for n in fields["dim"][1 : count + 1])
    for axis, length in enumerate(dims, 1):
        if length < 1:
            raise _wrong(f"dim[{axis}]", length, "at least 1 voxel", where)
    return dims


def _dtype(fields: Any, where: Path) -> np.dtype[Any]:
    code = int(fields["datatype"])
    if code in _UNSHOWN:
        raise UnsupportedVoxels(
            f"{code} ({_UNSHOWN[code]})",
            where=where,
            field="datatype",
            expected="integers or floating point numbers of at most 64 bits",
            remedy="convert the scan to one number per voxel",
        )
    if code not in DATATYPES:
        raise _wrong("datatype", code, f"one of {', '.join(map(str, DATATYPES))}", where)
    dtype = np.dtype(DATATYPES[code])
    if int(fields["bitpix"]) != 8 * dtype.itemsize:
        expected = f"{8 * dtype.itemsize} for datatype {code}"
        raise _wrong("bitpix", int(fields["bitpix"]), expected, where)
    return dtype


def _offset(fields: Any, size: int, single: bool, where: Path) -> int:
    number = float(fields["vox_offset"])
    least = size + _FLAG_BYTES if single else 0
    if not math.isfinite(number) or number != int(number) or number < least:
        raise _wrong("vox_offset", number, f"a whole number of at least {least}", where)
    return int(number)


def _check_extensions(source: Source, start: bytes, size: int, offset: int) -> None:
    """Follow the chain of extensions, which must fill the room before the voxels."""
    room = offset - size - _FLAG_BYTES
    if not room or not any(start[size : size + 1]):
        return
    if room > _LARGEST_EXTENSION:
        raise _wrong("vox_offset", offset, "extensions of at most 64 MiB", source.path)
    # A view: the rest of the chain is looked at after every extension.
    chain = memoryview(source.head(offset))[size + _FLAG_BYTES :]
    position, count = 0, 0
    order: Literal["little", "big"] = (
        "big" if int.from_bytes(start[:4], "big") == size else "little"
    )
    while any(chain[position:]):
        length = int.from_bytes(chain[position : position + 4], order, signed=True)
        if not 8 <= length <= room - position:
            expected = f"8 to {room - position} bytes"
            raise _wrong("extension esize", length, expected, source.path)
        position += length
        count += 1
        if count > _MOST_EXTENSIONS:
            expected = f"at most {_MOST_EXTENSIONS} extensions"
            raise _wrong("extension chain", f"{count} or more long", expected, source.path)


def _wrong(field: str, found: object, expected: str, where: Path) -> DamagedHeader:
    return DamagedHeader(
        f"{found}",
        where=where,
        field=field,
        expected=expected,
        remedy="copy or download the file again, or repair its header",
    )
