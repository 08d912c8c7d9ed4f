"""A short smooth flight of the slice to a pose that something else chose."""

from __future__ import annotations

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Flight
from napari_mrissl.trajectories.sampling import frame_times
from napari_mrissl.trajectories.splines import spline
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.recorder.player import FlightPlayer

SECONDS = 0.6
_HERTZ = 60.0


def glide(state: NavigatorState, pose: Pose, seconds: float = SECONDS) -> FlightPlayer | None:
    """Fly to a pose; who moves the slice meanwhile ends the flight, and undo returns from it.

    Returns
    -------
    FlightPlayer or None
        What flies, and is gone once it is there; None where there is nowhere to fly.
    """
    pose = state.clamped(pose)
    volume = state.volume
    if volume is None or pose == state.pose:
        state.set_pose(pose)
        return None
    poses = spline([state.pose, pose], _HERTZ, seconds)
    flight = Flight(volume.identity, poses, frame_times(len(poses), _HERTZ))
    player = _Glide(state, QApplication.instance())
    player.set_flight(flight)
    player.changed.connect(player.end_if_still)
    player.play()
    return player


class _Glide(FlightPlayer):
    """A player that is of no more use once it stands still."""

    def __init__(self, state: NavigatorState, parent: QObject | None) -> None:
        super().__init__(state, parent)
        self._ended = False

    def end_if_still(self) -> None:
        """Let go of the state after the last frame, or when somebody else took over."""
        if not self.playing and not self._ended:
            self._ended = True
            self.close()
            self.deleteLater()
