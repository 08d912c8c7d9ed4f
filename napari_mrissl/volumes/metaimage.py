"""Reading MetaImage (.mha, .mhd): raw and zlib-compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.volumes.layout import Layout
from napari_mrissl.volumes.streams import Source
from napari_mrissl.volumes.text_header import (
    LARGEST_HEADER,
    affine_from_lps,
    header_fault,
    neighbour,
    real_numbers,
    unsupported,
    whole_numbers,
)

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""MetaImage element types, as numpy types."""

_LAST_KEY = "ElementDataFile"
_ORIGIN = ("Offset", "Origin", "Position")
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_BYTE_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def looks_like_metaimage(start: bytes) -> bool:
    """Whether bytes begin like a MetaImage header."""
    return start.startswith((b"ObjectType", b"NDims")) and b"=" in start[:64]


def layout(path: Path) -> Layout:
    """The validated header of a MetaImage file.

    Raises
    ------
    DamagedHeader, UnsupportedVoxels, BadGeometry, UnreadableFile
    """
    keys, end = _parse(path)
    sizes = whole_numbers(path, "DimSize", _required(path, keys, "DimSize"))
    dimension = whole_numbers(path, "NDims", _required(path, keys, "NDims"))
    if dimension != [len(sizes)]:
        raise header_fault(path, "NDims", dimension[0], f"{len(sizes)}, as in DimSize")
    if len(sizes) not in (3, 4):
        raise unsupported(path, "NDims", len(sizes), "3, or 4 with time")
    channels = keys.get("ElementNumberOfChannels", "1")
    if channels != "1":
        raise unsupported(path, "ElementNumberOfChannels", channels, "one number per voxel")
    affine, notes = _geometry(path, keys, len(sizes))
    dtype, order_notes = _dtype(path, keys)
    return Layout(
        _data(path, keys, end),
        (sizes[0], sizes[1], sizes[2]),
        dtype,
        affine,
        frames=sizes[3] if len(sizes) == 4 else 1,
        notes=(*notes, *order_notes),
    )


def _parse(path: Path) -> tuple[dict[str, str], int]:
    start = Source(path).head(LARGEST_HEADER)
    keys: dict[str, str] = {}
    position = 0
    while _LAST_KEY not in keys:
        end = start.find(b"\n", position)
        line = start[position : end if end >= 0 else len(start)].decode("latin-1")
        key, equals, value = line.partition("=")
        if not equals or key.strip() in keys:
            expected = f"one 'key = value' per line, the last one {_LAST_KEY}"
            raise header_fault(path, "header", f"{line[:60]!r}", expected)
        keys[key.strip()] = value.strip()
        position = end + 1 if end >= 0 else len(start)
    return keys, position


def _required(path: Path, keys: dict[str, str], *names: str) -> str:
    for name in names:
        if name in keys:
            return keys[name]
    raise header_fault(path, names[0], "missing", "a value")


def _flag(path: Path, name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise header_fault(path, name, text, "True or False")
    return text.lower() == "true"


def _dtype(path: Path, keys: dict[str, str]) -> tuple[np.dtype[Any], tuple[str, ...]]:
    name = _required(path, keys, "ElementType")
    if name not in TYPES:
        raise unsupported(path, "ElementType", name, f"one of {', '.join(TYPES)}")
    dtype = np.dtype(TYPES[name])
    for key in _BYTE_ORDER:
        if key in keys:
            return dtype.newbyteorder(">" if _flag(path, key, keys[key]) else "<"), ()
    if dtype.itemsize == 1:
        return dtype, ()
    note = "the header does not say its byte order: little endian is assumed, as ITK does"
    return dtype.newbyteorder("<"), (note,)


def _geometry(
    path: Path, keys: dict[str, str], dimension: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    notes = []
    default = {
        "Offset": " ".join(["0"] * dimension),
        "TransformMatrix": " ".join(map(str, np.eye(dimension).ravel())),
        "ElementSpacing": " ".join(["1"] * dimension),
    }
    found: dict[str, NDArray[np.float64]] = {}
    for names, count in (
        (_ORIGIN, dimension),
        (_MATRIX, dimension**2),
        (("ElementSpacing", "ElementSize"), dimension),
    ):
        present = [name for name in names if name in keys]
        if not present:
            notes.append(f"the header has no {names[0]}: {default[names[0]]} is assumed")
        text = keys[present[0]] if present else default[names[0]]
        found[names[0]] = real_numbers(path, names[0], text, count)
    # Each row of the file's matrix is the direction of one array axis.
    directions = found["TransformMatrix"].reshape(dimension, dimension)[:3, :3].T
    axes = directions * found["ElementSpacing"][:3]
    return affine_from_lps(path, "TransformMatrix", axes, found["Offset"][:3]), tuple(notes)


def _data(path: Path, keys: dict[str, str], end: int) -> Source:
    if not _flag(path, "BinaryData", keys.get("BinaryData", "True")):
        raise unsupported(path, "BinaryData", "False", "binary voxels")
    if keys.get("HeaderSize", "0") not in ("0", "-1"):
        raise unsupported(path, "HeaderSize", keys["HeaderSize"], "0 or -1")
    packed = _flag(path, "CompressedData", keys.get("CompressedData", "False"))
    name = keys[_LAST_KEY]
    if name not in ("LOCAL", "Local", "local"):
        path, end = neighbour(path, _LAST_KEY, name), 0
    return Source(path, end, "zlib" if packed else "raw")
