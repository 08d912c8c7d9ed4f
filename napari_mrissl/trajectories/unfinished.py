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
from napari_mrissl.trajectories.journal import recoverable_records
from napari_mrissl.trajectories.journal_lines import Record
from napari_mrissl.trajectories.places import OPEN, files_in
from napari_mrissl.trajectories.sampling import OPTIONAL_COLUMNS, Samples, Stamped, checked, sample

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
        Of the volume flown through; None if the recording was cut off before it was known.
        Then the scan must be given to `Dataset.recover`.
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
    identity: str | None
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
    def identity(self) -> str | None:
        """Of the volume; None if it was not known yet."""
        told = [r.event["identity"] for r in self.records if "identity" in r.event]
        return told[0] if told else None

    @property
    def events(self) -> list[Stamped]:
        """What was done: all but the identity, which came when it was found."""
        return [(r.t_ns, r.event) for r in self.records if "identity" not in r.event]

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
        return sample(self.events, hertz)


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
    for record in records:
        named = record.event.get("identity", "0" * 64)
        if not isinstance(named, str) or not _IDENTITY.fullmatch(named):
            raise MrisslError("journal names no volume", where=path, expected="an identity")
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
        events = told.events
        poses = sum("pose" in event for _, event in events)
        if poses:
            seconds = (events[-1][0] - events[0][0]) / 1e9
            written = (told.records[-1].t_ns - events[0][0]) / 1e9
            started = datetime.fromtimestamp(os.stat(path).st_mtime - written)
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
    info, columns = header.get("info"), header.get("columns")
    size = header.get("frame_size")
    if header.get("kind") != KIND or not isinstance(info, dict):
        raise MrisslError("journal holds no recording", where=path, expected=f'"kind": "{KIND}"')
    good_columns = isinstance(columns, list) and all(c in OPTIONAL_COLUMNS for c in columns)
    good_size = size is None or (type(size) is int and 1 <= size <= 4096)
    if not (good_columns and good_size and is_rate(header.get("hertz"))):
        raise MrisslError("journal's header is not usable", where=path)
    if not isinstance(header.get("task"), str):
        raise MrisslError("journal's task is no text", where=path)
    check_volume(info, path)
