"""Record a flight while it is flown: each event goes to a journal at once; an episode follows."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.dataset import open_or_create
from napari_mrissl.trajectories.entries import Entry, cleaned, is_layer
from napari_mrissl.trajectories.episodes import rendered
from napari_mrissl.trajectories.flight import flight_info
from napari_mrissl.trajectories.journal import Journal
from napari_mrissl.trajectories.locks import DatasetLock
from napari_mrissl.trajectories.places import OPEN, REMOVED, aside, make_folder
from napari_mrissl.trajectories.sampling import OPTIONAL_COLUMNS, Event, sample
from napari_mrissl.trajectories.unfinished import KIND, live
from napari_mrissl.volumes.volume import Volume


class Recorder:
    """Records one episode; at most the last second can be lost, whatever happens.

    All but `commit`, `discard` and the construction return at once and never wait for
    the disk; they may be called from one thread while another commits.

    Parameters
    ----------
    dataset
        Folder of the dataset, made if need be.
    volume
        The scan flown through. Its identity is found in the journal's thread.
    task
        What is to be done, in words; can be changed while recording.
    hertz
        Frames a second of the episode; None for the dataset's rate, or 20 for a new one.
    columns
        Which optional columns to record: ``cursor``, ``window``, ``clicks``, ``layers``.
    frame_size
        Store the rendered slices, so many pixels along a side. They are parts of the
        scan itself and may identify the person in it.
    on_error
        Called once, in the journal's thread, if the disk refuses. What was recorded is
        kept in memory and can still be committed.

    Attributes
    ----------
    folder, volume, columns, frame_size
        As given.
    uid
        32 random hexadecimal digits, which the episode keeps.

    Raises
    ------
    MrisslError
        If another process writes into the dataset, it has another rate, or the disk
        refuses.
    """

    def __init__(
        self,
        dataset: str | Path,
        volume: Volume,
        *,
        task: str = "",
        hertz: float | None = None,
        columns: frozenset[str] | set[str] = frozenset(),
        frame_size: int | None = None,
        on_error: Callable[[MrisslError], None] | None = None,
        **settings: Any,
    ) -> None:
        unknown = set(columns) - set(OPTIONAL_COLUMNS)
        if unknown:
            raise MrisslError(
                f"column {sorted(unknown)[0]!r}", expected=", ".join(OPTIONAL_COLUMNS)
            )
        if frame_size is not None and not 1 <= frame_size <= 4096:
            raise MrisslError(f"frames of {frame_size} pixels", expected="1 to 4096 along a side")
        self.folder = Path(dataset)
        self.volume = volume
        self.columns = frozenset(columns)
        self.frame_size = frame_size
        self.uid = secrets.token_hex(16)
        self._task = cleaned(task)
        self._events: list[tuple[int, Event]] = []
        self._guard = threading.RLock()
        self._latest: Event = {}
        self._poses = 0
        self._pauses_ns = 0
        self._paused_at: int | None = None
        self._ended: int | None = None
        self._lock = DatasetLock(self.folder)
        try:
            self._dataset = open_or_create(self.folder, hertz)
            path = inside(self.folder, f"{OPEN}/{self.uid}.jsonl")
            make_folder(path.parent)
            facts = flight_info(volume)
            header = {
                "kind": KIND,
                "info": facts,
                "hertz": self._dataset.hertz,
                "columns": sorted(self.columns),
                "frame_size": frame_size,
                "task": self._task,
            }
            live.add(os.path.realpath(path))
            self._journal = Journal(
                path,
                lambda: {**header, "identity": volume.identity},
                on_error=on_error,
                **settings,
            )
        except BaseException:
            live.discard(os.path.realpath(self.folder / OPEN / f"{self.uid}.jsonl"))
            self._lock.release()
            raise

    @property
    def poses(self) -> int:
        """How many poses came so far."""
        return self._poses

    @property
    def paused(self) -> bool:
        """Whether the recording is paused."""
        return self._paused_at is not None

    @property
    def seconds(self) -> float:
        """How long the recording is, from its first pose, without pauses."""
        with self._guard:
            first = next((t for t, event in self._events if "pose" in event), None)
            if first is None:
                return 0.0
            now = self._ended if self._ended is not None else self._journal.now_ns
            pause = now - self._paused_at if self._paused_at is not None else 0
            return (now - first - self._pauses_ns - pause) / 1e9

    @property
    def task(self) -> str:
        """What is to be done, in words."""
        return self._task

    @task.setter
    def task(self, text: str) -> None:
        self._task = cleaned(text)
        self._note({"task": self._task})

    def pose(self, pose: Pose) -> None:
        """The plane is here now.

        Raises
        ------
        MrisslError
            If the recording has ended, or the disk refused an earlier event.
        """
        self._show({"pose": pose.to_row().tolist()})
        if not self.paused:
            self._poses += 1

    def cursor(self, point: ArrayLike | None) -> None:
        """The cursor is over this point, (3,) RAS mm, or over none; see `pose`."""
        if "cursor" in self.columns:
            place = None if point is None else _numbers(point, 3).tolist()
            self._show({"cursor": place})

    def window(self, low: float, high: float) -> None:
        """The slice is shown in this window of values; see `pose`."""
        if "window" in self.columns:
            self._show({"window": _numbers((low, high), 2).tolist()})

    def layers(self, visible: Mapping[str, bool]) -> None:
        """These layers are there, by ``image:<identity's first 12>`` or ``labels:<n>``.

        Raises
        ------
        MrisslError
            If a name is another, which might tell a file's name; or as `pose`.
        """
        if "layers" not in self.columns:
            return
        if not all(is_layer(name) for name in visible):
            raise MrisslError(
                "a layer is named in words", expected="image:<identity> or labels:<number>"
            )
        self._show({"layers": {name: bool(seen) for name, seen in visible.items()}})

    def click(self, point: ArrayLike, label: int) -> None:
        """A click of a class was made at a point, (3,) RAS mm; one in a pause is left out."""
        if "clicks" in self.columns and not self.paused:
            self._note({"click": [*_numbers(point, 3).tolist(), int(label)]})

    def pause(self) -> None:
        """Record nothing until `resume`; see `pose`."""
        with self._guard:
            if not self.paused:
                self._paused_at = self._note({"paused": True})

    def resume(self) -> None:
        """Record on, from what is shown now; see `pose`."""
        with self._guard:
            if self._paused_at is None:
                return
            if self._latest:
                self._note(dict(self._latest))
                self._poses += "pose" in self._latest
                self._latest.clear()
            now = self._note({"paused": False})
            self._pauses_ns += now - self._paused_at
            self._paused_at = None

    def stop(self) -> None:
        """The episode ends now; what comes later is refused. `commit` does so too."""
        with self._guard:
            if self._ended is not None:
                return
            self._ended = self._journal.now_ns
            self._events.append((self._ended, {"ended": True}))
        # A refusing disk was told to `on_error`; the events are in memory.
        with contextlib.suppress(MrisslError):
            self._journal.append({"ended": True})

    def commit(self, progress: Callable[[float], None] | None = None) -> Entry:
        """End the recording and write it as the dataset's last episode.

        To be called in a worker thread. Once it returns, the episode is on disk. If it
        fails it can be called again.

        Parameters
        ----------
        progress
            Called with the share that is done, 0 to 1.

        Raises
        ------
        MrisslError
            If nothing was recorded, or the disk refuses; the dataset is then as it was,
            and the recording is still there.
        """
        if not self._poses:
            raise MrisslError("nothing was recorded", expected="one pose or more")
        self.stop()
        samples = sample(self._events, self._dataset.hertz)
        pictures = None
        if self.frame_size is not None:
            pictures = rendered(self.volume, samples.poses, self.frame_size)
        entry = self._dataset.add(
            samples,
            self.volume.identity,
            flight_info(self.volume),
            task=self._task,
            columns=self.columns,
            uid=self.uid,
            frame_size=self.frame_size,
            pictures=pictures,
            progress=progress,
        )
        # If it stays, the next to write puts the journal of a listed episode aside.
        with contextlib.suppress(OSError):
            self._journal.drop()
        self._let_go()
        return entry

    def discard(self) -> None:
        """End the recording without an episode; the journal goes to ``removed``.

        Raises
        ------
        MrisslError
            If the disk refuses.
        """
        try:
            self.leave()
            aside(self.folder, self._journal.path, REMOVED)
        finally:
            self._let_go()

    def leave(self) -> None:
        """End the recording and keep its journal, to be recovered another time.

        A disk that refused was told to `on_error`; what it took is in the journal.
        """
        self.stop()
        with contextlib.suppress(MrisslError):
            self._journal.close()
        self._let_go()

    def _let_go(self) -> None:
        live.discard(os.path.realpath(self._journal.path))
        self._lock.release()

    def _show(self, event: Event) -> None:
        """Something that stays until the next such event; in a pause only noted for later."""
        with self._guard:
            if self._ended is not None:
                raise MrisslError("the recording has ended")
            if self.paused:
                self._latest |= event
            else:
                self._note(event)

    def _note(self, event: Event) -> int:
        with self._guard:
            if self._ended is not None:
                raise MrisslError("the recording has ended")
            _, stamp = self._journal.record(event)
            self._events.append((stamp, event))
            return stamp


def _numbers(values: ArrayLike, count: int) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise MrisslError(f"not {count} finite numbers")
    return numbers
