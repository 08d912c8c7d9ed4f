"""Follows a run from its folder alone, in a thread of its own: events, state, images."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qtpy.QtCore import QObject, QThreadPool, Signal
from qtpy.QtGui import QImage

from napari_mrissl.errors import printable
from napari_mrissl.training.events import IMAGES, Event, EventTail, ImageEvent
from napari_mrissl.training.run import Run
from napari_mrissl.training.states import RunState
from napari_mrissl.ui.jobs import Control, JobRunner
from napari_mrissl.ui.pretraining.history import History, Picture

_LOOK = 0.2
_LOOK_AT_STATE = 0.5
_PATIENCE = 120.0
"""Seconds after the end of a run elsewhere in which pictures may still be copied."""

_AT_ONCE = 400
"""Events handed to the GUI thread in one message."""


class _Seen(NamedTuple):
    """What is new since the last message.

    Attributes
    ----------
    generation
        Of the events; another one begins from the first event again.
    """

    generation: int
    events: Sequence[Event] = ()
    images: Sequence[tuple[Picture, QImage]] = ()
    state: RunState | None = None


class Follower(QObject):
    """What is known of one run, kept up to date while it goes on.

    Parameters
    ----------
    kind
        What napari calls the run in its question before it closes.

    Attributes
    ----------
    changed : Signal()
        `history` has grown.
    state_changed : Signal()
        `state` is another one.
    pictured : Signal(object, object)
        A `Picture` and its image.
    opened : Signal()
        Another run, or none, is followed.
    failed : Signal(str)
        The folder cannot be read, in one sentence.
    folder, run, state
        Of the run that is followed, or None.
    title
        What napari calls the following.
    """

    changed = Signal()
    state_changed = Signal()
    pictured = Signal(object, object)
    opened = Signal()
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None, kind: str = "pretraining run") -> None:
        super().__init__(parent)
        self._kind = kind
        self.folder: Path | None = None
        self.run: Run | None = None
        self.state: RunState | None = None
        self.history = History()
        self._tail: EventTail | None = None
        self._generation = 0
        self.title = ""
        self._jobs = JobRunner(self)
        self._jobs.failed.connect(self.failed)

    @property
    def following(self) -> bool:
        """Whether the run's folder is being looked at."""
        return self._jobs.running

    @property
    def alive(self) -> bool:
        """Whether a process has the run, or is about to."""
        return self.state is not None and goes_on(self.state)

    def follow(self, folder: str | Path, closing_words: str = "") -> None:
        """Follow a run; again the same one looks on from where it was.

        Parameters
        ----------
        folder
            Of the run.
        closing_words
            What happens to it when napari is closed, for napari's own question.
        """
        folder = Path(folder)
        if folder != self.folder:
            self.leave()
            self.folder = folder
            self._tail = EventTail(folder)
        elif self.following:
            return
        tail = self._tail
        self.title = f"{self._kind} {printable(folder.name)} {closing_words}".strip()
        self._jobs.start(
            lambda control: _watch(control, folder, tail),
            title=self.title,
            received=self._receive,
        )

    def leave(self) -> None:
        """Follow none; the run itself goes on."""
        self._jobs.cancel()
        self.folder = self.run = self.state = self._tail = None
        self.history = History()
        self._generation = 0
        self.opened.emit()

    def close(self) -> None:
        """End the thread; nothing is told any more."""
        self._jobs.close()

    def _receive(self, seen: Any) -> None:
        if isinstance(seen, Run):
            self.run = seen
            self.opened.emit()
            return
        if seen.generation != self._generation:
            self._generation = seen.generation
            self.history = History()
            self.opened.emit()
        for event in seen.events:
            self.history.add(event)
        if seen.events:
            self.changed.emit()
        for picture, image in seen.images:
            self.pictured.emit(picture, image)
        if seen.state is not None and seen.state != self.state:
            self.state = seen.state
            self.state_changed.emit()


def goes_on(state: RunState) -> bool:
    """Whether a process has a run, or is about to; also one that hangs."""
    return state.active or state.alive


def _watch(control: Control, folder: Path, tail: EventTail) -> None:
    """Look until the run has ended; its thread sleeps nearly always."""
    pool = QThreadPool.globalInstance()
    # Else a run of hours would take a place from every other job of the viewer.
    pool.releaseThread()
    try:
        _look_on(control, folder, tail)
    finally:
        pool.reserveThread()


def _look_on(control: Control, folder: Path, tail: EventTail) -> None:
    run = Run.open(folder)
    control.send(run)
    # Most of a second that the GUI thread need not spend; without it the panel says so.
    with contextlib.suppress(ImportError):
        importlib.import_module("pyqtgraph")
    next_look, ended_at, state = 0.0, time.monotonic(), None
    ended, late = False, dict[str, ImageEvent]()
    while not control.cancelled():
        now = time.monotonic()
        if now >= next_look:
            next_look = now + _LOOK_AT_STATE
            state = run.state()
            # From another machine there may be news yet.
            ended = not (goes_on(state) or state.unsure)
        # The state first: what was written before a run's end is read after it.
        events = tail.poll()
        for start in range(0, len(events), _AT_ONCE):
            part = events[start : start + _AT_ONCE]
            late |= {one.name: one for one in part if isinstance(one, ImageEvent)}
            control.send(_Seen(tail.generation, part, _images(folder, late)))
            if control.cancelled():
                return
        if late and (came := _images(folder, late)):
            control.send(_Seen(tail.generation, images=came))
        if state is not None:
            control.send(_Seen(tail.generation, state=state))
        if ended and (state is None or state.here or not late or now > ended_at + _PATIENCE):
            return
        ended_at = ended_at if ended else now
        time.sleep(_LOOK)


def _images(folder: Path, late: dict[str, ImageEvent]) -> list[tuple[Picture, QImage]]:
    """The newest image of each name, read here and not on the GUI thread.

    Those that can be read are no longer ``late``: of a folder that is being copied, events
    come before the files they name.
    """
    found = []
    for event in list(late.values()):
        image = QImage(str(folder / IMAGES / event.file))
        if not image.isNull():
            found.append((Picture.of(event), image))
            del late[event.name]
    return found
