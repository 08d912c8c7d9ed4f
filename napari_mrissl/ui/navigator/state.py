"""What the navigator shows and where it is: no Qt, no napari, signals only."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from psygnal import Signal

from napari_mrissl.geometry import Pose, apply_action, apply_affine
from napari_mrissl.ui.navigator.anatomy import (
    Convention,
    Plane,
    mirrored,
    plane_rotation,
)
from napari_mrissl.ui.navigator.history import Edit, PoseHistory
from napari_mrissl.volumes.volume import Volume

_HOME = Pose(np.zeros(3), np.eye(3), 200.0)


class NavigatorState:
    """Volume, pose and history of one slice navigator.

    Parameters
    ----------
    clock
        Seconds, monotonic; decides which moves belong to one undo step.
    """

    pose_changed = Signal(Pose)
    volume_changed = Signal(object)
    history_changed = Signal()
    settings_changed = Signal()

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._volume: Volume | None = None
        self._source: object = None
        self._placed = False
        self._pose = _HOME
        self._history = PoseHistory(clock=clock)
        self._convention: Convention = "neurological"
        self._plane: Plane = "axial"
        self._interpolation = "linear"

    @property
    def volume(self) -> Volume | None:
        """The scan that is cut, or None."""
        return self._volume

    @property
    def source(self) -> object:
        """Where the scan came from, e.g. its layer; only handed on."""
        return self._source

    def set_volume(self, volume: Volume | None, source: object = None) -> None:
        """Cut another scan; the pose stays if its centre lies in the new scan."""
        if volume is self._volume and source is self._source:
            return
        before, self._volume, self._source = self._volume, volume, source
        changed = volume is not None and volume is not before
        if changed:
            lost = not (self._placed and self._inside(self._pose.center))
            # The pose is right before anyone hears of the scan and moves things himself.
            self._pose = self.home(self._plane) if lost else self.clamped(self._pose)
            self._placed = True
            if lost:
                self._history.clear()
        self.volume_changed.emit(volume)
        if changed:
            self.history_changed.emit()
            self.pose_changed.emit(self._pose)

    @property
    def pose(self) -> Pose:
        """The plane in world mm."""
        return self._pose

    @property
    def plane(self) -> Plane:
        """The preset to which the angles are measured."""
        return self._plane

    @property
    def base(self) -> np.ndarray:
        """Rotation (3, 3) of the current preset in the current convention."""
        return plane_rotation(self._plane, self._convention)

    @property
    def interpolation(self) -> str:
        """``"linear"`` or ``"nearest"``."""
        return self._interpolation

    @interpolation.setter
    def interpolation(self, value: str) -> None:
        if value != self._interpolation:
            self._interpolation = value
            self.settings_changed.emit()
            self.pose_changed.emit(self._pose)

    @property
    def convention(self) -> Convention:
        """From which side presets look: ``"neurological"`` or ``"radiological"``."""
        return self._convention

    def set_convention(self, convention: Convention) -> None:
        """Look from the other side: the shown plane stays and is mirrored; one undo step."""
        if convention == self._convention:
            return
        self._convention = convention
        self.settings_changed.emit()
        self.set_pose(mirrored(self._pose))

    def set_pose(self, pose: Pose, burst: str | None = None) -> None:
        """Go to a pose, kept near the volume; one undo step, or part of a burst."""
        pose = self.clamped(pose)
        if pose == self._pose:
            return
        self._history.note(self._pose, burst)
        self._apply(pose)
        self.history_changed.emit()

    def show(self, pose: Pose) -> None:
        """Go to a pose without an undo step: a frame of a flight that is replayed."""
        self._apply(self.clamped(pose))

    def note_step(self) -> None:
        """Make the present pose one that undo comes back to."""
        self._history.note(self._pose)
        self._history.end_burst()
        self.history_changed.emit()

    def note_edit(self, undo: Callable[[], None], redo: Callable[[], None]) -> None:
        """Make an edit that was just done a step of its own among the moves."""
        self._history.note_edit(Edit(undo, redo))
        self.history_changed.emit()

    def move(self, action: ArrayLike, burst: str | None = None) -> None:
        """Apply an action (7,) in the slice's own frame."""
        self.set_pose(apply_action(self._pose, action), burst)

    def end_burst(self) -> None:
        """The mouse was released: the next change is a new undo step."""
        self._history.end_burst()

    def go_to(self, point: ArrayLike) -> None:
        """Centre the slice on a point (3,) in world mm, orientation and fov unchanged."""
        self.set_pose(Pose(np.asarray(point, np.float64), self._pose.rotation, self._pose.fov))

    def go_to_plane(self, plane: Plane) -> None:
        """Turn to an anatomical plane through the present centre; one undo step."""
        self._plane = plane
        self.settings_changed.emit()
        pose = Pose(self._pose.center, plane_rotation(plane, self._convention), self._pose.fov)
        self.set_pose(pose)

    def reset(self) -> None:
        """Back to the middle of the scan in the present anatomical plane; one undo step."""
        self.set_pose(self.home(self._plane))

    def home(self, plane: Plane) -> Pose:
        """The pose that shows the middle of the scan whole."""
        if self._volume is None:
            return Pose(_HOME.center, plane_rotation(plane, self._convention), _HOME.fov)
        return Pose(
            self._volume.center,
            plane_rotation(plane, self._convention),
            float(self._volume.extent.max()),
        )

    @property
    def can_undo(self) -> bool:
        """Whether there is a move to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a move to do again."""
        return self._history.can_redo

    def undo(self) -> None:
        """Take back one move or edit."""
        self._go_in_time(self._history.undo(self._pose))

    def redo(self) -> None:
        """Do one taken-back move or edit again."""
        self._go_in_time(self._history.redo(self._pose))

    @property
    def fov_limits(self) -> tuple[float, float]:
        """Least and largest side length in mm: four voxels to three times the scan."""
        if self._volume is None:
            return 1.0, 1000.0
        return 4 * float(self._volume.spacing.min()), 3 * float(self._volume.extent.max())

    def step_along(self, direction: ArrayLike) -> float:
        """Voxel size in mm along a direction (3,) in world mm: what one wheel notch moves."""
        if self._volume is None:
            return 1.0
        unit = np.asarray(direction, np.float64)
        per_mm = self._volume.to_index[:3, :3] @ (unit / np.linalg.norm(unit))
        return 1.0 / float(np.linalg.norm(per_mm))

    def clamped(self, pose: Pose) -> Pose:
        """The closest pose whose centre lies in the scan and whose fov is useful."""
        if self._volume is None:
            return pose
        index = apply_affine(self._volume.to_index, pose.center)
        nearest = np.clip(index, -0.5, np.array(self._volume.shape) - 0.5)
        fov = float(np.clip(pose.fov, *self.fov_limits))
        if np.array_equal(index, nearest) and fov == pose.fov:
            return pose
        center = pose.center
        if not np.array_equal(index, nearest):
            center = apply_affine(self._volume.affine, nearest)
        return Pose(center, pose.rotation, fov)

    def _inside(self, point: np.ndarray) -> bool:
        if self._volume is None:
            return False
        index = apply_affine(self._volume.to_index, point)
        return bool((index >= -0.5).all() and (index <= np.array(self._volume.shape) - 0.5).all())

    def _go_in_time(self, pose: Pose | None) -> None:
        if pose is not None:
            self._apply(self.clamped(pose))
        self.history_changed.emit()

    def _apply(self, pose: Pose) -> None:
        self._pose = pose
        self.pose_changed.emit(pose)
