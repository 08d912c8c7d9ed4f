"""Recording the poses of a navigator, and what is done meanwhile, into a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from psygnal import Signal
from qtpy.QtCore import QObject
from qtpy.QtCore import Signal as QtSignal

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Recorder
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.recorder.shelf import DatasetShelf, Ending, takes_long

if TYPE_CHECKING:
    from napari_mrissl.ui.recorder.work import Kept
    from napari_mrissl.volumes.volume import Volume

HERTZ = 20.0
FRAME_SIZE = 256


class PoseRecording(QObject):
    """Records the poses of a navigator into the dataset of a shelf.

    Parameters
    ----------
    state
        The viewer's navigator state.

    Attributes
    ----------
    changed : psygnal.Signal()
        Anything but the poses that come while recording.
    said, failed : psygnal.Signal(str)
        What was done, and what went wrong, as a sentence.
    recording_changed : psygnal.Signal(bool)
        A recording began, or ended.
    shelf
        The dataset.
    task, hertz, columns, keep_frames
        What the next recording gets: text, poses a second, what is kept beside the
        poses (of `flights.COLUMNS`), and whether rendered frames are.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(str)
    recording_changed = Signal(bool)
    # Qt's, not psygnal's: it is emitted in the journal's thread and heard in this one.
    _refused = QtSignal(str)

    def __init__(self, state: NavigatorState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._recorder: Recorder | None = None
        self._recorded: Volume | None = None
        self._ending: Ending | None = None
        self._task = ""
        self._hertz = HERTZ
        self.columns: frozenset[str] = frozenset()
        self.keep_frames = False
        self.shelf = DatasetShelf(self)
        self._refused.connect(self._on_refused)
        self.shelf.changed.connect(self.changed.emit)
        self.shelf.said.connect(self.said.emit)
        self.shelf.failed.connect(self.failed.emit)

    def follow(self) -> None:
        """Follow the navigator until `close_recording`."""
        self._state.pose_changed.connect(self._on_pose)
        self._state.volume_changed.connect(self._on_volume)

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

    def record(self) -> None:
        """Start a new episode; the present pose is its first."""
        volume = self.volume
        if self.recording or volume is None:
            return
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
        """End the recording, which becomes an episode in the background; with ``wait`` now."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            self._end(recorder, why, leave=wait and takes_long(recorder, self.hertz))
        # It may have ended a moment ago, as when the layers go before their window.
        if wait and self._ending and not takes_long(self._ending.recorder, self.hertz):
            self._finish_saving()
        if recorder is not None:
            self.changed.emit()

    def took(self, kept: Kept) -> None:
        """A recording became an episode of the dataset."""

    def _end(self, recorder: Recorder, why: str, leave: bool) -> None:
        """Make an episode in the background, or leave the journal to be recovered."""
        if leave:
            recorder.leave()
            self.recording_changed.emit(False)
            return
        self._ending = ending = Ending(recorder, self.shelf.folder)
        self.recording_changed.emit(False)
        self.shelf.commit(ending, partial(self._on_kept, ending, why))

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

    def close_recording(self, *, wait: bool = False) -> None:
        """Follow the navigator no longer; a recording is kept."""
        self.stop_recording(wait=wait)
        self._state.pose_changed.disconnect(self._on_pose)
        self._state.volume_changed.disconnect(self._on_volume)

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
            self.took(kept)
            cut = f", {kept.cut_s:.0f} s of rest cut" if kept.cut_s >= 0.5 else ""
            self.said.emit(
                f"{why}Recorded {kept.flight.duration_s:.1f} s ({len(kept.flight)} poses{cut})"
                f" as episode {kept.number} of {self.shelf.name}."
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
