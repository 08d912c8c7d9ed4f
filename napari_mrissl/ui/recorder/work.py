"""What the recorder does on disk, away from the GUI thread: look, keep, make, recover."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import (
    Dataset,
    Entry,
    Flight,
    Recorder,
    Unfinished,
    flight_info,
    locate,
    open_or_create,
    remember,
)
from napari_mrissl.volumes.atomic import write_text
from napari_mrissl.volumes.volume import Volume

_RECENT = 8


@dataclass(frozen=True)
class Episode:
    """One line of the list of episodes.

    Attributes
    ----------
    number
        From 0, as in the dataset.
    task, source
        What was to be done, and how the poses came about.
    seconds, frames
        How long it is.
    identity
        Of the scan flown over.
    scan
        Where that scan lies on this machine, or None.
    """

    number: int
    task: str
    source: str
    seconds: float
    frames: int
    identity: str
    scan: Path | None


@dataclass(frozen=True)
class Contents:
    """A dataset as it was when it was looked at.

    Attributes
    ----------
    folder
        Of the dataset, which need not exist yet.
    hertz
        Its rate, or None while there is none.
    episodes
        In order.
    undone
        Whether an episode was undone that can be brought back.
    notes
        Sentences about what was not as it should be.
    """

    folder: Path
    hertz: float | None = None
    episodes: tuple[Episode, ...] = ()
    undone: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A flight that is an episode now."""

    contents: Contents
    number: int
    flight: Flight
    cut_s: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CutOff:
    """A recording that nobody ended, and the dataset it belongs to."""

    folder: Path
    recording: Unfinished


def flights_directory() -> Path:
    """Where datasets go unless the user chooses a folder."""
    return data_directory() / "flights"


def default_folder() -> Path:
    """Today's dataset."""
    return flights_directory() / date.today().isoformat()


def new_folder(but: Path | None = None) -> Path:
    """A dataset folder of today that does not exist yet, and is not ``but``."""
    return free_name(flights_directory(), default_folder().name, but=but)


def free_name(folder: Path, name: str, suffix: str = "", *, but: Path | None = None) -> Path:
    """A path in a folder that does not exist yet, and is not ``but``; numbered if need be."""
    path, number = folder / f"{name}{suffix}", 2
    while os.path.lexists(path) or path == but:
        path, number = folder / f"{name}_{number}{suffix}", number + 1
    return path


def look(folder: Path) -> Contents:
    """The dataset in a folder; an empty one where there is none.

    Raises
    ------
    MrisslError
        If what is there is no dataset, or a damaged one.
    """
    if not _holds_something(folder):
        return Contents(folder)
    return _contents(Dataset.open(folder))


def read_episode(folder: Path, number: int) -> Flight:
    """One episode as a flight."""
    return Dataset.open(folder).flight(number)


def commit(recorder: Recorder, folder: Path, progress: Callable[[float], None]) -> Kept:
    """Make an episode of a recording, and note where its scan lies."""
    entry = recorder.commit(progress)
    source = recorder.volume.source
    if source is not None:
        # So that the command line finds the scan of this flight by its identity.
        remember(recorder.volume.identity, source)
    kept = _kept(Dataset.open(folder), entry)
    return replace(kept, notes=tuple(dict.fromkeys((*kept.notes, *recorder.notes))))


def discard(recorder: Recorder) -> Contents:
    """End a recording as an episode that was undone, so that it can be brought back."""
    if not recorder.poses:
        recorder.discard()
        return look(recorder.folder)
    recorder.commit(undone=True)
    return look(recorder.folder)


def append(folder: Path, flight: Flight, hertz: float, task: str, source: str) -> Kept:
    """Put a made flight behind the last episode; the dataset is made if need be."""
    dataset = open_or_create(folder, hertz)
    return _kept(dataset, dataset.append(flight, task=task, source=source))


def undo_last(folder: Path) -> Contents:
    """Take the last episode out of the dataset; it can be brought back."""
    dataset = Dataset.open(folder)
    dataset.undo_last()
    return _contents(dataset)


def redo_last(folder: Path) -> Contents:
    """Bring back the episode that was undone last."""
    dataset = Dataset.open(folder)
    dataset.redo_last()
    return _contents(dataset)


def set_task(folder: Path, number: int, task: str) -> Contents:
    """Say what was to be done in an episode."""
    dataset = Dataset.open(folder)
    dataset.set_task(task, number)
    return _contents(dataset)


def cut_off(folders: Iterable[Path]) -> tuple[CutOff, ...]:
    """Recordings in these datasets that were cut off, oldest dataset first.

    A dataset that cannot be read is left out: it is said when it is opened.
    """
    found = []
    for folder in dict.fromkeys(folders):
        try:
            found += [CutOff(folder, one) for one in Dataset.open(folder).unfinished()]
        except MrisslError:
            continue
    return tuple(found)


def recover(one: CutOff, volume: Volume | None) -> Kept:
    """Make an episode of a recording that was cut off; the scan gives its stored frames."""
    dataset = Dataset.open(one.folder)
    # One cut off before its scan's identity was known is checked against the scan given.
    fits = volume is not None and one.recording.identity in (None, volume.identity)
    return _kept(dataset, dataset.recover(one.recording, volume if fits else None))


def dismiss(one: CutOff) -> None:
    """Put a recording that was cut off aside; nothing is deleted."""
    Dataset.open(one.folder).dismiss(one.recording)


def known_folders() -> list[Path]:
    """Datasets in the default place and those used lately elsewhere."""
    home = flights_directory()
    ours = sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else []
    return [folder for folder in [*ours, *recent_folders()] if folder.is_dir()]


def recent_folders() -> list[Path]:
    """Datasets used lately, newest first; an unreadable list counts as none."""
    try:
        listed = json.loads(_recent_file().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(listed, list):
        return []
    return [Path(one) for one in listed if isinstance(one, str) and "\0" not in one][:_RECENT]


def note_recent(folder: Path) -> None:
    """Remember a dataset as the one used last."""
    listed = [folder, *(one for one in recent_folders() if one != folder)][:_RECENT]
    write_text(_recent_file(), json.dumps([str(one) for one in listed]))


def steady_flight(
    volume: Volume, poses: list[Pose], hertz: float, source: str, **facts: object
) -> Flight:
    """Made poses as a flight at a dataset's rate."""
    times = np.round(np.arange(len(poses)) * (1e9 / hertz)).astype(np.int64)
    return Flight(volume.identity, poses, times, flight_info(volume, source=source, **facts))


def _contents(dataset: Dataset) -> Contents:
    episodes = tuple(_episode(number, entry) for number, entry in enumerate(dataset.entries))
    return Contents(
        dataset.folder, dataset.hertz, episodes, bool(dataset.undone), tuple(dataset.notes)
    )


def _episode(number: int, entry: Entry) -> Episode:
    return Episode(
        number,
        entry.task,
        entry.source,
        entry.duration_s,
        entry.frames,
        entry.identity,
        locate(entry.identity),
    )


def _kept(dataset: Dataset, entry: Entry) -> Kept:
    """A new episode, read back: what is replayed is what was stored."""
    dataset.reload()
    number = [one.uid for one in dataset.entries].index(entry.uid)
    contents = _contents(dataset)
    return Kept(contents, number, dataset.flight(number), entry.cut_s, tuple(dataset.notes))


def _recent_file() -> Path:
    return data_directory() / "datasets.json"


def _holds_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise MrisslError(
            f"folder could not be read ({error.strerror or type(error).__name__})",
            where=folder,
            remedy="choose another folder",
        ) from error
