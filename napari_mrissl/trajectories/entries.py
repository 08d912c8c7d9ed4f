"""What a dataset knows of each episode, and the refusal of what no recorder ever wrote."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import as_affine

SOURCES = ("recorded", "policy", "spline")
EPISODE_FILE = re.compile(r"episodes/episode_([0-9]{6})(?:-([0-9]{1,6}))?\.parquet")
LONGEST_TEXT = 1000
HIGHEST_HERTZ = 1000.0

_HEX = re.compile(r"[0-9a-f]{64}")
_UID = re.compile(r"[0-9a-f]{32}")
_LAYER = re.compile(r"image:[0-9a-f]{1,12}|labels:[0-9]{1,9}")
_COLUMNS = frozenset(
    ("timestamp", "frame_index", "episode_index", "index", "task_index", "pose", "action",
     "cursor_ras", "window", "clicks", "layers", "frame")
)  # fmt: skip
_STATISTICS = {"min", "max", "mean", "std", "count"}


@dataclass(frozen=True)
class Entry:
    """One episode as the manifest lists it.

    Attributes
    ----------
    file
        Where it lies below the dataset, with forward slashes.
    sha256, bytes
        Of the file; empty and 0 in the file's own metadata.
    uid
        32 random hexadecimal digits, the name of the journal it came from.
    episode_index, first_index
        Its number, and the ``index`` of its first frame in the dataset.
    frames, hertz, duration_s, cut_s
        How many, how many a second, seconds from first to last, and seconds cut out.
    task_index, task
        The task by number, and by text.
    volume
        ``identity``, ``frame``, ``shape``, ``spacing_mm`` and ``affine`` of the scan.
    software
        What wrote it.
    source, policy, seed
        ``recorded``, ``policy`` or ``spline``, and how it was made.
    columns
        Names of the columns of the file.
    layers
        What each bit of the column ``layers`` stands for.
    frame_size
        Pixels along a side of stored frames; None where there are none.
    statistics
        ``min``, ``max``, ``mean``, ``std`` and ``count`` of each column of numbers.
    content
        SHA-256 over the columns themselves, whatever file holds them.
    """

    file: str
    sha256: str
    bytes: int
    uid: str
    episode_index: int
    first_index: int
    frames: int
    hertz: float
    duration_s: float
    cut_s: float
    task_index: int
    task: str
    volume: dict[str, Any]
    software: str
    source: str
    policy: str | None
    seed: int | None
    columns: tuple[str, ...]
    layers: tuple[str, ...]
    frame_size: int | None
    statistics: dict[str, dict[str, Any]]
    content: str

    @property
    def identity(self) -> str:
        """Identity of the volume."""
        return str(self.volume["identity"])

    @cached_property
    def json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return canonical({field.name: getattr(self, field.name) for field in fields(self)})


def canonical(content: Any) -> str:
    """The one way to write some JSON: sorted keys, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def entry_of(content: object, where: Path) -> Entry:
    """An entry from JSON that anybody may have written.

    Raises
    ------
    MrisslError
        If a field is missing, unknown, or not what it should be.
    """
    if not isinstance(content, dict) or set(content) != {field.name for field in fields(Entry)}:
        raise MrisslError("an episode's entry has other fields than expected", where=where)
    for name, good in _CHECKS.items():
        if not good(content[name]):
            raise MrisslError(
                f"an episode's {name} is not usable",
                where=where,
                remedy="do not use this dataset; it was not written by napari-mrissl",
            )
    number = EPISODE_FILE.fullmatch(content["file"])
    if number is None or int(number[1]) != content["episode_index"]:
        raise MrisslError("an episode's file does not have its number", where=where)
    try:
        _check_known_volume(canonical(content["volume"]), where.name)
    except ValueError as error:
        if isinstance(error, MrisslError):
            raise
        raise MrisslError("an episode's volume is not usable", where=where) from error
    return Entry(
        **{
            **content,
            "columns": tuple(content["columns"]),
            "layers": tuple(content["layers"]),
            "hertz": float(content["hertz"]),
        }
    )


