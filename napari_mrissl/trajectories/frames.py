"""Frames of recorded episodes: those that were stored, or rendered again from the scan."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import BlockedVolume, Slices, compiled, render
from napari_mrissl.slicing.planes import planes_of_poses
from napari_mrissl.trajectories.dataset import Dataset
from napari_mrissl.trajectories.scan_index import locate
from napari_mrissl.volumes import Volume, read

_TABLES_KEPT = 32
_AT_ONCE = 16
_SEEN = 64
_BORDER = 0.5 + 1e-6
"""Voxels beyond the outer centres that count as inside; the rule of `slicing.render`."""


class Scans:
    """The scans that episodes were flown over, found by identity; the last few are kept.

    Parameters
    ----------
    given
        Scans at hand. All others are looked up where this machine saw them last, read,
        and checked to be the same ones.
    kept
        How many of those that were read stay in memory.
    """

    def __init__(self, given: Iterable[Volume] = (), kept: int = 2) -> None:
        self._given = {volume.identity: volume for volume in given}
        self._kept = max(kept, 1)
        self._read: OrderedDict[str, BlockedVolume] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # Each process reads for itself: sending voxels costs more, and paths stay here.
        return {**self.__dict__, "_read": OrderedDict()}

    def find(self, facts: Mapping[str, Any]) -> Volume | BlockedVolume:
        """The scan that an episode's facts about its volume name.

        Parameters
        ----------
        facts
            ``identity``, and ``frame``, ``shape`` and ``affine`` where they are known.

        Raises
        ------
        MrisslError
            If it is not known on this machine, cannot be read, is another one by now,
            or has another geometry than the facts say.
        """
        identity = facts["identity"]
        if identity in self._given:
            volume = self._given[identity]
            _check_geometry(volume, facts)
            compiled.settle("linear", volume.data.dtype)
            return volume
        if identity not in self._read:
            volume = _read_again(identity, facts.get("frame") or 0)
            while len(self._read) >= self._kept:
                self._read.popitem(last=False)
            self._read[identity] = BlockedVolume.of(volume)
            compiled.settle("blocked", volume.data.dtype)
        self._read.move_to_end(identity)
        found = self._read[identity]
        _check_geometry(found.volume, facts)
        return found

    def volume(self, facts: Mapping[str, Any]) -> Volume:
        """`find`, as a plain volume."""
        found = self.find(facts)
        return found.volume if isinstance(found, BlockedVolume) else found


class Episodes:
    """The numbers of a dataset's episodes; those of the last few stay in memory.

    Parameters
    ----------
    dataset
        The dataset, as it is now: episodes added later are not seen.
    """

    def __init__(self, dataset: Dataset) -> None:
        # A copy of its own: undoing an episode in the original must not shift numbers here.
        self.dataset = copy.copy(dataset)
        self.entries = tuple(dataset.entries)
        self._tables: OrderedDict[int, dict[str, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.entries)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": OrderedDict()}

    def table(self, episode: int) -> dict[str, Any]:
        """All columns of an episode but the frames."""
        if episode not in self._tables:
            while len(self._tables) >= _TABLES_KEPT:
                self._tables.popitem(last=False)
            self._tables[episode] = self.dataset.table(episode)
        self._tables.move_to_end(episode)
        return self._tables[episode]

    def rows_at(self, episode: int, hertz: float) -> NDArray[np.int64]:
        """The rows shown at a steady rate: each is held until the next one's time.

        At the episode's own rate these are all rows.
        """
        if hertz == self.entries[episode].hertz:
            return np.arange(self.entries[episode].frames)
        times = self.table(episode)["timestamp"]
        # Time stamps are rounded: a frame due at this very moment counts as shown.
        slack = 1e-6
        count = int((times[-1] - times[0] + slack) * hertz) + 1
        due = times[0] + np.arange(count) / hertz + slack
        rows: NDArray[np.int64] = np.searchsorted(times, due, side="right") - 1
        return rows

    def pictures(self, episode: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Stored frames (rows, N, N) float32."""
        first, last = int(rows.min()), int(rows.max())
        found = self.dataset.table(episode, ("frame",), first, last + 1)
        pictures: NDArray[np.float32] = found["frame"][rows - first]
        return pictures


