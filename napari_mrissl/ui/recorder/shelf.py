"""The dataset at hand: its episodes, and every change of it as a job off the GUI thread."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QObject

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Flight, Recorder
from napari_mrissl.ui.jobs import Control, JobRunner
from napari_mrissl.ui.recorder import work
from napari_mrissl.volumes.volume import Volume

_endings: set[Ending] = set()


class Ending:
    """Commits a recording once, by whichever thread comes first; the others wait for it."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        self.recorder, self.folder = recorder, folder
        self._lock = threading.Lock()
        self._kept: work.Kept | None = None
        # From now on nothing is recorded, whenever the rest is done.
        recorder.stop()
        _endings.add(self)

    def commit(self, progress: Callable[[float], None]) -> work.Kept:
        """The episode that the recording became.

        Raises
        ------
        MrisslError
            If the disk refused; it can be tried again.
        """
        with self._lock:
            if self._kept is None:
                self._kept = work.commit(self.recorder, self.folder, progress)
                _endings.discard(self)
            return self._kept


@atexit.register
def _commit_what_is_left() -> None:
    """A job that waits for its thread when the program ends would never begin."""
    for ending in list(_endings):
        # Nobody is there to be told; the next start offers the journal.
        with contextlib.suppress(MrisslError):
            ending.commit(lambda _: None)


