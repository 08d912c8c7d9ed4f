"""Replays a flight into the navigator: play, pause, speed, scrub and single frames."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Flight, pose_at
from napari_mrissl.ui.navigator.state import NavigatorState

FRAME_MILLISECONDS = 16
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)


class FlightPlayer(QObject):
    """Shows a flight's poses at their times; whoever moves the slice meanwhile ends it.

    Parameters
    ----------
    state
        What is moved.
    clock
        Nanoseconds, monotonic.

    Attributes
    ----------
    changed : psygnal.Signal()
        Another flight, another place in it, or play and pause.
    flight
        What is replayed, or None.
    speed
        How many seconds of the flight pass in one.
    """

    changed = Signal()

    def __init__(
        self,
        state: NavigatorState,
        parent: QObject | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(parent)
        self._state, self._clock = state, clock
        self.flight: Flight | None = None
        self.speed = 1.0
        self._position = 0.0
        self._began = 0
        self._noted = False
        self._showing = False
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self.tick)
        state.pose_changed.connect(self._on_pose)
        state.volume_changed.connect(self._on_volume)

    @property
    def playing(self) -> bool:
        """Whether time passes."""
        return self._timer.isActive()

    @property
    def ready(self) -> bool:
        """Whether there is something to replay and a scan to replay it in."""
        return bool(self.flight) and self._state.volume is not None

    @property
    def duration_ns(self) -> int:
        """From the first pose to the last."""
        if not self.flight:
            return 0
        return int(self.flight.times_ns[-1] - self.flight.times_ns[0])

    @property
    def position_ns(self) -> float:
        """Time since the flight's first pose."""
        return self._position

    @property
    def frame(self) -> int:
        """Number of the pose that was reached last."""
        if not self.flight:
            return 0
        times = self.flight.times_ns - self.flight.times_ns[0]
        return max(0, int(np.searchsorted(times, self._position, side="right")) - 1)

    @property
    def progress(self) -> float:
        """How far the replay is, 0 to 1."""
        return min(1.0, self._position / self.duration_ns) if self.duration_ns else 0.0

    def set_flight(self, flight: Flight | None) -> None:
        """Replay another flight from now on; the slice stays where it is."""
        self.pause()
        self.flight, self._position, self._noted = flight, 0.0, False
        self.changed.emit()

    def restart(self) -> None:
        """Play from the beginning."""
        self._position = 0.0
        self.play()

    def play(self) -> None:
        """Play from here, or from the beginning if this is the end; undo returns from it."""
        if self.playing or not self.ready:
            return
        if self._position >= self.duration_ns:
            self._position = 0.0
        self._began = self._clock()
        self._timer.start()
        self._show()
        self.changed.emit()

    def pause(self) -> None:
        """Stay where the replay is."""
        if self.playing:
            self._timer.stop()
            self.changed.emit()

    def seek(self, nanoseconds: float) -> None:
        """Show the pose at a time since the flight's first pose."""
        if not self.ready:
            return
        self._position = float(np.clip(nanoseconds, 0, self.duration_ns))
        self._began = self._clock()
        self._show()
        self.changed.emit()

    def step(self, frames: int) -> None:
        """Pause, and go to the pose so many further on, or back."""
        self.pause()
        if self.flight and self.ready:
            number = int(np.clip(self.frame + frames, 0, len(self.flight) - 1))
            self.seek(int(self.flight.times_ns[number] - self.flight.times_ns[0]))

    def tick(self) -> None:
        """Show what is due by the clock."""
        if not self.ready:
            self.pause()
            return
        now = self._clock()
        self._position += (now - self._began) * self.speed
        self._began = now
        if self._position >= self.duration_ns:
            self._position = float(self.duration_ns)
            self._timer.stop()
        self._show()
        self.changed.emit()

    def close(self) -> None:
        """Stop, and let go of the state."""
        self._timer.stop()
        self._state.pose_changed.disconnect(self._on_pose)
        self._state.volume_changed.disconnect(self._on_volume)

    def _show(self) -> None:
        flight, state = self.flight, self._state
        if flight is None:
            return
        self._showing = True
        try:
            if not self._noted:
                # Undo comes back to where the user was, however often he scrubbed since.
                state.note_step()
                self._noted = True
            state.show(pose_at(flight, int(flight.times_ns[0]) + self._position))
        finally:
            self._showing = False

    def _on_pose(self, _: Pose) -> None:
        if not self._showing:
            self._noted = False
            self.pause()

    def _on_volume(self, _: object) -> None:
        self._noted = False
        self.pause()
