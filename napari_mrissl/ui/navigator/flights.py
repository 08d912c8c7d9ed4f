"""Flights through the scan at hand: recorded into a dataset, replayed into the navigator."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from psygnal import Signal
from qtpy.QtCore import QObject
from qtpy.QtCore import Signal as QtSignal
from qtpy.QtWidgets import QApplication

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Flight, Recorder
from napari_mrissl.ui.navigator.sharing import real_viewer, state_of
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.recorder.player import FlightPlayer
from napari_mrissl.ui.recorder.shelf import DatasetShelf, Ending

if TYPE_CHECKING:
    from napari_mrissl.ui.recorder.work import Kept
    from napari_mrissl.volumes.volume import Volume

COLUMNS = ("cursor", "window", "clicks", "layers")
HERTZ = 20.0
FRAME_SIZE = 256

_decks: weakref.WeakKeyDictionary[Any, FlightDeck] = weakref.WeakKeyDictionary()


def deck_of(viewer: object) -> FlightDeck:
    """The one deck of a viewer, made when its first face asks; see `FlightDeck.enter`."""
    viewer = real_viewer(viewer)
    if viewer not in _decks:
        _decks[viewer] = FlightDeck(state_of(viewer), QApplication.instance())
    return _decks[viewer]


class FlightDeck(QObject):
    """Records the poses of a navigator into a dataset, and replays flights into it.

    Parameters
    ----------
    state
        The viewer's navigator state.
    clock
        Nanoseconds, monotonic, for the replay.

    Attributes
    ----------
    changed : psygnal.Signal()
        Anything but the poses that come while recording.
    said, failed : psygnal.Signal(str)
        What was done, and what went wrong, as a sentence.
    recording_changed : psygnal.Signal(bool)
        A recording began, or ended.
    shelf, player
        The dataset, and the replay.
    task, hertz, columns, keep_frames
        What the next recording gets: text, poses a second, what is kept beside the
        poses (of `COLUMNS`), and whether rendered frames are.
    number
        Of the episode that is replayed, or None when the flight is none.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(str)
    recording_changed = Signal(bool)
    # Qt's, not psygnal's: it is emitted in the journal's thread and heard in this one.
    _refused = QtSignal(str)

    def __init__(
        self,
        state: NavigatorState,
        parent: QObject | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(parent)
        self._faces = 0
        self._closed = False
        self._state = state
        self._recorder: Recorder | None = None
        self._recorded: Volume | None = None
        self._ending: Ending | None = None
        self._task = ""
        self.columns: frozenset[str] = frozenset()
        self.keep_frames = False
        self.number: int | None = None
        self._hertz = HERTZ
        self.shelf = DatasetShelf(self)
        self.player = FlightPlayer(state, self, clock)
        self._refused.connect(self._on_refused)
        self.shelf.changed.connect(self.changed.emit)
        self.shelf.said.connect(self.said.emit)
        self.shelf.failed.connect(self.failed.emit)
        self.player.changed.connect(self.changed.emit)
        state.pose_changed.connect(self._on_pose)
        state.volume_changed.connect(self._on_volume)

    @property
    def state(self) -> NavigatorState:
        """What flies."""
        return self._state

    @property
    def volume(self) -> Volume | None:
        """The scan flown through, or None."""
        return self._state.volume

    @property
    def recording(self) -> bool:
        """Whether a flight is being recorded, paused or not."""
        return self._recorder is not None

    @property
    def paused(self) -> bool:
        """Whether the recording waits."""
        return self._recorder is not None and self._recorder.paused

    @property
    def saving(self) -> bool:
        """Whether the last recording is still being made an episode."""
        return self._ending is not None

    @property
    def frames(self) -> int:
        """How many poses the recording holds so far."""
        return self._recorder.poses if self._recorder is not None else 0

    @property
    def seconds(self) -> float:
        """How long the recording is so far, without pauses."""
        return self._recorder.seconds if self._recorder is not None else 0.0

    @property
    def task(self) -> str:
        """What is to be done in the next episodes, and in the one being recorded."""
        return self._task

    @task.setter
    def task(self, text: str) -> None:
        self._task = text
        if self._recorder is not None:
            try:
                self._recorder.task = text
            except MrisslError as error:
                self._on_refused(str(error))

    @property
    def hertz(self) -> float:
        """Poses a second: the dataset's, or what a new one gets."""
        return self.shelf.contents.hertz or self._hertz

    @hertz.setter
    def hertz(self, hertz: float) -> None:
        self._hertz = float(hertz)
        self.changed.emit()

    @property
    def flight(self) -> Flight | None:
        """The flight that is replayed."""
        return self.player.flight

    @property
    def replaying(self) -> bool:
        """Whether a flight is being replayed."""
        return self.player.playing

    @property
    def progress(self) -> float:
        """How far the replay is, 0 to 1."""
        return self.player.progress

    @property
    def speed(self) -> float:
        """How many seconds of a flight pass in one."""
        return self.player.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self.player.speed = float(speed)

    def enter(self) -> None:
        """Another panel shows this deck."""
        self._faces += 1

    def leave(self, *, wait: bool = False) -> None:
        """A panel goes; with the last one a recording ends and is kept.

        With ``wait`` it is an episode when this returns, as when the window closes.
        """
        self._faces -= 1
        if wait:
            self.stop_recording(wait=True)
        if self._faces == 0:
            self.close(wait=wait)

    def record(self) -> None:
        """Start a new episode; the present pose is its first."""
        volume = self.volume
        if self.recording or volume is None:
            return
        self.player.pause()
        try:
            self._recorder = Recorder(
                self.shelf.folder,
                volume,
                task=self.task,
                hertz=self.hertz,
                columns=self.columns,
                frame_size=FRAME_SIZE if self.keep_frames else None,
                on_error=lambda error: self._refused.emit(str(error)),
            )
        except MrisslError as error:
            self.failed.emit(str(error))
        else:
            self._recorded = volume
            self.said.emit(f"Recording into {self.shelf.name}.")
            # What is kept beside the poses is there before the first of them.
            self.recording_changed.emit(True)
            self._give("pose", self._state.pose)
        self.changed.emit()

    def pause(self) -> None:
        """Let the recording wait; what is done meanwhile is not in it."""
        if self._recorder is not None and not self._recorder.paused:
            self._recorder.pause()
            self.changed.emit()

    def resume(self) -> None:
        """Go on recording, from where the slice is now."""
        if self._recorder is not None and self._recorder.paused:
            self._recorder.resume()
            self._give("pose", self._state.pose)
            self.changed.emit()

    def stop_recording(self, why: str = "", *, wait: bool = False) -> None:
        """End the recording, which becomes an episode in the background."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        self._ending = ending = Ending(recorder, self.shelf.folder)
        self.recording_changed.emit(False)
        self.shelf.commit(ending, partial(self._on_kept, ending, why))
        if wait:
            self._finish_saving()
        self.changed.emit()

    def save_again(self, ending: Ending) -> None:
        """Try once more to make an episode of a recording that the disk refused."""
        self.shelf.commit(ending, partial(self._on_kept, ending, ""))

    def discard(self) -> None:
        """End the recording as an episode that was taken back; redo returns it."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        self.recording_changed.emit(False)
        self.shelf.discard(recorder)
        self.changed.emit()

    def note_cursor(self, point: ArrayLike | None) -> None:
        """The mouse is over a point (3,) in world RAS mm, or over none of the scan."""
        self._give("cursor", point)

    def note_window(self, low: float, high: float) -> None:
        """The contrast limits are these."""
        self._give("window", low, high)

    def note_click(self, point: ArrayLike, label: int) -> None:
        """A click (3,) in world RAS mm with a class was placed."""
        self._give("click", point, label)

    def note_layers(self, visible: Mapping[str, bool]) -> None:
        """These layers are visible or not, by the name of their bit."""
        self._give("layers", dict(visible))

    def replay(self) -> None:
        """Replay the flight from its beginning; undo returns to where it was started."""
        if self.recording or self.replaying or not self.player.ready:
            return
        self._say_if_other_scan()
        self.player.restart()

    def stop_replay(self) -> None:
        """Stop where the replay is."""
        self.player.pause()

    def set_flight(self, flight: Flight | None, number: int | None = None) -> None:
        """Make a flight, or an episode of the dataset, the one to replay."""
        self.number = number
        self.player.set_flight(flight)
        if flight is not None:
            self.said.emit(f"{len(flight)} poses, {flight.duration_s:.1f} s.")

    def select(self, number: int) -> None:
        """Read an episode of the dataset, to be replayed."""
        folder = self.shelf.folder

        def done(flight: Flight) -> None:
            if self.shelf.folder == folder:
                self.set_flight(flight, number)
                self._say_if_other_scan()

        if 0 <= number < len(self.shelf.contents.episodes):
            self.shelf.read(number, done)

    def choose_dataset(self, folder: str | Path) -> None:
        """Use another dataset from now on."""
        if self.recording or self.saving:
            self.failed.emit("The dataset cannot be changed while a flight is recorded.")
            return
        self.number = None
        self.player.set_flight(None)
        self.shelf.choose(Path(folder))

    def close(self, *, wait: bool = False) -> None:
        """Stop everything; a recording is kept."""
        if self._closed:
            return
        self._closed = True
        self.stop_recording(wait=wait)
        self._state.pose_changed.disconnect(self._on_pose)
        self._state.volume_changed.disconnect(self._on_volume)
        self.player.close()
        for viewer in [viewer for viewer, deck in _decks.items() if deck is self]:
            del _decks[viewer]
        self.shelf.changed.connect(self._retire)
        self._retire()

    def _retire(self) -> None:
        """Go once everything is on disk."""
        if not self.shelf.busy:
            self.shelf.changed.disconnect(self._retire)
            self.shelf.close()
            self.deleteLater()

    def _give(self, what: str, *event: Any) -> None:
        """Hand something to the recorder; if the disk refused before, the recording ends."""
        if self._recorder is None:
            return
        try:
            getattr(self._recorder, what)(*event)
        except MrisslError as error:
            self._on_refused(str(error))

    def _on_pose(self, pose: Pose) -> None:
        self._give("pose", pose)

    def _on_volume(self, volume: object) -> None:
        # The navigator tells of its scan again when only the layer around it changed.
        if self.recording and volume is not self._recorded:
            self.stop_recording("The scan changed. ")
        self.changed.emit()

    def _on_refused(self, sentence: str) -> None:
        if self._recorder is None:
            return
        self.failed.emit(f"The recording was ended: {sentence}")
        self.stop_recording()

    def _on_kept(self, ending: Ending, why: str, kept: Kept | None) -> None:
        if ending is self._ending:
            self._ending = None
        if kept is not None and kept.contents.folder == self.shelf.folder:
            self.number = kept.number
            self.player.set_flight(kept.flight)
            cut = f", {kept.cut_s:.0f} s of rest cut" if kept.cut_s >= 0.5 else ""
            self.said.emit(
                f"{why}Recorded {kept.flight.duration_s:.1f} s ({len(kept.flight)} poses{cut})"
                f" as episode {kept.number + 1} of {self.shelf.name}."
            )
        self.changed.emit()

    def _finish_saving(self) -> None:
        """Be an episode now, whether the job has begun or still waits for a thread."""
        if self._ending is None:
            return
        try:
            self._ending.commit(lambda _: None)
        except MrisslError as error:
            # Nobody may be there to read it; the journal is offered at the next start.
            self.failed.emit(str(error))

    def _say_if_other_scan(self) -> None:
        volume, flight = self.volume, self.flight
        if volume is None or flight is None:
            return
        # Only when it is known: finding an identity costs a pass over the voxels.
        known = volume.__dict__.get("identity")
        if known is not None and known != flight.identity:
            self.said.emit("This flight was flown over another scan.")
