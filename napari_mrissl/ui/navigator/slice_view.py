"""The slice canvas: a second viewer, embedded, that shows one slice and its orientation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.components import ViewerModel
from napari.components.overlays import TextOverlay
from napari.layers import Image
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.navigator.anatomy import letters
from napari_mrissl.ui.navigator.keys import is_navigator_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLICE_AXES = ("down", "right")
_SIDES = {
    "up": "top_center",
    "down": "bottom_center",
    "left": "middle_left",
    "right": "middle_right",
}


class SliceView(QWidget):
    """One slice, centred; its world is millimetres (row, column) from the middle.

    Parameters
    ----------
    size
        Pixels along each side of the slice.

    Attributes
    ----------
    viewer
        The slice's own viewer; more layers in millimetres may be added to it.
    layer
        The image layer whose data are replaced at every move.
    values, valid
        (N, N) arrays that the renderer fills.
    """

    key_pressed = Signal(object)

    def __init__(self, size: int = 256, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = ViewerModel(title="slice", axis_labels=SLICE_AXES)
        self.values: NDArray[np.float32] = np.zeros((size, size), np.float32)
        self.valid: NDArray[np.bool_] = np.zeros((size, size), bool)
        self._fov = 0.0
        self.layer = Image(
            self.values,
            name="slice",
            axis_labels=SLICE_AXES,
            units=("mm", "mm"),
            contrast_limits=(0.0, 1.0),
            interpolation2d="linear",
        )
        self.viewer.add_layer(self.layer)
        # The canvas is moved by the pose alone: napari's own pan, zoom and scroll are off.
        self.viewer.mouse_drag_callbacks.clear()
        self.viewer.mouse_wheel_callbacks.clear()
        self.viewer.mouse_double_click_callbacks.clear()
        camera = self.viewer.scene.camera
        camera.mouse_zoom = False
        camera.mouse_pan = False
        camera.events.mouse_pan.connect(self._keep_still)
        camera.events.mouse_zoom.connect(self._keep_still)
        camera.orientation2d = ("down", "right")
        overlays = self.viewer.canvas.overlays
        overlays.scale_bar.visible = True
        overlays.scale_bar.font_size = 9
        overlays.scale_bar.position = "bottom_right"
        self._letters = {}
        for side, position in _SIDES.items():
            letter = TextOverlay(
                visible=True, position=position, font_size=12, color="#ffd43b", box=False
            )
            overlays[f"mrissl_{side}"] = letter
            self._letters[side] = letter
        self.viewer.canvas.background_color_override = "black"

        self.qt_viewer = QtViewer(self.viewer)
        self.qt_viewer.setParent(self)
        self.qt_viewer.setAcceptDrops(False)
        canvas = self.canvas
        canvas.setMinimumSize(160, 160)
        canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for widget in (canvas, self.qt_viewer):
            widget.installEventFilter(self)
        # The canvas takes the room that is there; its own wish would push the fields out.
        self.qt_viewer.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.qt_viewer)

    @property
    def canvas(self) -> QWidget:
        """The widget that is drawn on and gets mouse and keys."""
        return self.qt_viewer.canvas.native

    @property
    def scale(self) -> float:
        """Millimetres per slice pixel."""
        return self._fov / self.values.shape[0]

    def show_pose(self, pose: Pose) -> None:
        """Show what `values` holds as the slice at a pose."""
        if pose.fov != self._fov:
            self._place(pose.fov)
        # Thumbnail, highlight and extent cannot have changed in a way anyone sees here.
        self.layer.refresh(thumbnail=False, highlight=False, extent=False)
        for side, direction in (
            ("up", pose.up),
            ("down", -pose.up),
            ("left", -pose.right),
            ("right", pose.right),
        ):
            text = letters(direction)
            if self._letters[side].text != text:
                self._letters[side].text = text

    def side_letters(self) -> dict[str, str]:
        """The orientation letters on the four sides."""
        return {side: letter.text for side, letter in self._letters.items()}

    def value_at(self, position: tuple[float, float]) -> float | None:
        """The shown value at a position (mm row, column); None outside slice or scan."""
        if self._fov == 0:
            return None
        row, column = np.floor((np.asarray(position) / self._fov + 0.5) * len(self.values))
        inside = 0 <= row < len(self.values) and 0 <= column < len(self.values)
        if not inside or not self.valid[int(row), int(column)]:
            return None
        return float(self.values[int(row), int(column)])

    def fit(self) -> None:
        """Show the whole slice, as large as the canvas allows."""
        side = min(self.canvas.width(), self.canvas.height())
        if self._fov > 0 and side > 0:
            camera = self.viewer.scene.camera
            camera.center = (0.0, 0.0)
            camera.zoom = side / self._fov

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys go to the navigator and on to the main viewer; the canvas is kept fitted."""
        kind = event.type()
        if kind == QEvent.Type.Resize and watched is self.canvas:
            # The canvas hears of its new size after this filter.
            side = min(event.size().width(), event.size().height())
            if self._fov > 0 and side > 0:
                self.viewer.scene.camera.zoom = side / self._fov
        elif kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            if self._belongs_to_other_layer(event):
                return False
            event.ignore()
            if kind == QEvent.Type.KeyPress and watched is self.canvas:
                self.key_pressed.emit(event)
            # Left unaccepted, the key travels up to the dock and the main viewer.
            return True
        return False

    def close_viewer(self) -> None:
        """Release canvas and layers; the view cannot be used afterwards."""
        for widget in (self.canvas, self.qt_viewer):
            widget.removeEventFilter(self)
        self.viewer.scene.camera.events.mouse_pan.disconnect(self._keep_still)
        self.viewer.scene.camera.events.mouse_zoom.disconnect(self._keep_still)
        self.qt_viewer.close()
        # Nothing keeps it, so that canvas and textures go at once and not with this widget.
        self.qt_viewer.setParent(None)
        self.qt_viewer = None

    def _belongs_to_other_layer(self, event: QEvent) -> bool:
        """Whether a plain key is meant for a layer someone else added, e.g. to paint."""
        active = self.viewer.layers.selection.active
        # The navigator's keys are none of napari's, so they fly whatever the tool.
        if active is None or active is self.layer or is_navigator_key(event):
            return False
        commands = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        return not event.modifiers() & commands

    def _place(self, fov: float) -> None:
        self._fov = fov
        scale = fov / len(self.values)
        corner = scale / 2 - fov / 2
        # One change of geometry instead of two, and none of the viewer's bookkeeping of
        # ranges, which would cost more than the slice: it has no sliders.
        dims = self.viewer.dims.events
        with self.layer.events.extent.blocker(), dims.blocker_all():
            self.layer.affine = [[scale, 0, corner], [0, scale, corner], [0, 0, 1]]
        self.fit()

    def _keep_still(self) -> None:
        # napari switches both on again whenever another layer becomes active.
        camera = self.viewer.scene.camera
        if camera.mouse_pan:
            camera.mouse_pan = False
        if camera.mouse_zoom:
            camera.mouse_zoom = False
