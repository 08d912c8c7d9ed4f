"""What every export is made of: stretches of flight between cuts, their numbers and pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing.pictures import gray
from napari_mrissl.trajectories.entries import Entry
from napari_mrissl.trajectories.frames import Episodes, Frames, Scans
from napari_mrissl.trajectories.sampling import actions_between

if TYPE_CHECKING:
    from napari_mrissl.trajectories.dataset import Dataset

LARGEST_SIZE = 2048
GREY = "black + (white - black) * grey / 255"
"""What a grey level stands for."""

_AT_ONCE = 32

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of an episode that was flown without a cut.

    Attributes
    ----------
    number
        Its place among all stretches.
    episode, entry
        Which episode of the dataset it is of, and what the dataset knows of that.
    rows
        Its frames in the episode, at the dataset's rate.
    poses
        (T, 8) float64 in the order of `POSE_COLUMNS`.
    """

    number: int
    episode: int
    entry: Entry
    rows: NDArray[np.int64]
    poses: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def actions(self) -> NDArray[np.float64]:
        """(T, 7): to the next frame, zeros in the last."""
        return actions_between(self.poses)

    @property
    def made(self) -> dict[str, Any]:
        """How it was made, JSON-ready."""
        entry = self.entry
        return {
            "episode": self.episode,
            "identity": entry.identity,
            "task": entry.task,
            "source": entry.source,
            "policy": entry.policy,
            "seed": entry.seed,
        }


class Stretches:
    """All stretches of a dataset, and their pictures at one size.

    Parameters
    ----------
    dataset
        What is exported.
    size
        Pixels along a side of the pictures.
    scans
        Where the scans come from; without it, they are looked up on this machine.
    progress
        Called with the fraction done. What it raises passes through.

    Raises
    ------
    MrisslError
        If the size is not usable, or there is no episode.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: int = 256,
        scans: Scans | None = None,
        progress: Progress | None = None,
    ) -> None:
        if not 1 <= size <= LARGEST_SIZE:
            raise MrisslError(f"image size {size}", expected=f"1 to {LARGEST_SIZE} pixels")
        if not len(dataset):
            raise MrisslError("the dataset has no episode", where=Path(dataset.folder))
        self.hertz = dataset.hertz
        self.size = size
        self.episodes = Episodes(dataset)
        self._frames = Frames(self.episodes, size, scans or Scans())
        self._progress = progress
        self._kept = [
            (episode, rows)
            for episode in range(len(self.episodes))
            for rows in self.episodes.stretches(episode, self.hertz)
        ]
        self._firsts = np.cumsum([0, *(len(rows) for _, rows in self._kept)])
        # Tasks that no episode has any more stay at home.
        self.tasks = list(dict.fromkeys(entry.task for entry in self.episodes.entries))
        self._windows: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Stretch]:
        for number in range(len(self)):
            yield self[number]
            self.tell(number + 1)

    def __getitem__(self, number: int) -> Stretch:
        episode, rows = self._kept[number]
        poses = self.episodes.table(episode)["pose"][rows]
        return Stretch(number, episode, self.episodes.entries[episode], rows, poses)

    @property
    def total(self) -> int:
        """Frames of all stretches."""
        return int(self._firsts[-1])

    def tell(self, number: int, frames: int = 0) -> None:
        """Report that all before a stretch is done, and so many frames of it."""
        if self._progress:
            self._progress((int(self._firsts[number]) + frames) / self.total)

    def pictures(self, stretch: Stretch) -> Iterator[NDArray[np.uint8]]:
        """Grey slices (K, N, N) of a stretch, some at a time.

        Raises
        ------
        MrisslError
            If the scan is not found.
        """
        window = self.window(stretch)
        for first in range(0, len(stretch), _AT_ONCE):
            rows = stretch.rows[first : first + _AT_ONCE]
            (slices,) = self._frames.of([(stretch.episode, rows)])
            yield gray(slices, window)
            self.tell(stretch.number, first + len(rows))

    def window(self, stretch: Stretch) -> tuple[float, float]:
        """The values shown as black and white: one pair a scan."""
        facts = stretch.entry.volume
        identity = facts["identity"]
        if identity not in self._windows:
            try:
                self._windows[identity] = self._frames.scans.volume(facts).display_window()
            except MrisslError:
                # Somebody else's scan: its stored frames say enough.
                if not self._frames.stored(stretch.episode):
                    raise
                self._windows[identity] = self._frames.value_range(stretch.episode)
        return self._windows[identity]

    def told(self) -> dict[str, Any]:
        """What the pictures were made of, JSON-ready: software, scans, and which is whose."""
        volumes: dict[str, Any] = {}
        for entry in self.episodes.entries:
            names = ("frame", "shape", "spacing_mm", "affine")
            volumes[entry.identity] = {name: entry.volume[name] for name in names}
        for identity, (low, high) in self._windows.items():
            volumes[identity] = {"black": low, "white": high, **volumes[identity]}
        return {
            "software": f"napari-mrissl {__version__}",
            "value": GREY,
            "volumes": volumes,
            "volume_of_episode": [self.episodes.entries[n].identity for n, _ in self._kept],
        }


def check_out(out: Path, dataset: Dataset) -> None:
    """Refuse to write into the dataset itself.

    Raises
    ------
    MrisslError
        If ``out`` lies in it.
    """
    inside, whole = os.path.realpath(out), os.path.realpath(dataset.folder)
    if os.path.commonpath([inside, whole]) == whole:
        raise MrisslError("lies in the dataset itself", where=out, remedy="give another folder")
