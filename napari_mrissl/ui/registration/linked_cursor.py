"""The pointer's place in the fixed scan, and that of the same anatomy in the moving one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.registration import Transform
from napari_mrissl.ui.inspector.scan_layers import INSPECTED
from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, UNITS, to_napari
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.navigator.sharing import state_of
from napari_mrissl.ui.navigator.units import world_of
from napari_mrissl.ui.segmenter.prompt_layers import ROLE

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_mrissl.geometry.poses import Pose
    from napari_mrissl.ui.navigator.state import NavigatorState

NAME = "linked cursor"
_COLORS = ["#56b4e9", "#e69f00"]
_SIZE_MM = 5.0
# More often than this the eye sees nothing new, and napari draws points anew each time.
_LEAST_MS = 30


class LinkedCursor(QObject):
    """Follows the mouse in the main view: blue where it is, orange where the anatomy was.

    It follows the crosshair of the slice views and of the navigator too. In 3D the mouse has no
    depth, and is not followed. In 2D the other place is drawn where it is seen on the slice.

    Attributes
    ----------
    moved : Signal(object, object)
        (3,) RAS mm in the fixed and in the moving scan.
    gone : Signal()
        The user deleted the marks.
    layer : Points or None
        The two places, while it is on.
    """

    moved = Signal(object, object)
    gone = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._transform: Transform | None = None
        self._place: np.ndarray[Any, Any] | None = None
        self._state: NavigatorState | None = None
        self.layer: Points | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_LEAST_MS)
        self._timer.timeout.connect(self._show)

    @property
    def on(self) -> bool:
        """Whether it follows the mouse."""
        return self._transform is not None

    def start(self, transform: Transform) -> None:
        """Follow the mouse, by this transform from now on."""
        if self._transform is None:
            self._viewer.mouse_move_callbacks.append(self._on_move)
            self._viewer.layers.events.removed.connect(self._on_removed)
            # That of the slice views and the navigator, if they are open or come to be.
            self._state = state_of(self._viewer)
            self._state.pose_changed.connect(self._on_pose)
        self._transform = transform
        self._show()

    def stop(self) -> None:
        """No longer; the marks go."""
        callbacks = self._viewer.mouse_move_callbacks
        if self._on_move in callbacks:
            callbacks.remove(self._on_move)
        if self._state is not None:
            self._viewer.layers.events.removed.disconnect(self._on_removed)
            self._state.pose_changed.disconnect(self._on_pose)
            self._state = None
        self._transform = self._place = None
        self._timer.stop()
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def point_at(self, place: Any) -> None:
        """The pointer is at (3,) RAS mm in the fixed scan's world."""
        self._place = np.asarray(place, np.float64)
        if not self._timer.isActive():
            self._timer.start()

    def _on_move(self, viewer: ViewerModel, event: Any) -> None:
        # In 3D the pointer has no depth.
        if len(event.position) >= 3 and len(event.dims_displayed) == 2:
            self.point_at(world_of(viewer, event.position))

    def _on_pose(self, pose: Pose) -> None:
        self.point_at(pose.center)

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.gone.emit()

    def _show(self) -> None:
        if self._transform is None or self._place is None:
            return
        found = self._transform(self._place)[0]
        seen = found
        dims = self._viewer.dims
        if dims.ndisplay == 2:
            # Off the slice it could not be seen; how far off, the places say.
            through = 2 - (dims.order[-3] - (dims.ndim - 3))
            if 0 <= through <= 2:
                seen = found.copy()
                seen[through] = self._place[through]
        self._put(np.stack([self._place, seen]))
        self.moved.emit(self._place, found)

    def _put(self, places: np.ndarray[Any, Any]) -> None:
        data = to_napari(places)
        if self.layer is None or self.layer not in self._viewer.layers:
            self.layer = Points(
                data,
                name=NAME,
                size=_SIZE_MM,
                face_color=["transparent", "transparent"],
                border_color=_COLORS,
                border_width=0.25,
                projection_mode="rescale_spherical",
                units=UNITS,
                axis_labels=AXIS_LABELS,
                metadata={METADATA_KEY: {ROLE: INSPECTED}},
            )
            self.layer.editable = False
            attach(self._viewer, [self.layer])
        else:
            self.layer.data = data