class DatasetShelf(QObject):
    """One dataset folder, looked at and changed in the background.

    Attributes
    ----------
    changed : psygnal.Signal()
        Another dataset, other episodes, other recordings that were cut off, or busy or not.
    said, failed : psygnal.Signal(str)
        What was done, and what went wrong, as a sentence.
    progressed : psygnal.Signal(float, str)
        How far the running job is.
    contents
        The dataset when it was looked at last.
    cut_off
        Recordings that nobody ended, in the known datasets.
    unsaved
        Recordings that the disk refused to make episodes of; they can be tried again.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(str)
    progressed = Signal(float, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.contents = work.Contents(work.default_folder())
        self.cut_off: tuple[work.CutOff, ...] = ()
        self.unsaved: tuple[Ending, ...] = ()
        self._looked = False
        self._jobs = JobRunner(self)
        self._jobs.failed.connect(self._on_failed)
        self._jobs.progressed.connect(self._on_progress)
        self._jobs.idle.connect(self._on_idle)

    @property
    def folder(self) -> Path:
        """Where the dataset is, or will be."""
        return self.contents.folder

    @property
    def name(self) -> str:
        """The folder's name, fit to be shown."""
        return "".join(c if c.isprintable() else "?" for c in self.folder.name)

    @property
    def busy(self) -> bool:
        """Whether something is being read or written."""
        return self._jobs.running

    def look(self) -> None:
        """Read the list of episodes, and look for recordings that were cut off."""
        self._looked = True
        self._start(partial(_look, self.folder), "Reading the dataset", self._found)

    def look_once(self) -> None:
        """`look`, unless that was done."""
        if not self._looked:
            self.look()

    def choose(self, folder: Path) -> None:
        """Use another dataset, existing or to be made; a bad one changes nothing."""
        self._looked = True

        def found(result: tuple[work.Contents, tuple[work.CutOff, ...]]) -> None:
            self._found(result)
            count = len(self.contents.episodes)
            held = f"{count} episode{'' if count == 1 else 's'}" if count else "no episodes yet"
            self.said.emit(" ".join((f"Dataset {self.name}: {held}.", *self.contents.notes)))

        self._start(partial(_choose, Path(folder)), "Reading the dataset", found)

    def read(self, number: int, done: Callable[[Flight], None]) -> None:
        """Read an episode and hand it on; a newer wish replaces an older one."""
        self._start(partial(_read, self.folder, number), "Reading the episode", done)

    def commit(self, ending: Ending, done: Callable[[work.Kept | None], None]) -> None:
        """Make an episode of a recording; None is handed on when the disk refused."""

        def ended(result: work.Kept | str) -> None:
            if isinstance(result, work.Kept):
                self._show_if_ours(result.contents)
                self.unsaved = tuple(one for one in self.unsaved if one is not ending)
                done(result)
                return
            if ending not in self.unsaved:
                self.unsaved = (*self.unsaved, ending)
            done(None)
            self.failed.emit(f"The flight could not be saved: {result}")
            self.changed.emit()

        self._start(partial(_commit, ending), "Saving the flight", ended)

    def discard(self, recorder: Recorder) -> None:
        """End a recording as one that was undone, so that it can be brought back."""
        recorder.stop()

        def ended(contents: work.Contents) -> None:
            self._show_if_ours(contents)
            self.said.emit("The flight was discarded; Redo brings it back.")

        self._start(lambda _: work.discard(recorder), "Discarding the flight", ended)

    def append(
        self,
        flight: Flight,
        hertz: float,
        task: str,
        source: str,
        done: Callable[[work.Kept], None],
    ) -> None:
        """Put a made flight behind the last episode."""

        def kept(result: work.Kept) -> None:
            self._show_if_ours(result.contents)
            done(result)

        folder = self.folder
        self._start(
            lambda _: work.append(folder, flight, hertz, task, source), "Saving the flight", kept
        )

    def undo_last(self) -> None:
        """Take the last episode back."""
        number = len(self.contents.episodes)
        self._change(work.undo_last, f"Episode {number} was taken out of the dataset.")

    def redo_last(self) -> None:
        """Bring back the episode that was undone last."""
        number = len(self.contents.episodes) + 1
        self._change(work.redo_last, f"Episode {number} is back in the dataset.")

    def set_task(self, number: int, task: str) -> None:
        """Say what was to be done in an episode."""
        self._start(
            lambda _: work.set_task(self.folder, number, task),
            "Writing the task",
            partial(self._changed_to, f"The task of episode {number + 1} was changed."),
        )

    def recover(self, one: work.CutOff, volume: Volume | None = None) -> None:
        """Make an episode of a recording that was cut off; the scan gives stored frames."""
        self._start(partial(_recover, one, volume), "Recovering a flight", self._after_cut_off)

    def dismiss(self, one: work.CutOff) -> None:
        """Put a recording that was cut off aside; nothing is deleted."""
        self._start(partial(_dismiss, one), "Putting a flight aside", self._after_cut_off)

    def close(self) -> None:
        """Deliver nothing any more."""
        self._jobs.close()

    def _change(self, change: Callable[[Path], work.Contents], sentence: str) -> None:
        folder = self.folder
        self._start(
            lambda _: change(folder), "Changing the dataset", partial(self._changed_to, sentence)
        )

    def _changed_to(self, sentence: str, contents: work.Contents) -> None:
        self._show(contents)
        self.said.emit(sentence)

    def _after_cut_off(self, result: tuple[str, work.Kept | None, Any]) -> None:
        sentence, kept, left = result
        self.cut_off = left
        if kept is not None:
            self._show_if_ours(kept.contents)
        self.changed.emit()
        self.said.emit(sentence)

    def _found(self, result: tuple[work.Contents, tuple[work.CutOff, ...]]) -> None:
        self.cut_off = result[1]
        self._show(result[0])

    def _show(self, contents: work.Contents) -> None:
        self.contents = contents
        self.changed.emit()

    def _show_if_ours(self, contents: work.Contents) -> None:
        """Another dataset may have been chosen while one was written."""
        if contents.folder == self.folder:
            self._show(contents)

    def _start(
        self, job: Callable[[Control], Any], title: str, done: Callable[[Any], None]
    ) -> None:
        self._jobs.start(job, title=title, done=done, queue=True)
        self.changed.emit()

    def _on_progress(self, part: float, text: str) -> None:
        self.progressed.emit(part, text)

    def _on_idle(self) -> None:
        self.changed.emit()

    def _on_failed(self, sentence: str) -> None:
        self.failed.emit(sentence)


def _look(folder: Path, control: Control) -> tuple[work.Contents, tuple[work.CutOff, ...]]:
    return work.look(folder), _left(folder)


def _choose(folder: Path, control: Control) -> tuple[work.Contents, tuple[work.CutOff, ...]]:
    contents = work.look(folder)
    work.note_recent(folder)
    return contents, _left(folder)


def _read(folder: Path, number: int, control: Control) -> Flight:
    return work.read_episode(folder, number)


def _commit(ending: Ending, control: Control) -> work.Kept | str:
    try:
        return ending.commit(control.progress)
    except MrisslError as error:
        return str(error)


def _left(folder: Path) -> tuple[work.CutOff, ...]:
    return work.cut_off([folder, *work.known_folders()])


def _recover(
    one: work.CutOff, volume: Volume | None, control: Control
) -> tuple[str, work.Kept | None, Any]:
    kept = work.recover(one, volume)
    sentence = f"Recovered {kept.flight.duration_s:.0f} s as episode {kept.number + 1}."
    return " ".join((sentence, *kept.notes)), kept, _left(one.folder)


def _dismiss(one: work.CutOff, control: Control) -> tuple[str, work.Kept | None, Any]:
    work.dismiss(one)
    return "Put aside; the recording stays in the dataset's folder.", None, _left(one.folder)
