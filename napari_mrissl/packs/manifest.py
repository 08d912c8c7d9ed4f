"""The manifest of a pack: one line a volume, under a line with the checksum of them all.

The first line is ``{"format", "version", "uuid", "volumes", "sha256"}``, where the sha256 is
that of all bytes after it; every other line is one `PackEntry`. Nothing in it is a path, a
host or a field of a patient.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from napari_mrissl.errors import MrisslError

MANIFEST = "manifest.jsonl"
"""Name of the manifest in a pack."""

VERSION = 1

LARGEST_MANIFEST = 1 << 28
"""Bytes; 400,000 volumes take as many."""

_FORMAT = "napari-mrissl pack"
_LARGEST_HEAD = 1024
_LARGEST_LINE = 4096
_LONGEST_SIDE = 1 << 15

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, Field(ge=1, le=_LONGEST_SIDE)]
Row = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
StoredType = Literal[
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"
]


class PackEntry(BaseModel):
    """One volume of a pack; all that a run needs to know of it before its voxels.

    Attributes
    ----------
    identity
        Of the volume; where it lies follows from it.
    values
        SHA-256 of its values alone, by which copies with another header are told.
    name
        To be shown, e.g. ``"scan-000017"``.
    subject
        The same for scans of one person; says nothing of who it is.
    role
        A scan, or the label map of one.
    split
        For what it is meant, where its source said so.
    labels
        Identity of its label map, where that is in the pack.
    shape, dtype
        Of the canonical voxels, along (S, A, R).
    affine
        (3, 4) from index (s, a, r) to world RAS mm; the fourth row is (0, 0, 0, 1).
    slope, intercept
        Value = slope * stored number + intercept.
    window
        The values of `Volume.value_range`, for which all voxels would have to be read.
    ct, frames, disputed
        Whether values look like HU, how many frames its file held, and whether other programs
        put it elsewhere in space.
    bytes, sha256
        Of its shard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    identity: Sha256
    values: Sha256
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    subject: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    role: Literal["scan", "labels"] = "scan"
    split: Literal["train", "validation", "test"] | None = None
    labels: Sha256 | None = None
    shape: tuple[Side, Side, Side]
    dtype: StoredType
    affine: tuple[Row, Row, Row]
    slope: FiniteFloat
    intercept: FiniteFloat
    window: tuple[FiniteFloat, FiniteFloat]
    ct: bool = False
    frames: Annotated[int, Field(ge=1)] = 1
    disputed: bool = False
    bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256

    @property
    def nbytes(self) -> int:
        """Of the decoded voxels."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(4, 4) from index (s, a, r) to world RAS mm."""
        return np.array([*self.affine, (0.0, 0.0, 0.0, 1.0)], np.float64)

    def line(self) -> str:
        """As JSON, without what is unset or false."""
        return self.model_dump_json(exclude_defaults=True)


@dataclass(frozen=True)
class Manifest:
    """What is in a pack.

    Attributes
    ----------
    uuid
        32 hexadecimal digits; it stays the same when volumes are added.
    entries
        In the order in which they were packed.
    """

    uuid: str
    entries: tuple[PackEntry, ...] = field(default=())

    @cached_property
    def by_identity(self) -> dict[str, PackEntry]:
        """The entries by identity."""
        return {entry.identity: entry for entry in self.entries}

    def dump(self) -> bytes:
        """The file's content; `parse` takes it back."""
        body = "".join(f"{entry.line()}\n" for entry in self.entries).encode()
        head = {
            "format": _FORMAT,
            "version": VERSION,
            "uuid": self.uuid,
            "volumes": len(self.entries),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        return json.dumps(head).encode() + b"\n" + body

    @classmethod
    def parse(cls, content: bytes, where: str) -> Manifest:
        """The manifest of a file's content.

        Raises
        ------
        MrisslError
            If it is none, of another version, damaged, or contradicts itself.
        """
        uuid, count = _head(content, where)
        lines = content.split(b"\n")[1:-1]
        if len(lines) != count:
            raise _damaged(f"{len(lines)} volumes where it says {count}", where)
        entries = tuple(_entry(line, number, where) for number, line in enumerate(lines, 2))
        found = cls(uuid, entries)
        _check_references(found, where)
        return found


def entry_of(content: str | bytes) -> PackEntry:
    """The entry of one line.

    Raises
    ------
    ValueError
        If it is none.
    """
    entry = PackEntry.model_validate_json(content)
    if entry.slope == 0:
        raise ValueError("slope is 0")
    return entry


def _head(content: bytes, where: str) -> tuple[str, int]:
    """The uuid of a manifest and how many lines follow; refuses damage."""
    first, newline, _ = content[:_LARGEST_HEAD].partition(b"\n")
    try:
        head: Any = json.loads(first) if newline else None
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
            raise ValueError
        version = head.get("version")
    except (ValueError, RecursionError):
        raise _damaged("is no manifest of a pack", where) from None
    if version != VERSION:
        raise MrisslError(
            f"version {version!r}"[:40],
            where=where,
            expected=f"version {VERSION}",
            remedy="update napari-mrissl, or pack the scans again",
        )
    uuid, count = head.get("uuid"), head.get("volumes")
    if not (isinstance(uuid, str) and len(uuid) == 32 and set(uuid) <= set("0123456789abcdef")):
        raise _damaged("its uuid is none", where)
    if not isinstance(count, int) or isinstance(count, bool):
        raise _damaged("it does not say how many volumes there are", where)
    if hashlib.sha256(memoryview(content)[len(first) + 1 :]).hexdigest() != head.get("sha256"):
        raise _damaged("its checksum does not fit", where)
    return uuid, count


def _entry(line: bytes, number: int, where: str) -> PackEntry:
    try:
        if len(line) > _LARGEST_LINE:
            raise ValueError("it is too long")
        return entry_of(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        said = ".".join(str(part) for part in first["loc"]) or "it"
        raise _damaged(f"line {number}: {said[:40]} is not usable", where) from None
    except ValueError as error:
        raise _damaged(f"line {number}: {error}", where) from None


def _check_references(manifest: Manifest, where: str) -> None:
    known = manifest.by_identity
    if len(known) != len(manifest.entries):
        raise _damaged("a volume is in it twice", where)
    for entry in manifest.entries:
        if entry.labels is None:
            continue
        labels = known.get(entry.labels)
        if labels is None or labels.role != "labels" or labels.shape != entry.shape:
            raise _damaged(f"the label map of {entry.name} is not in it, or does not fit", where)


def _damaged(found: str, where: str) -> MrisslError:
    return MrisslError(
        found,
        where=where,
        expected="the manifest as it was written",
        remedy="copy the pack again, or pack the scans again",
    )
