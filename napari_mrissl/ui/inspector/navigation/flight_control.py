"""Imagine mode: while it is on, the navigator's moves are flown in imagination."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.navigation.moves import effort
from napari_mrissl.ui.inspector.navigation import flying
from napari_mrissl.ui.inspector.navigation.flying import Flight, Target
from napari_mrissl.ui.inspector.navigation.sides import other_side
from napari_mrissl.ui.inspector.navigation.work import Loaded
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.navigator.state import NavigatorState

if TYPE_CHECKING:
    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe

SETTLED_MS = 150
"""A hand that has not moved for so long rests."""


class FlightControl(QObject):
    """One imagined flight at a time, behind the navigator's pose.

    Parameters
    ----------
    state
        Whose moves are followed.
    runner
        Steps in the background; a step is never cancelled for the sake of a later one, which
        it finds by itself.

    Attributes
    ----------
    changed : Signal()
        There is another moment, or none.
    flight : Flight or None
        The newest state of it.
    active : bool
        Whether imagine mode is on.
    waited_ms : float or None
        From the last move of the hand to its first picture.
    others : tuple of str
        Other actions that are imagined besides, see `flying.OTHERS`.
    probe : PoseProbe or None
        Reads a pose from the latents of each step.
    """

    changed = Signal()

    def __init__(self, state: NavigatorState, runner: JobRunner, parent: QObject) -> None:
        super().__init__(parent)
        self._state, self._runner = state, runner
        self._loaded: Loaded | None = None
        self._target: Target | None = None
        self._moved: float | None = None
        self.flight: Flight | None = None
        self.active = False
        self.waited_ms: float | None = None
        self.others: tuple[str, ...] = ()
        self.probe: PoseProbe | None = None
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(SETTLED_MS)
        self._rest.timeout.connect(self._on_rest)
        # The hand may have moved while a job ended, or while a flight began.
        runner.idle.connect(self._fly)
        runner.failed.connect(self.stop)

    def begin(self, loaded: Loaded) -> None:
        """Begin with the true slice at the navigator's pose; the present flight ends."""
        mind = loaded.opened.imagination
        if mind is None:
            return
        pose, probe, scan = other_side(self._state, self._state.pose), self.probe, loaded.scan
        self._runner.cancel()
        self._loaded, self._target, self.flight = loaded, Target(pose), None
        self.active = True
        self.waited_ms = self._moved = None
        self._runner.start(
            lambda c: flying.begin(c, mind, scan, pose, probe),
            title="an imagined flight",
            done=self._on_flight,
        )
        self.changed.emit()

    def use_probe(self, probe: PoseProbe) -> None:
        """Read poses from now on, and from the frame in view."""
        self.probe = probe
        if self.flight is not None:
            self.flight = flying.read_again(self.flight, probe)
            self.changed.emit()

    def restart(self) -> None:
        """Begin anew where the navigator is."""
        if self.active and self._loaded is not None:
            self.begin(self._loaded)

    def stop(self, _: object = None) -> None:
        """End imagine mode; the navigator stays."""
        if not self.active:
            return
        self.active = False
        self._rest.stop()
        self._runner.cancel()
        self.flight = self._target = self._loaded = None
        self.changed.emit()

    def back(self) -> None:
        """Take back the last step, and bring the navigator to where it led from."""
        flight = self.flight
        if not self.active or flight is None or not flight.steps:
            return
        self._runner.cancel()
        self._rest.stop()
        self.flight = flight.back()
        self._target = Target(self.flight.now.pose)
        self.waited_ms = self._moved = None
        self._state.set_pose(other_side(self._state, self.flight.now.pose))
        self.changed.emit()

    def halt(self) -> None:
        """Fly no farther; the navigator comes to where the flight has come.

        One that has not begun will not; one that rests is left alone.
        """
        flight = self.flight
        if flight is None:
            self.stop()
        elif self._runner.running:
            self._runner.cancel()
            self._rest.stop()
            self._target = Target(flight.now.pose)
            self._moved = None
            self._state.set_pose(other_side(self._state, flight.now.pose))

    def follow(self, pose: Pose) -> None:
        """The navigator has moved."""
        if not self.active or self._target is None:
            return
        if self._moved is None:
            self._moved = time.perf_counter()
        self._target.pose = other_side(self._state, pose)
        self._target.settled = False
        self._rest.start()
        self._fly()

    def close(self) -> None:
        """End for good."""
        self.active = False
        self._rest.stop()
        self.flight = self._target = self._loaded = self.probe = None

    def _on_rest(self) -> None:
        if self._target is not None:
            self._target.settled = True
            self._fly()

    def _fly(self) -> None:
        """Have steps taken, unless they are being taken or there are none to take."""
        flight, target = self.flight, self._target
        if flight is None or target is None or self._runner.running or flight.full:
            return
        whole = effort(flight.now.pose, target.pose, flight.reach)
        if whole < (flying.NEAR if target.settled else flying.LEAST_PART):
            self._moved = None if target.settled else self._moved
            return
        others, probe = self.others, self.probe
        self._runner.start(
            lambda c: flying.fly(c, flight, target, others, probe),
            title="an imagined step",
            received=self._on_step,
        )

    def _on_flight(self, flight: Flight) -> None:
        if self.active:
            self.flight = flight
            self.changed.emit()

    def _on_step(self, flight: Flight) -> None:
        if not self.active:
            return
        if self._moved is not None:
            self.waited_ms = 1e3 * (time.perf_counter() - self._moved)
            self._moved = None
        self._on_flight(flight)
