"""Reading FreeSurfer's MGH and MGZ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import as_affine
from napari_mrissl.volumes.errors import BadGeometry, DamagedHeader, SizeMismatch
from napari_mrissl.volumes.layout import Layout
from napari_mrissl.volumes.streams import Source

MGH = np.dtype(
    [
        ("version", ">i4"),
        ("dims", ">i4", (4,)),
        ("type", ">i4"),
        ("dof", ">i4"),
        ("good_ras", ">i2"),
        ("delta", ">f4", (3,)),
        ("cosines", ">f4", (3, 3)),
        ("center", ">f4", (3,)),
    ]
)
DATA_START = 284
"""Bytes before the first voxel; the record above is shorter, the rest is unused."""

TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
"""MGH type codes, as numpy types."""

# FreeSurfer appends scan parameters (4 or 5 floats), then tags of any length.
_LARGEST_TAIL = 4 * 2**20
_PARAMETERS = (0, 16, 20)
_TAGS = frozenset([1, 2, 3, 4, 5, *range(10, 16), 20, 21, 30, 31, 32, 33, 40, 41, 42, 43, 44])
_TAGS_WITHOUT_LENGTH = frozenset([1, 2, 20, 30])


def looks_like_mgh(start: bytes) -> bool:
    """Whether bytes begin like an MGH header: version 1 and plausible dimensions."""
    if len(start) < MGH.itemsize or start[:4] != b"\0\0\0\1":
        return False
    record = np.frombuffer(start, MGH, 1)[0]
    return int(record["type"]) in TYPES and all(0 < int(n) < 2**20 for n in record["dims"])


def layout(path: Path) -> Layout:
    """The validated header of an MGH or MGZ file.

    Raises
    ------
    DamagedHeader, BadGeometry
    """
    source = Source.sniffed(path)
    start = source.head(DATA_START)
    if len(start) < DATA_START:
        raise _wrong(path, "header", f"{len(start)} bytes", f"{DATA_START} bytes")
    record = np.frombuffer(start, MGH, 1)[0]
    if int(record["version"]) != 1:
        raise _wrong(path, "version", int(record["version"]), "1")
    dims = [int(n) for n in record["dims"]]
    for axis, length in enumerate(dims, 1):
        if length < 1:
            raise _wrong(path, f"dimension {axis}", length, "at least 1")
    code = int(record["type"])
    if code not in TYPES:
        raise _wrong(path, "type", code, f"one of {', '.join(map(str, TYPES))}")
    shape = (dims[0], dims[1], dims[2])
    affine, disagreements = _affine(record, shape, path)
    return Layout(
        source,
        shape,
        np.dtype(TYPES[code]),
        affine,
        skip=DATA_START,
        tail=_LARGEST_TAIL,
        frames=dims[3],
        disagreements=disagreements,
    )


def check_tail(path: Path, rest: bytes) -> None:
    """Refuse bytes after the voxels that are not FreeSurfer's parameters and tags.

    The format allows a tail, so a header with too few voxels would otherwise pass.

    Raises
    ------
    SizeMismatch
    """
    if len(rest) in _PARAMETERS:
        return
    tag = int.from_bytes(rest[20:24], "big")
    length = int.from_bytes(rest[24:32], "big")
    if tag not in _TAGS or (tag not in _TAGS_WITHOUT_LENGTH and length > len(rest) - 32):
        raise SizeMismatch(
            f"followed by {len(rest)} bytes that are no tags",
            where=path,
            field="last voxel",
            expected="the end of the file, or scan parameters and tags",
            remedy="copy or download the file again",
        )


def _affine(record: Any, shape: tuple[int, int, int], path: Path) -> tuple[Any, tuple[str, ...]]:
    disagreements: tuple[str, ...] = ()
    if int(record["good_ras"]) == 1:
        delta = np.asarray(record["delta"], np.float64)
        cosines = np.asarray(record["cosines"], np.float64).T
        center = np.asarray(record["center"], np.float64)
    else:
        # FreeSurfer's own default for files that do not say: coronal, 1 mm, centred.
        delta, center = np.ones(3), np.zeros(3)
        cosines = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        note = (
            "the file says nothing about orientation (goodRASFlag is 0): "
            "FreeSurfer's default is used (1 mm, axes L, I, A, centred); nibabel reads L, S, P"
        )
        disagreements = (note,)
    affine = np.eye(4)
    affine[:3, :3] = cosines * delta
    affine[:3, 3] = center - affine[:3, :3] @ (np.array(shape) / 2)
    try:
        return as_affine(affine), disagreements
    except MrisslError as error:
        raise BadGeometry(
            error.found,
            where=path,
            expected="three independent finite axes",
            remedy="repair the header with FreeSurfer's mri_convert",
        ) from error


def _wrong(path: Path, field: str, found: object, expected: str) -> DamagedHeader:
    return DamagedHeader(
        f"{found}",
        where=path,
        field=field,
        expected=expected,
        remedy="copy or download the file again",
    )
