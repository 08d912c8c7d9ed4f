"""Recording and replaying flights: the state behind the flight panel."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer
from qtpy.QtCore import Signal as QtSignal

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import (
    Flight,
    FlightRecorder,
    pose_at,
    read_flight,
    remember,
    write_flight,
)
from napari_mrissl.ui.navigator.state import NavigatorState

FRAME_MILLISECONDS = 16


def flights_directory() -> Path:
    """Where flights go unless the user chooses a folder."""
    return data_directory() / "flights"


def new_flight_folder(parent: Path | None = None) -> Path:
    """A folder named after the time that does not exist yet, under ``parent``."""
    parent = parent or flights_directory()
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    folder, number = parent / stamp, 2
    while folder.exists():
        folder, number = parent / f"{stamp}_{number}", number + 1
    return folder


class FlightDeck(QObject):
    """Records the poses of a state, and replays a flight into it.

    Parameters
    ----------
    state
        The navigator's state.
    clock
        Nanoseconds, monotonic.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(str)
    # Qt's, not psygnal's: it is emitted in the journal's thread and heard in this one.
    _refused = QtSignal()

    def __init__(
        self,
        state: NavigatorState,
        parent: QObject | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._clock = clock
        self._recorder: FlightRecorder | None = None
        self.flight: Flight | None = None
        self.folder: Path | None = None
        self.parent_folder: Path | None = None
        self.speed = 1.0
        self._began = 0
        self._position = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._tick)
        self._refused.connect(self.stop_recording)
        state.pose_changed.connect(self._on_pose)
        state.volume_changed.connect(self._on_volume)

    @property
    def recording(self) -> bool:
        """Whether poses are being recorded."""
        return self._recorder is not None

    @property
    def replaying(self) -> bool:
        """Whether a flight is being replayed."""
        return self._timer.isActive()

    @property
    def frames(self) -> int:
        """How many poses the recording holds so far."""
        return self._recorder.frames if self._recorder else 0

    @property
    def progress(self) -> float:
        """How far the replay is, 0 to 1."""
        if self.flight is None or len(self.flight) < 2:
            return 0.0
        return min(1.0, self._position / max(1, int(self.flight.times_ns[-1])))

    def record(self) -> None:
        """Start to record into a new folder; the present pose is the first."""
        if self.recording or self._state.volume is None:
            return
        self.stop_replay()
        try:
            self._recorder = FlightRecorder(
                new_flight_folder(self.parent_folder),
                self._state.volume,
                on_error=lambda _: self._refused.emit(),
            )
            self._recorder.record(self._state.pose)
            self.said.emit(f"Recording into {self._recorder.folder.name}.")
        except MrisslError as error:
            self._recorder = None
            self.failed.emit(str(error))
        self.changed.emit()

    def stop_recording(self, why: str = "") -> None:
        """Finish the recording, which becomes the flight to replay."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            self.flight = recorder.stop()
            if recorder.volume.source is not None:
                # So that the command line finds the scan of this flight by its identity.
                remember(self.flight.identity, recorder.volume.source)
        except MrisslError as error:
            self.failed.emit(str(error))
        else:
            self.folder = recorder.folder
            self.said.emit(f"{why}Recorded {len(self.flight)} poses to {recorder.folder.name}.")
        self.changed.emit()

    def replay(self) -> None:
        """Replay the flight from its beginning; undo returns to where it was started."""
        if self.flight is None or not len(self.flight) or self.recording or self.replaying:
            return
        volume = self._state.volume
        if volume is None:
            return
        # Only when it is known: finding an identity costs a pass over the voxels.
        known = volume.__dict__.get("identity")
        if known is not None and known != self.flight.identity:
            self.said.emit("This flight was flown over another scan.")
        self._state.note_step()
        self._position = 0.0
        self._began = self._clock()
        self._timer.start()
        self.changed.emit()
        self._tick()

    def stop_replay(self) -> None:
        """Stop where the replay is."""
        if self.replaying:
            self._timer.stop()
            self.changed.emit()

    def set_flight(self, flight: Flight, folder: Path | None = None) -> None:
        """Make a flight the one to replay."""
        self.stop_replay()
        self.flight, self.folder = flight, folder
        self.said.emit(f"{len(flight)} poses, {flight.duration_s:.1f} s.")
        self.changed.emit()

    def load(self, folder: Path) -> None:
        """Read a flight's folder; a bad one is reported and changes nothing."""
        try:
            flight = read_flight(folder)
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        self.set_flight(flight, folder)

    def save(self, folder: Path) -> None:
        """Write the flight into a folder that holds none yet."""
        if self.flight is None:
            return
        try:
            write_flight(folder, self.flight)
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        self.folder = folder
        self.said.emit(f"Saved {len(self.flight)} poses to {folder.name}.")
        self.changed.emit()

    def close(self) -> None:
        """Stop everything; a recording is kept."""
        self.stop_replay()
        self.stop_recording()
        self._state.pose_changed.disconnect(self._on_pose)
        self._state.volume_changed.disconnect(self._on_volume)

    def _tick(self) -> None:
        if self.flight is None:
            return
        now = self._clock()
        self._position += (now - self._began) * self.speed
        self._began = now
        start = int(self.flight.times_ns[0])
        if self._position >= int(self.flight.times_ns[-1]) - start:
            self._timer.stop()
        self._state.show(pose_at(self.flight, start + self._position))
        self.changed.emit()

    def _on_pose(self, pose: Pose) -> None:
        if self._recorder is None:
            return
        try:
            self._recorder.record(pose)
        except MrisslError as error:
            self._recorder = None
            self.failed.emit(str(error))
        self.changed.emit()

    def _on_volume(self, volume: object) -> None:
        self.stop_replay()
        if self.recording:
            self.stop_recording("The scan changed. ")
