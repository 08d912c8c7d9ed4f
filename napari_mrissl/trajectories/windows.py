"""Windows of (frames, actions) out of recorded flights, for training on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.dataset import Dataset
from napari_mrissl.trajectories.frames import Episodes, Frames, Scans
from napari_mrissl.trajectories.sampling import actions_between

COLUMNS = ("cursor_ras", "window", "clicks", "layers")
"""What a window can carry beside frames, poses and actions, where it was recorded."""


class Window(NamedTuple):
    """Consecutive frames of one episode, and the actions between them.

    Attributes
    ----------
    frames
        (T, N, N) float32, in value units; 0 outside the scan.
    valid
        (T, N, N) bool: whether a pixel lies in the scan.
    actions
        (T - 1, 7) float64: ``apply_action(poses[k], actions[k])`` is ``poses[k + 1]``.
    poses
        (T, 8) float64 in the order of `POSE_COLUMNS`.
    episode
        Which episode of the dataset.
    start
        Which frame of it, at the rate of the windows, comes first.
    columns
        What else was asked for: arrays (T, ...), or a list of T for the clicks.
    """

    frames: NDArray[np.float32]
    valid: NDArray[np.bool_]
    actions: NDArray[np.float64]
    poses: NDArray[np.float64]
    episode: int
    start: int
    columns: dict[str, Any]


class Windows(Sequence[Window]):
    """All windows of a dataset, by number; a map-style dataset for a data loader.

    Windows never reach over the end of an episode; what is left at the end is too short
    and in none. A window depends on its number alone, never on those asked for before.
    Copies sent to other processes find and read the scans for themselves.

    Parameters
    ----------
    dataset
        A dataset, or its folder.
    length
        Frames T in a window.
    stride
        Frames from one window's start to the next; without it, windows do not overlap.
    size
        Pixels N along a side; without it, the size at which the frames were stored.
        Frames stored at this size are taken; all others are rendered from the scans.
    hertz
        Frames a second; without it, the dataset's rate. At another rate than an episode's
        each recorded pose is held until the next, and the actions are those between the
        poses that remain.
    scans
        Where the scans come from: `Scans` with some given, or one that keeps more.
    columns
        Which of `COLUMNS` a window carries.

    Raises
    ------
    MrisslError
        If an argument is not as described, or the dataset cannot be read. `__getitem__`
        raises one if a scan is not found, naming its identity, or is another one.
    """

    def __init__(
        self,
        dataset: Dataset | str | Path,
        length: int = 16,
        stride: int | None = None,
        *,
        size: int | None = None,
        hertz: float | None = None,
        scans: Scans | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        if not isinstance(dataset, Dataset):
            dataset = Dataset.open(dataset)
        stride = length if stride is None else stride
        if length < 1 or stride < 1:
            raise MrisslError(f"windows of {length} every {stride}", expected="one frame or more")
        self.length = length
        self.stride = stride
        self.hertz = dataset.hertz if hertz is None else float(hertz)
        if not 0 < self.hertz < 1e6:
            raise MrisslError(f"rate of {hertz} frames a second", expected="a rate > 0")
        self.columns = tuple(columns)
        self.episodes = Episodes(dataset)
        self.size = _stored_size(self.episodes) if size is None else size
        if self.size < 1:
            raise MrisslError(f"frames of {size} pixels", expected="one pixel or more")
        _check_columns(self.columns, self.episodes)
        self._frames = Frames(self.episodes, self.size, scans or Scans())
        self._rows = [self.episodes.rows_at(n, self.hertz) for n in range(len(self.episodes))]
        counts = [max(0, (len(rows) - length) // stride + 1) for rows in self._rows]
        self._ends = np.cumsum(counts, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, k: int) -> Window:  # type: ignore[override]
        return self.batch([k])[0]

    def __iter__(self) -> Iterator[Window]:
        return (self[k] for k in range(len(self)))

    def batch(self, numbers: Sequence[int]) -> list[Window]:
        """Several windows, each scan's frames rendered in one call and each frame once."""
        places = [self._place(int(k)) for k in numbers]
        wanted = [
            (episode, self._rows[episode][start : start + self.length]) for episode, start in places
        ]
        slices = self._frames.of(wanted)
        return [
            self._window(episode, start, rows, values, valid)
            for (episode, start), (_, rows), (values, valid) in zip(
                places, wanted, slices, strict=True
            )
        ]

    def _place(self, k: int) -> tuple[int, int]:
        """Episode and first frame of window k; negative numbers count from the end."""
        number = k + len(self) if k < 0 else k
        if not 0 <= number < len(self):
            raise IndexError(f"window {k} of {len(self)}")
        episode = int(np.searchsorted(self._ends, number, side="right"))
        before = int(self._ends[episode - 1]) if episode else 0
        return episode, (number - before) * self.stride

    def _window(
        self,
        episode: int,
        start: int,
        rows: NDArray[np.int64],
        values: NDArray[np.float32],
        valid: NDArray[np.bool_],
    ) -> Window:
        table = self.episodes.table(episode)
        poses = table["pose"][rows]
        columns = {
            name: [table[name][row] for row in rows] if name == "clicks" else table[name][rows]
            for name in self.columns
        }
        return Window(values, valid, actions_between(poses)[:-1], poses, episode, start, columns)


def _stored_size(episodes: Episodes) -> int:
    sizes = {entry.frame_size or 0 for entry in episodes.entries}
    if len(sizes) != 1 or 0 in sizes:
        raise MrisslError(
            "the dataset holds no frames, or frames of several sizes",
            where="size",
            expected="the number of pixels along a side",
        )
    return sizes.pop()


def _check_columns(columns: Sequence[str], episodes: Episodes) -> None:
    for name in columns:
        if name not in COLUMNS:
            raise MrisslError(f"column {name!r}", expected=", ".join(COLUMNS))
        for number, entry in enumerate(episodes.entries):
            if name not in entry.columns:
                raise MrisslError(f"episode {number} was recorded without {name}", where="columns")