class Frames:
    """Frames of episodes at one size.

    Parameters
    ----------
    episodes
        The episodes.
    size
        Pixels along a side; frames stored at this size are taken as they are.
    scans
        Where the scans come from.
    """

    def __init__(self, episodes: Episodes, size: int, scans: Scans) -> None:
        self.episodes = episodes
        self.size = size
        self.scans = scans

    def stored(self, episode: int) -> bool:
        """Whether an episode's frames were stored at this size."""
        return self.episodes.entries[episode].frame_size == self.size

    def of(self, wanted: Sequence[tuple[int, NDArray[np.int64]]]) -> list[Slices]:
        """Frames of rows of episodes: values and validity (rows, N, N) for each pair.

        All that is rendered over one scan is rendered in one call, each frame once.

        Raises
        ------
        MrisslError
            If a scan that is needed is not found, or is another one.
        """
        found: list[Slices | None] = [None] * len(wanted)
        over: dict[str, list[int]] = {}
        for k, (episode, rows) in enumerate(wanted):
            if self.stored(episode):
                found[k] = self._as_stored(episode, rows)
            else:
                identity = self.episodes.entries[episode].volume["identity"]
                over.setdefault(identity, []).append(k)
        for group in over.values():
            for k, slices in zip(group, self._rendered([wanted[k] for k in group]), strict=True):
                found[k] = slices
        return [slices for slices in found if slices is not None]

    def along(
        self, episode: int, progress: Callable[[float], None] | None = None
    ) -> Iterator[Slices]:
        """All frames of an episode in order, a few at a time."""
        count = self.episodes.entries[episode].frames
        for start in range(0, count, _AT_ONCE):
            stop = min(start + _AT_ONCE, count)
            yield from self.of([(episode, np.arange(start, stop))])
            if progress:
                progress(stop / count)

    def value_range(self, episode: int) -> tuple[float, float]:
        """Percentiles of an episode's frames, to be shown as black and white."""
        count = self.episodes.entries[episode].frames
        some = np.unique(np.linspace(0, count - 1, min(count, _SEEN)).astype(np.int64))
        (slices,) = self.of([(episode, some)])
        seen = slices.values[slices.valid & np.isfinite(slices.values)]
        low, high = (float(v) for v in np.percentile(seen, (0.5, 99.5))) if seen.size else (0, 1)
        return (low, high) if low < high else (low, low + 1.0)

    def _rendered(self, wanted: Sequence[tuple[int, NDArray[np.int64]]]) -> list[Slices]:
        episodes = {episode for episode, _ in wanted}
        scans = [self.scans.find(self.episodes.entries[n].volume) for n in sorted(episodes)]
        pairs = [(episode, int(row)) for episode, rows in wanted for row in rows]
        places = {pair: k for k, pair in enumerate(dict.fromkeys(pairs))}
        poses = [
            Pose.from_row(self.episodes.table(episode)["pose"][row]) for episode, row in places
        ]
        slices = render(scans[0], poses, self.size)
        parts = []
        for episode, rows in wanted:
            at = [places[episode, int(row)] for row in rows]
            consecutive = at == list(range(at[0], at[0] + len(at))) if at else False
            key: Any = slice(at[0], at[0] + len(at)) if consecutive else at
            parts.append(Slices(slices.values[key], slices.valid[key]))
        return parts

    def _as_stored(self, episode: int, rows: NDArray[np.int64]) -> Slices:
        values = self.episodes.pictures(episode, rows)
        facts = self.episodes.entries[episode].volume
        poses = [Pose.from_row(row) for row in self.episodes.table(episode)["pose"][rows]]
        return Slices(values, pixels_inside(facts, poses, self.size))


def pixels_inside(facts: Mapping[str, Any], poses: Sequence[Pose], size: int) -> NDArray[np.bool_]:
    """Whether pixels (K, N, N) lie in a volume of which only shape and affine are known."""
    to_index = np.linalg.inv(np.asarray(facts["affine"], np.float64))
    planes = planes_of_poses(to_index, poses, size)
    columns = np.arange(size)
    first, last = np.zeros((len(poses), size)), np.full((len(poses), size), size - 1.0)
    for axis, side in enumerate(facts["shape"]):
        origin, down, across = (planes[:, part, axis][:, None] for part in range(3))
        begin = origin + columns * down
        # Along a row the pixels inside are consecutive: where it enters, and where it leaves.
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (-_BORDER - begin) / across, (side - 1 + _BORDER - begin) / across
        low, high = np.minimum(one, other), np.maximum(one, other)
        level = np.broadcast_to(across == 0, begin.shape)
        within = (begin >= -_BORDER) & (begin <= side - 1 + _BORDER)
        low[level] = np.where(within, 0, size)[level]
        high[level] = size
        first, last = np.maximum(first, np.ceil(low)), np.minimum(last, np.floor(high))
    found: NDArray[np.bool_] = (columns >= first[..., None]) & (columns <= last[..., None])
    return found


def _read_again(identity: str, frame: int) -> Volume:
    path = locate(identity)
    if path is None:
        raise MrisslError(
            "the scan of an episode is not known on this machine",
            expected=f"the scan with identity {identity}",
            remedy="open it once on this machine, or give it (--scan)",
        )
    volume = read(path, frame=frame or None)
    if volume.identity != identity:
        raise MrisslError(
            "another scan lies where an episode's scan was",
            where=path,
            expected=f"the scan with identity {identity}",
            remedy="open the right one once",
        )
    return volume


def _check_geometry(volume: Volume, facts: Mapping[str, Any]) -> None:
    shape, affine = facts.get("shape"), facts.get("affine")
    same = (shape is None or tuple(shape) == volume.shape) and (
        affine is None or np.array_equal(np.asarray(affine, np.float64), volume.affine)
    )
    if not same:
        raise MrisslError(
            "the dataset says another geometry than the scan has",
            where=volume.name,
            expected=f"shape {volume.shape} and the scan's own affine",
            remedy="validate the dataset",
        )
