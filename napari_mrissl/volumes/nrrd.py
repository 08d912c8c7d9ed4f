"""Reading NRRD (.nrrd, .nhdr): raw and gzip encodings."""

from __future__ import annotations

import re
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

_NAMES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPES = {name: code for code, names in _NAMES.items() for name in names.split("|")}

# Sign of each world axis that takes the space to LPS.
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
# A field we do not know may be a damaged one that we need.
_FIELDS = frozenset(
    re.split(
        r"\|\s*",
        """type|dimension|sizes|encoding|endian|space|space dimension|space directions|
        space origin|spacings|kinds|centers|centerings|thicknesses|units|labels|space units|
        measurement frame|data file|datafile|byte skip|byteskip|line skip|lineskip|content|
        min|max|old min|oldmin|old max|oldmax|axis mins|axismins|axis maxs|axismaxs|
        block size|blocksize|number|sample units|sampleunits""",
    )
)
_FRAME_KINDS = frozenset(["list", "time", "domain", "space", "none", "???"])


def looks_like_nrrd(start: bytes) -> bool:
    """Whether bytes begin with NRRD's magic."""
    return re.match(rb"NRRD000\d\r?\n", start) is not None


def layout(path: Path) -> Layout:
    """The validated header of a NRRD file.

    Raises
    ------
    DamagedHeader, UnsupportedVoxels, BadGeometry, UnreadableFile
    """
    fields, end = _parse(path)
    sizes = whole_numbers(path, "sizes", _required(path, fields, "sizes"))
    dimension = whole_numbers(path, "dimension", _required(path, fields, "dimension"))
    if dimension != [len(sizes)]:
        raise header_fault(path, "dimension", dimension[0], f"{len(sizes)}, as there are sizes")
    if len(sizes) not in (3, 4):
        raise unsupported(path, "dimension", len(sizes), "3, or 4 with time")
    dtype = _dtype(path, fields)
    frame_axis = _frame_axis(path, fields, len(sizes))
    spatial = [axis for axis in range(len(sizes)) if axis != frame_axis]
    affine, notes = _geometry(path, fields, spatial)
    return Layout(
        _data(path, fields, end),
        (sizes[spatial[0]], sizes[spatial[1]], sizes[spatial[2]]),
        dtype,
        affine,
        frames=1 if frame_axis is None else sizes[frame_axis],
        frames_first=frame_axis == 0,
        notes=notes,
    )


def _parse(path: Path) -> tuple[dict[str, str], int]:
    start = Source(path).head(LARGEST_HEADER)
    blank = re.search(rb"\r?\n\r?\n", start)
    if blank is None:
        if not path.name.lower().endswith(".nhdr"):
            raise header_fault(path, "header", "not ended", "an empty line before the voxels")
        text, end = start, len(start)
    else:
        text, end = start[: blank.start()], blank.end()
    fields: dict[str, str] = {}
    for line in text.decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if line.startswith("#") or (":=" in line and not colon):
            continue
        name = name.strip().lower()
        if not colon or name not in _FIELDS or name in fields:
            raise header_fault(path, "header", f"{line!r}", "known fields, each once")
        fields[name] = value.strip()
    return fields, end


def _required(path: Path, fields: dict[str, str], name: str) -> str:
    if name not in fields:
        raise header_fault(path, name, "missing", "a value")
    return fields[name]


def _dtype(path: Path, fields: dict[str, str]) -> np.dtype[Any]:
    name = _required(path, fields, "type").lower()
    if name not in _TYPES:
        raise unsupported(path, "type", name, "a type of integers or floating point numbers")
    code = _TYPES[name]
    if code[1] == "1":
        return np.dtype(code)
    endian = _required(path, fields, "endian").lower()
    if endian not in ("little", "big"):
        raise header_fault(path, "endian", endian, "little or big")
    return np.dtype(("<" if endian == "little" else ">") + code)


def _frame_axis(path: Path, fields: dict[str, str], dimension: int) -> int | None:
    kinds = fields.get("kinds", "").lower().split()
    if kinds and len(kinds) != dimension:
        raise header_fault(path, "kinds", fields["kinds"], f"{dimension} kinds")
    for kind in kinds:
        if kind not in _FRAME_KINDS:
            raise unsupported(path, "kinds", kind, "one number per voxel")
    if dimension == 3:
        return None
    directions = _vectors(path, fields.get("space directions", ""))
    without = [axis for axis, vector in enumerate(directions) if vector is None]
    axis = without[0] if len(without) == 1 else 3
    if axis not in (0, 3) or len(without) > 1:
        raise unsupported(path, "space directions", without, "time as the first or last axis")
    return axis


def _geometry(
    path: Path, fields: dict[str, str], spatial: list[int]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    notes: list[str] = []
    space = fields.get("space", "").lower()
    if space not in _SPACES:
        notes.append(
            f"the header's space is {space or 'missing'}: "
            "left-posterior-superior is assumed, as ITK does"
        )
    signs = np.array(_SPACES.get(space, (1, 1, 1)), np.float64)
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", "")))
    if units - {"mm", "millimeter", "millimeters", ""}:
        notes.append(f"space units {', '.join(sorted(units))} were taken as mm")
    if "space directions" in fields:
        vectors = _vectors(path, fields["space directions"])
        if len(vectors) <= max(spatial) or any(vectors[axis] is None for axis in spatial):
            raise header_fault(
                path, "space directions", fields["space directions"], "three vectors"
            )
        axes = np.array([vectors[axis] for axis in spatial]).T
    else:
        spacings = fields.get("spacings")
        if spacings is None:
            notes.append("the header has no voxel sizes: 1 mm is assumed")
            axes = np.eye(3)
        else:
            count = len(spacings.split())
            axes = np.diag(real_numbers(path, "spacings", spacings, count)[spatial])
    origin = np.zeros(3)
    if "space origin" in fields:
        vectors = _vectors(path, fields["space origin"])
        if len(vectors) != 1 or vectors[0] is None:
            raise header_fault(path, "space origin", fields["space origin"], "one vector")
        origin = np.array(vectors[0])
    else:
        notes.append("the header has no origin: the first voxel is put at (0, 0, 0)")
    return (
        affine_from_lps(path, "space directions", signs[:, None] * axes, signs * origin),
        tuple(notes),
    )


def _vectors(path: Path, text: str) -> list[list[float] | None]:
    """Vectors ``(x,y,z)`` of a field; None for ``none``."""
    vectors: list[list[float] | None] = []
    for word in re.sub(r"\s*,\s*", ",", text).split():
        if word.lower() == "none":
            vectors.append(None)
            continue
        match = re.fullmatch(r"\(([^()]*)\)", word)
        if match is None:
            raise header_fault(path, "vector", word, "(x,y,z) or none")
        vectors.append(list(real_numbers(path, "vector", match[1].replace(",", " "), 3)))
    return vectors


def _data(path: Path, fields: dict[str, str], end: int) -> Source:
    encoding = _required(path, fields, "encoding").lower()
    kinds = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
    if encoding not in kinds:
        raise unsupported(path, "encoding", encoding, "raw or gzip")
    for name in ("byte skip", "byteskip", "line skip", "lineskip"):
        if fields.get(name, "0") != "0":
            raise unsupported(path, name, fields[name], "0")
    detached = fields.get("data file", fields.get("datafile"))
    if detached is not None:
        path, end = neighbour(path, "data file", detached), 0
    return Source(path, end, "gzip" if kinds[encoding] == "gzip" else "raw")
