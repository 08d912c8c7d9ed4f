"""Validate a dataset: everything in it that is not as it was written, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import manifest as manifests
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import Entry
from napari_mrissl.trajectories.episodes import (
    check_content,
    file_digest,
    read_episode,
    read_metadata,
)
from napari_mrissl.trajectories.manifest import MANIFEST, PREVIOUS
from napari_mrissl.trajectories.places import (
    EPISODES,
    OPEN,
    REMOVED,
    episode_files,
    files_in,
    removed_name,
)
from napari_mrissl.trajectories.restoring import load
from napari_mrissl.trajectories.sampling import actions_between
from napari_mrissl.trajectories.unfinished import holds_nothing, read_interrupted, unfinished_in


@dataclass(frozen=True)
class Report:
    """What was found in a dataset, and what was done about it.

    Attributes
    ----------
    problems
        A sentence each; none if all is as it was written.
    episodes, frames
        How many the dataset holds.
    unfinished
        How many recordings were cut off and can be recovered.
    done
        What `repair` did, a sentence each.
    """

    problems: list[str]
    episodes: int
    frames: int
    unfinished: int
    done: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def validate(folder: str | Path, progress: Callable[[float], None] | None = None) -> Report:
    """Read all of a dataset, its columns included, and say what is wrong; changes nothing.

    Raises
    ------
    MrisslError
        If there is no dataset, or one that may be hostile.
    """
    folder = Path(folder)
    loaded = load(folder)
    problems = list(loaded.notes)
    if (folder / MANIFEST).exists() and (folder / PREVIOUS).exists():
        problems += _wrong(lambda: manifests.read(folder, PREVIOUS))
    entries = loaded.manifest.entries
    for number, entry in enumerate(entries):
        problems += _wrong(lambda entry=entry: check_episode(folder, entry))  # type: ignore[misc]
        if progress:
            progress((number + 1) / len(entries))
    for entry in loaded.manifest.removed:
        problems += _wrong(lambda entry=entry: check_removed(folder, entry))  # type: ignore[misc]
    listed = {entry.file for entry in entries}
    for path in episode_files(folder):
        if f"{EPISODES}/{path.name}" not in listed:
            problems.append(f"{path.name}: is not listed in the manifest.")
    for path in files_in(folder / OPEN, "*.jsonl"):
        problems += _wrong(lambda path=path: check_journal(path))  # type: ignore[misc]
    return Report(
        problems=list(dict.fromkeys(problems)),
        episodes=len(entries),
        frames=sum(entry.frames for entry in entries),
        unfinished=len(unfinished_in(folder)),
    )


def check_episode(folder: Path, entry: Entry) -> None:
    """Refuse an episode whose file is not as it was written, or contradicts itself.

    Raises
    ------
    MrisslError
        If so.
    """
    path = inside(folder, entry.file)
    if file_digest(path) != (entry.sha256, entry.bytes):
        raise MrisslError("does not match its checksum", where=path)
    own = read_metadata(path, entry.file)
    # The number of a task may change when a manifest is put together anew; its text stays.
    if replace(own, task_index=entry.task_index) != entry:
        raise MrisslError("does not hold what the manifest says", where=path)
    check_content(path, entry)
    _check_columns(path, entry)


def check_removed(folder: Path, entry: Entry) -> None:
    """Refuse an undone episode whose file is not as it was written.

    Raises
    ------
    MrisslError
        If so.
    """
    path = inside(folder, f"{REMOVED}/{removed_name(entry)}")
    if not path.exists():
        path = inside(folder, entry.file)
    if file_digest(path) != (entry.sha256, entry.bytes):
        raise MrisslError("does not match its checksum", where=path)


def check_journal(path: Path) -> None:
    """Refuse a journal that is not as it was written, but for a torn end.

    Raises
    ------
    MrisslError
        If so.
    """
    if holds_nothing(path):
        return
    damage = read_interrupted(path).damage
    if damage is not None:
        raise damage


def _check_columns(path: Path, entry: Entry) -> None:
    table = read_episode(path, entry)
    frames = np.arange(entry.frames)
    expected = {
        "frame_index": frames,
        "episode_index": np.full(entry.frames, entry.episode_index),
        "index": frames + entry.first_index,
        "timestamp": frames / entry.hertz,
    }
    for name, values in expected.items():
        if not np.allclose(table[name], values, rtol=0, atol=1e-9):
            raise MrisslError(f"column {name} is not in order", where=path)
    for row in table["pose"]:
        Pose.from_row(row)
    if not np.allclose(table["action"], actions_between(table["pose"]), rtol=0, atol=1e-6):
        raise MrisslError("actions do not lead from pose to pose", where=path)


def _wrong(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except MrisslError as error:
        return [str(error)]
    return []
