"""Recordings that were never finished: found, brought into the dataset, or put away."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import open_regular
from napari_mrissl.trajectories.entries import check_volume, is_rate
from napari_mrissl.trajectories.journal import Record, recoverable_records
from napari_mrissl.trajectories.places import OPEN, files_in
from napari_mrissl.trajectories.sampling import OPTIONAL_COLUMNS, Samples, checked, sample

KIND = "recording"
LONGEST_LINE = 1 << 20
_IDENTITY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9a-f]{32}")

live: set[str] = set()
"""Journals that recorders of this process are writing."""


@dataclass(frozen=True)
class Unfinished:
    """A recording that was cut off.

    Attributes
    ----------
    path
        Its journal.
    identity
        Of the volume flown through.
    started
        When, in local time, as far as the file tells.
    poses
        How many poses there are.
    seconds
        From the first event to the last.
    task
        What was to be done, in words.
    damage
        What is wrong with the journal after its good part; None if it only ends.
    """

    path: Path
    identity: str
    started: datetime
    poses: int
    seconds: float
    task: str
    damage: str | None = None


@dataclass(frozen=True)
class Interrupted:
    """All that a journal tells of its recording."""

    header: dict[str, Any]
    records: list[Record]
    damage: MrisslError | None

    @property
    def identity(self) -> str:
        """Of the volume."""
        return str(self.header["identity"])

    @property
    def columns(self) -> frozenset[str]:
        """The optional columns that were recorded."""
        return frozenset(self.header["columns"])

    @property
    def task(self) -> str:
        """The task text that was set last."""
        texts = [r.event["task"] for r in self.records if "task" in r.event]
        return str(texts[-1] if texts else self.header["task"])

    def samples(self, hertz: float) -> Samples:
        """The frames; see `sampling.sample`."""
        return sample([(record.t_ns, record.event) for record in self.records], hertz)


def read_interrupted(path: Path) -> Interrupted:
    """The good part of a recording's journal.

    Raises
    ------
    MrisslError
        If there is none, or it holds what no recorder writes.
    """
    if holds_nothing(path):
        raise MrisslError("no complete first line", where=path, expected="a journal")
    header, records, damage = recoverable_records(path, LONGEST_LINE)
    _check(header, path)
    checked([(record.t_ns, record.event) for record in records], path)
    return Interrupted(header, records, damage)


def unfinished_in(folder: Path) -> list[Unfinished]:
    """Recordings with a pose or more that nobody is writing, the oldest first."""
    found = []
    for path in files_in(folder / OPEN, "*.jsonl"):
        if os.path.realpath(path) in live or not _NAME.fullmatch(path.stem) or path.is_symlink():
            continue
        try:
            told = read_interrupted(path)
        except MrisslError:
            # Nothing in it can be had; `validate` says so and `repair` sets it aside.
            continue
        poses = sum("pose" in record.event for record in told.records)
        if poses:
            seconds = (told.records[-1].t_ns - told.records[0].t_ns) / 1e9
            started = datetime.fromtimestamp(os.stat(path).st_mtime - seconds)
            damage = None if told.damage is None else str(told.damage)
            found.append(
                Unfinished(path, told.identity, started, poses, seconds, told.task, damage)
            )
    return sorted(found, key=lambda one: one.started)


def holds_nothing(path: Path) -> bool:
    """Whether a recording was killed before the first line of its journal was written.

    Raises
    ------
    MrisslError
        If it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return not file.readline(LONGEST_LINE).endswith(b"\n")
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error


def _check(header: Mapping[str, Any], path: Path) -> None:
    identity, info, columns = (header.get(key) for key in ("identity", "info", "columns"))
    size = header.get("frame_size")
    if header.get("kind") != KIND or not isinstance(info, dict):
        raise MrisslError("journal holds no recording", where=path, expected=f'"kind": "{KIND}"')
    if not isinstance(identity, str) or not _IDENTITY.fullmatch(identity):
        raise MrisslError("journal names no volume", where=path, expected="an identity")
    good_columns = isinstance(columns, list) and all(c in OPTIONAL_COLUMNS for c in columns)
    good_size = size is None or (type(size) is int and 1 <= size <= 4096)
    if not (good_columns and good_size and is_rate(header.get("hertz"))):
        raise MrisslError("journal's header is not usable", where=path)
    if not isinstance(header.get("task"), str):
        raise MrisslError("journal's task is no text", where=path)
    check_volume(info, path)
