"""The main viewer's side of the link: drag the plane in 3D, click and slide in 2D."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose
from napari_mrissl.geometry.rotations import matrix_from_axis_angle
from napari_mrissl.ui.layers import to_world
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.navigator.units import position_of, world_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

CLICK_PIXELS = 4
"""A press and release closer together than this is a click."""


class MainViewLink:
    """Keeps the main viewer and the navigator at the same place.

    Ctrl-drag on the plane in 3D moves it along its normal, Ctrl+Shift-drag turns it;
    Ctrl-click in 2D goes to the clicked point; the 2D slider moves the slice and the
    slice moves the slider.

    Parameters
    ----------
    viewer
        The main viewer.
    state
        What is moved.
    """

    def __init__(self, viewer: ViewerModel, state: NavigatorState) -> None:
        self._viewer = viewer
        self._state = state
        self._busy = False
        self._sliding = False
        self._behind = True
        self.enabled = True
        state.pose_changed.connect(self._on_pose)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        viewer.dims.events.point.connect(self._on_slider)

    def disconnect(self) -> None:
        """Leave the viewer as it was found."""
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._viewer.dims.events.point.disconnect(self._on_slider)
        self._state.pose_changed.disconnect(self._on_pose)

    def follow(self, pose: Pose) -> None:
        """Bring the 2D slider to the middle of the slice."""
        dims = self._viewer.dims
        self._behind = False
        if not self.enabled or dims.ndisplay != 2 or dims.ndim < 3:
            return
        self._busy = True
        try:
            dims.set_point(range(dims.ndim - 3, dims.ndim), position_of(self._viewer, pose.center))
        finally:
            self._busy = False

    def _on_pose(self) -> None:
        # Until the slider is brought along, what it says is older than the pose.
        self._behind = self._behind or not self._sliding

    def _on_slider(self) -> None:
        dims = self._viewer.dims
        if self._busy or not self.enabled or dims.ndisplay != 2 or dims.ndim < 3:
            return
        if self._state.volume is None or self._behind:
            return
        center = position_of(self._viewer, self._state.pose.center)
        first = dims.ndim - 3
        shown = center.copy()
        for axis in dims.not_displayed:
            # The slider has steps; napari rounds to them on its own, which is no move.
            if axis >= first and abs(dims.point[axis] - center[axis - first]) > (
                0.501 * dims.range[axis].step
            ):
                shown[axis - first] = dims.point[axis]
        if np.array_equal(shown, center):
            return
        pose = self._state.pose
        self._sliding = True
        try:
            self._state.set_pose(
                Pose(world_of(self._viewer, shown), pose.rotation, pose.fov), burst="slider"
            )
        finally:
            self._sliding = False

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        active = viewer.layers.selection.active
        free = active is None or str(active.mode) == "pan_zoom"
        if event.button != 1 or "Control" not in event.modifiers or not free:
            return
        if self._state.volume is None or len(event.position) < 3:
            return
        if len(event.dims_displayed) == 3:
            yield from self._drag_plane(viewer, event)
        elif set(event.modifiers) == {"Control"}:
            yield from self._click(event)

    def _click(self, event: Any) -> Iterator[None]:
        pressed = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - pressed).max() <= CLICK_PIXELS:
            self._state.go_to(world_of(self._viewer, event.position))

    def _drag_plane(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        start = self._state.pose
        origin = world_of(viewer, event.position)
        view = to_world(event.view_direction[-3:])
        if hit(start, origin, view) is None:
            return
        turn = "Shift" in event.modifiers
        camera = viewer.scene.camera
        panned = camera.mouse_pan
        camera.mouse_pan = False
        try:
            yield
            while event.type == "mouse_move":
                moved = world_of(viewer, event.position) - origin
                dragged = turned(start, moved, view) if turn else pushed(start, moved, view)
                self._state.set_pose(dragged, burst="plane")
                yield
        finally:
            camera.mouse_pan = panned
            self._state.end_burst()


def hit(pose: Pose, origin: ArrayLike, direction: ArrayLike) -> NDArray[np.float64] | None:
    """Where a ray in world mm meets the slice's square, or None."""
    start, along = np.asarray(origin, np.float64), np.asarray(direction, np.float64)
    slope = float(along @ pose.normal)
    if abs(slope) < 1e-9:
        return None
    point = start + along * float((pose.center - start) @ pose.normal) / slope
    offset = pose.rotation.T @ (point - pose.center)
    return point if np.abs(offset[:2]).max() <= pose.fov / 2 else None


def pushed(pose: Pose, moved: ArrayLike, view: ArrayLike) -> Pose:
    """The pose after a mouse movement (mm) pushed it along its normal as it is seen."""
    along = np.asarray(view, np.float64)
    seen = pose.normal - float(pose.normal @ along) * along
    # Seen face on, the normal has no length on the screen: never divide by that.
    distance = float(np.asarray(moved, np.float64) @ seen) / max(float(seen @ seen), 0.1)
    return Pose(pose.center + distance * pose.normal, pose.rotation, pose.fov)


def turned(pose: Pose, moved: ArrayLike, view: ArrayLike) -> Pose:
    """The pose after a mouse movement (mm) rolled it like a ball of the slice's width."""
    axis = np.cross(np.asarray(moved, np.float64), np.asarray(view, np.float64))
    rotation = matrix_from_axis_angle(axis / (pose.fov / 2)) @ pose.rotation
    return Pose(pose.center, rotation, pose.fov)