def check_volume(facts: Mapping[str, Any], where: Path) -> None:
    """Refuse a geometry that no volume could have."""
    frame = facts.get("frame", 0)
    if type(frame) is not int or not 0 <= frame < 1 << 31:
        raise MrisslError("frame is not usable", where=where, expected="a whole number from 0")
    shape, spacing = facts.get("shape", [1, 1, 1]), facts.get("spacing_mm", [1, 1, 1])
    good_shape = (
        isinstance(shape, list)
        and len(shape) == 3
        and all(type(n) is int and 0 < n < 1 << 31 for n in shape)
    )
    good_spacing = (
        isinstance(spacing, list)
        and len(spacing) == 3
        and all(type(n) in (int, float) and 0 < n < 1e6 for n in spacing)
    )
    if not (good_shape and good_spacing):
        raise MrisslError(
            "shape or spacing_mm of the volume is not usable",
            where=where,
            expected="three whole numbers and three lengths > 0",
        )
    try:
        as_affine(facts.get("affine", np.eye(4)))
    except (TypeError, ValueError, OverflowError) as error:
        raise MrisslError(
            "affine of the volume is not usable",
            where=where,
            expected="a finite, invertible 4x4 matrix",
        ) from error


@functools.lru_cache(maxsize=64)
def _check_known_volume(facts: str, name: str) -> None:
    """Episodes of one dataset are mostly of one volume, and a look at it costs a while."""
    check_volume(json.loads(facts), Path(name))


def is_text(value: object) -> bool:
    """Whether this may be shown: printable, not too long, and able to be stored."""
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_TEXT
        and all(c.isprintable() for c in value)
    )


def cleaned(text: str) -> str:
    """Text as a user gave it, made fit to be stored: one line of printable characters."""
    line = " ".join(text.split())
    return "".join(c for c in line if c.isprintable())[:LONGEST_TEXT]


def is_rate(value: object) -> bool:
    """Whether this is a usable number of frames a second."""
    return isinstance(value, int | float) and _is_finite(value) and 0.01 <= value <= HIGHEST_HERTZ


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and _is_finite(value) and value >= 0


def _is_finite(value: object) -> bool:
    return (type(value) is float and math.isfinite(value)) or _is_whole(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and type(value) is int and abs(value) < 1 << 64


def _is_hex(value: object) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _is_volume(value: object) -> bool:
    named = {"identity", "frame", "shape", "spacing_mm", "affine"}
    return isinstance(value, dict) and set(value) == named and _is_hex(value["identity"])


def _is_list_of(value: object, good: Any, most: int) -> bool:
    return isinstance(value, list | tuple) and len(value) <= most and all(good(v) for v in value)


def _is_statistics(value: object) -> bool:
    if not isinstance(value, dict) or not set(value) <= _COLUMNS:
        return False
    for found in value.values():
        if (
            not isinstance(found, dict)
            or set(found) != _STATISTICS
            or not _is_count(found["count"])
        ):
            return False
        parts = [found[name] for name in ("min", "max", "mean", "std")]
        if not all(isinstance(part, list) and len(part) <= 16 for part in parts):
            return False
        if not all(type(n) is float and math.isfinite(n) for part in parts for n in part):
            return False
    return True


_CHECKS = {
    "file": lambda v: isinstance(v, str) and EPISODE_FILE.fullmatch(v) is not None,
    "sha256": lambda v: v == "" or _is_hex(v),
    "bytes": _is_count,
    "uid": lambda v: isinstance(v, str) and _UID.fullmatch(v) is not None,
    "episode_index": _is_count,
    "first_index": _is_count,
    "frames": lambda v: _is_count(v) and v != 0,
    "hertz": is_rate,
    "duration_s": _is_seconds,
    "cut_s": _is_seconds,
    "task_index": _is_count,
    "task": is_text,
    "volume": _is_volume,
    "software": is_text,
    "source": lambda v: v in SOURCES,
    "policy": lambda v: v is None or is_text(v),
    "seed": lambda v: v is None or _is_whole(v),
    "columns": lambda v: _is_list_of(v, lambda c: isinstance(c, str) and c in _COLUMNS, 20),
    "layers": lambda v: _is_list_of(v, is_layer, 63),
    "frame_size": lambda v: v is None or (type(v) is int and 1 <= v <= 4096),
    "statistics": _is_statistics,
    "content": _is_hex,
}


def is_layer(value: object) -> bool:
    """Whether this names a layer without its name: ``image:<identity>`` or ``labels:<n>``."""
    return isinstance(value, str) and _LAYER.fullmatch(value) is not None
