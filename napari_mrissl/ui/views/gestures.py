"""Mouse and keys in a pane: crosshair, steps, zoom, pan, window and level."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QPointF, Qt, Signal

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.ui.navigator import gestures as slice_gestures
from napari_mrissl.ui.navigator.keys import sequence_of
from napari_mrissl.ui.navigator.main_view import CLICK_PIXELS
from napari_mrissl.ui.navigator.window_level import WindowDrag, reset_limits

if TYPE_CHECKING:
    from napari.layers import Image
    from qtpy.QtGui import QKeyEvent, QMouseEvent, QWheelEvent

    from napari_mrissl.ui.views.pane import Pane

_LEFT, _RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
_MIDDLE = Qt.MouseButton.MiddleButton
_SHIFT, _CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
_PLAIN = Qt.KeyboardModifier.NoModifier
FAST = slice_gestures.FAST_NOTCHES

KEYS: tuple[tuple[str, str], ...] = (
    ("Arrow keys", "move the crosshair by a voxel within the slice"),
    ("PgUp, PgDown", "one voxel towards you, away from you (with Shift five)"),
    ("Enter", "this pane alone, or all four again"),
    ("Home", "show the whole scan in this pane"),
    ("U, Shift+U", "undo, redo the last move or contrast"),
)
MOUSE: tuple[tuple[str, str], ...] = (
    ("Click, drag", "move the crosshair (in the free slice: drag pans)"),
    ("Right drag", "contrast: right is wider, up is brighter"),
    ("Double right click", "the scan's own contrast again"),
    ("Wheel", "through the scan, one voxel a notch (with Shift five)"),
    ("Ctrl + wheel", "zoom"),
    ("Middle drag, Shift + drag", "pan (free slice: Shift + drag tilts)"),
    ("Ctrl + drag, free slice", "spin about the normal"),
    ("Double click", "this pane alone, or all four again"),
)
_STEPS = {
    "Left": (-1, 0, 0),
    "Right": (1, 0, 0),
    "Up": (0, 1, 0),
    "Down": (0, -1, 0),
    "PgUp": (0, 0, 1),
    "PgDown": (0, 0, -1),
}


class PaneGestures(QObject):
    """What the mouse and the keys do in one pane.

    Parameters
    ----------
    pane
        The pane.
    target
        Gives the Image layer whose contrast is changed on one of the pane's pictures.

    Attributes
    ----------
    maximised : Signal(str)
        The pane is to be shown alone, or no longer.
    pointed : Signal(object)
        World mm (3,) under the mouse, or None.
    said : Signal(str)
        A sentence for the user.
    camera_moved : Signal()
        The pane's own zoom or pan changed.
    """

    maximised = Signal(str)
    pointed = Signal(object)
    said = Signal(str)
    camera_moved = Signal()

    def __init__(self, pane: Pane, target: Callable[[int], Image | None]) -> None:
        super().__init__(pane)
        self._pane = pane
        self._target = target
        self._drag: Callable[[QPointF, QPointF], None] | None = None
        self._release: Callable[[QPointF], None] | None = None
        self._pressed = self._last = QPointF()
        self._moved = False
        self._stepped = False
        self._tile = 0

    @property
    def _free(self) -> bool:
        return self._pane.kind == "free"

    def press(self, event: QMouseEvent) -> None:
        """Begin what the button stands for."""
        if self._pane.raster is None or self._drag is not None:
            return
        place = event.position()
        self._pressed = self._last = place
        self._moved = self._stepped = False
        self._tile = self._pane.tile_at(place.x(), place.y())
        self._drag, self._release = self._gesture(event.button(), event.modifiers())
        if event.button() == _LEFT and self._drag is not None and self._drag == self._point:
            self._point(place, place)
        event.accept()

    def move(self, event: QMouseEvent) -> None:
        """Go on."""
        place = event.position()
        if self._pane.raster is None:
            return
        away = place - self._pressed
        if max(abs(away.x()), abs(away.y())) > CLICK_PIXELS:
            self._moved = True
        if self._drag is not None and (self._moved or self._drag == self._point):
            self._drag(self._last, place)
            self._last = place
        self.pointed.emit(self._pane.point_at(place.x(), place.y()))

    def release(self, event: QMouseEvent) -> None:
        """Finish."""
        if self._drag is None:
            return
        if self._moved:
            self.move(event)
        if self._release is not None:
            self._release(event.position())
        self._drag = self._release = None

    def double_click(self, event: QMouseEvent) -> None:
        """Left: the pane alone or all; right: the scan's own contrast."""
        if event.button() == _LEFT:
            if self._stepped:
                # The first of the two clicks was no wish to move the crosshair.
                self._pane.state.undo()
                self._stepped = False
            self.maximised.emit(self._pane.kind)
        elif event.button() == _RIGHT and self._pane.raster is not None:
            place = event.position()
            layer = self._target(self._pane.tile_at(place.x(), place.y()))
            if layer is not None:
                reset_limits(layer, self._pane.state)

    def wheel(self, event: QWheelEvent) -> None:
        """Through the scan; with Ctrl zoom."""
        pane = self._pane
        delta = event.angleDelta()
        # With Shift or Alt some systems turn the wheel's direction by 90 degrees.
        notches = (delta.y() or delta.x()) / 120
        event.accept()
        if pane.raster is None or notches == 0:
            return
        if event.modifiers() & _CTRL:
            self._zoom(notches, event.position())
        else:
            fast = FAST if event.modifiers() & _SHIFT else 1
            self._step((0, 0, notches * fast), burst="wheel")
        if pane.raster is not None:
            place = event.position()
            self.pointed.emit(pane.point_at(place.x(), place.y()))

    def leave(self) -> None:
        """The mouse left the pane."""
        self.pointed.emit(None)

    def key(self, event: QKeyEvent) -> bool:
        """Do what a key stands for; whether it stood for something."""
        sequence = sequence_of(event)
        state = self._pane.state
        name = sequence.removeprefix("Shift+")
        if sequence in ("Return", "Enter"):
            self.maximised.emit(self._pane.kind)
        elif sequence == "U":
            state.undo()
        elif sequence == "Shift+U":
            state.redo()
        elif sequence == "Home":
            self.fit()
        elif name in _STEPS and self._pane.raster is not None:
            fast = FAST if name != sequence else 1
            self._step(np.multiply(_STEPS[name], fast), burst=f"{self._pane.kind} {sequence}")
        else:
            return False
        event.accept()
        return True

    def fit(self) -> None:
        """Show the whole scan in this pane."""
        state = self._pane.state
        if self._free and state.volume is not None:
            state.set_pose(
                Pose(state.pose.center, state.pose.rotation, float(state.volume.extent.max()))
            )
        self._pane.camera.reset()
        self.camera_moved.emit()

    def _gesture(self, button: Qt.MouseButton, modifiers: Qt.KeyboardModifier) -> tuple[Any, Any]:
        """What is done while a button is held, and when it is released."""
        plain = modifiers == _PLAIN
        if button == _RIGHT and plain:
            layer = self._target(self._tile)
            if layer is None:
                self.said.emit("No image is visible whose contrast could be changed.")
                return None, None
            window = WindowDrag(layer, self._pane.state)
            return lambda start, end: self._window(window, end), lambda end: window.end()
        if button == _MIDDLE or (button == _LEFT and modifiers == _SHIFT and not self._free):
            return (self._pan_free if self._free else self._pan), None
        if button != _LEFT:
            return None, None
        if not self._free:
            return (self._point, None) if plain else (None, None)
        if plain:
            return self._pan_free, self._click_free
        if modifiers == _SHIFT:
            return self._tilt, None
        return (self._spin, None) if modifiers == _CTRL else (None, None)

    def _point(self, start: QPointF, end: QPointF) -> None:
        self._show(self._at(end))

    def _click_free(self, end: QPointF) -> None:
        if not self._moved:
            self._show(self._at(end))

    def _pan(self, start: QPointF, end: QPointF) -> None:
        (x0, y0), (x1, y1) = self._raster_positions(start, end)
        self._pane.camera.pan(self._pane.raster, x1 - x0, y1 - y0)
        # Until it is drawn again the next move is measured on the raster of this one.
        self._pane.raster = self._pane.raster_for(max(len(self._pane.images), 1))
        self.camera_moved.emit()

    def _pan_free(self, start: QPointF, end: QPointF) -> None:
        self._act(slice_gestures.pan(self._pane.state.pose, *self._from_middle(start, end)))

    def _tilt(self, start: QPointF, end: QPointF) -> None:
        self._act(slice_gestures.tilt(self._pane.state.pose, *self._from_middle(start, end)))

    def _spin(self, start: QPointF, end: QPointF) -> None:
        self._act(slice_gestures.spin(*self._from_middle(start, end)))

    def _window(self, window: WindowDrag, end: QPointF) -> None:
        away = end - self._pressed
        window.move(away.x(), -away.y())

    def _zoom(self, notches: float, place: QPointF) -> None:
        pane = self._pane
        if self._free:
            pane.state.move(slice_gestures.zoom(notches), burst="wheel zoom")
            return
        factor = slice_gestures.ZOOM_PER_NOTCH**notches
        pane.camera.zoom_at(factor, pane.raster, *pane.raster_position(place.x(), place.y()))
        pane.raster = pane.raster_for(max(len(pane.images), 1))
        self.camera_moved.emit()

    def _step(self, voxels: Any, burst: str) -> None:
        """Move the crosshair by voxels along the pane's right, up and normal."""
        state = self._pane.state
        pose, rotation = state.pose, self._pane.rotation
        moved = sum(
            count * state.step_along(axis) * axis
            for count, axis in zip(voxels, rotation.T, strict=True)
            if count
        )
        state.set_pose(Pose(pose.center + moved, pose.rotation, pose.fov), burst=burst)

    def _show(self, point: NDArray[np.float64]) -> None:
        pose = self._pane.state.pose
        self._go(Pose(point, pose.rotation, pose.fov))

    def _act(self, action: NDArray[np.float64]) -> None:
        self._go(apply_action(self._pane.state.pose, action))

    def _go(self, pose: Pose) -> None:
        """Go to a pose; the whole drag is one step of undo, however long it rests."""
        state = self._pane.state
        pose = state.clamped(pose)
        if pose == state.pose:
            return
        if not self._stepped:
            state.note_step()
            self._stepped = True
        state.show(pose)

    def _at(self, place: QPointF) -> NDArray[np.float64]:
        pane = self._pane
        x, y = pane.raster_position(place.x(), place.y(), self._tile)
        point = pane.raster.point(x, y)
        # The raster drawn last may be a step behind in depth.
        normal = pane.raster.normal
        return point + normal * float(normal @ (pane.state.pose.center - point))

    def _raster_positions(self, *places: QPointF) -> list[tuple[float, float]]:
        return [self._pane.raster_position(p.x(), p.y(), self._tile) for p in places]

    def _from_middle(self, *places: QPointF) -> list[tuple[float, float]]:
        """Millimetres (row, column) from the middle of the picture, as the navigator has them."""
        raster = self._pane.raster
        return [
            ((y - raster.height / 2) * raster.step, (x - raster.width / 2) * raster.step)
            for x, y in self._raster_positions(*places)
        ]
