"""The crop as the network sees it, in a viewer of its own that is linked with the main one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.components.overlays import TextOverlay
from napari.layers import Image
from napari.qt import QtViewer
from numpy.typing import NDArray
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QComboBox, QSizePolicy, QVBoxLayout, QWidget

from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.ui.navigator.anatomy import letters
from napari_mrissl.ui.navigator.main_view import CLICK_PIXELS
from napari_mrissl.ui.navigator.units import position_of, world_of
from napari_mrissl.ui.recorder.parts import label_of, row
from napari_mrissl.ui.window_watch import WindowWatch

AXES = ("axis 1", "axis 2", "axis 3")
PLANES = {
    "axes 2 and 3": (2, (0, 1, 2)),
    "axes 1 and 3": (2, (1, 0, 2)),
    "axes 1 and 2": (2, (2, 0, 1)),
    "3D": (3, (0, 1, 2)),
}
"""What can be shown: how many dimensions, and the order of the axes."""

_SIDES = ("top_center", "bottom_center", "middle_left", "middle_right")
_LEAST_HEIGHT = 190


class LinkedCrop(QWidget):
    """A crop (S, S, S), turned as the network got it, in mm from its middle.

    While it is linked, a step through the crop moves the main view to the same place, and a
    step in the main view moves through the crop; a click goes there in both. Outside of the
    crop the main view is followed as far as the crop's face.

    Parameters
    ----------
    main
        The main viewer.

    Attributes
    ----------
    viewer
        The crop's own viewer.
    layer : Image or None
        The crop, once there is one.
    record : CropRecord or None
        Of the crop.
    """

    def __init__(self, main: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._main = main
        self._busy = False
        self._closed = False
        self._fresh: NDArray[np.float32] | None = None
        self.record: CropRecord | None = None
        self.layer: Image | None = None
        self.viewer = ViewerModel(title="crop", axis_labels=AXES)
        self.viewer.mouse_drag_callbacks.append(self._on_press)
        self.viewer.dims.events.point.connect(self._on_step)
        self.viewer.dims.events.order.connect(self._show_letters)
        self.viewer.dims.events.ndisplay.connect(self._show_letters)
        self.viewer.canvas.background_color_override = "black"
        overlays = self.viewer.canvas.overlays
        overlays.scale_bar.visible = True
        overlays.scale_bar.font_size = 9
        overlays.scale_bar.position = "bottom_right"
        self._letters = [
            TextOverlay(visible=True, position=side, font_size=11, color="#ffd43b", box=False)
            for side in _SIDES
        ]
        for side, letter in zip(_SIDES, self._letters, strict=True):
            overlays[f"mrissl_{side}"] = letter
        self.plane = QComboBox()
        self.plane.addItems(list(PLANES))
        self.plane.setToolTip("Which two axes of the crop are shown, or all three")
        self.linked = QCheckBox("linked with the main view")
        self.linked.setChecked(True)
        self.linked.setToolTip("Keep this view and the main view at the same place of the scan")
        self.qt_viewer: QtViewer | None = None
        self._window = WindowWatch(self, self.shut_down)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(3)
        self._layout.addLayout(row(label_of("Crop", self.plane), self.plane, (self.linked, 1)))
        self.plane.currentTextChanged.connect(self._on_plane)
        self.linked.toggled.connect(self._follow)
        main.dims.events.point.connect(self._follow)

    def present(self, image: NDArray[np.float32], record: CropRecord) -> None:
        """Show a crop; drawn once it can be seen."""
        self._fresh, self.record = image, record
        if self.isVisible():
            self._draw()

    def clear(self) -> None:
        """Show no crop."""
        self._fresh = self.record = None
        if self.layer is not None:
            self.layer.visible = False
        self._show_letters()

    def shut_down(self) -> None:
        """Release canvas and layer, and let go of the main viewer."""
        if self._closed:
            return
        self._closed = True
        self._window.leave()
        self._main.dims.events.point.disconnect(self._follow)
        self.viewer.mouse_drag_callbacks.clear()
        self._fresh = self.record = self.layer = None
        if self.qt_viewer is not None:
            self.qt_viewer.close()
            # Nothing keeps it, so that canvas and textures go at once and not with this widget.
            self.qt_viewer.setParent(None)
            self.qt_viewer = None

    def showEvent(self, event: QShowEvent) -> None:
        """Seen: make the canvas the first time, and draw what has come since."""
        super().showEvent(event)
        if self._closed:
            return
        self._window.look()
        if self.qt_viewer is None:
            self._make_canvas()
        self._draw()
        self._follow()

    def _make_canvas(self) -> None:
        self.qt_viewer = QtViewer(self.viewer)
        self.qt_viewer.setParent(self)
        self.qt_viewer.setAcceptDrops(False)
        self.qt_viewer.setMinimumHeight(_LEAST_HEIGHT)
        self.qt_viewer.setToolTip(
            "The crop as the network sees it, turned. Slider: step through it; click: go there."
        )
        # The canvas takes the room that is there; its own wish would push the fields out.
        self.qt_viewer.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._layout.addWidget(self.qt_viewer, 1)

    def _draw(self) -> None:
        image, self._fresh = self._fresh, None
        if image is None or self.record is None:
            return
        voxel = self.record.edge_mm / len(image)
        first = self.layer is None or self.layer.data.shape != image.shape
        corner = (-voxel * (len(image) - 1) / 2,) * 3
        self._busy = True
        try:
            if self.layer is None:
                self.layer = self.viewer.add_image(
                    image,
                    name="crop",
                    scale=(voxel,) * 3,
                    translate=corner,
                    units=("mm",) * 3,
                    axis_labels=AXES,
                    contrast_limits=(0.0, 1.0),
                    interpolation2d="linear",
                )
            else:
                resized = not np.allclose(self.layer.scale, voxel)
                first = first or resized
                self.layer.data = image
                self.layer.scale, self.layer.translate = (voxel,) * 3, corner
                self.layer.visible = True
            if first:
                self.viewer.scene.camera.orientation2d = ("up", "right")
                self.viewer.reset_view()
            self.viewer.dims.set_point(range(3), (0.0, 0.0, 0.0))
        finally:
            self._busy = False
        self._show_letters()
        self._follow(first=True)

    def _follow(self, _: object = None, *, first: bool = False) -> None:
        """Step to where the main view is; a new crop that it is not in shows its middle."""
        dims, record = self._main.dims, self.record
        if record is None or self.layer is None or self._busy or dims.ndim < 3:
            return
        if not self.linked.isChecked() or not self.isVisible():
            return
        world = world_of(self._main, dims.point)
        inward = np.linalg.inv(record.crop_to_world)
        index = inward[:3, :3] @ world + inward[:3, 3]
        outside = (index < -0.5).any() or (index > record.side - 0.5).any()
        if first and outside:
            return
        place = np.clip(index, 0, record.side - 1) - (record.side - 1) / 2
        self._busy = True
        try:
            self.viewer.dims.set_point(range(3), place * record.edge_mm / record.side)
        finally:
            self._busy = False

    def _on_step(self) -> None:
        """Bring the main view to where this one is."""
        if self._busy or self.record is None or not self.linked.isChecked():
            return
        self._lead(self._world(self.viewer.dims.point))

    def _lead(self, world: NDArray[np.float64]) -> None:
        dims = self._main.dims
        if dims.ndim < 3:
            return
        self._busy = True
        try:
            dims.set_point(range(dims.ndim - 3, dims.ndim), position_of(self._main, world))
        finally:
            self._busy = False

    def _world(self, place: Any) -> NDArray[np.float64]:
        """World RAS mm of a place in mm from the crop's middle."""
        record = self.record
        assert record is not None  # noqa: S101 - only asked of a crop
        index = np.asarray(place)[-3:] * record.side / record.edge_mm + (record.side - 1) / 2
        matrix = record.crop_to_world
        world: NDArray[np.float64] = matrix[:3, :3] @ index + matrix[:3, 3]
        return world

    def _on_press(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1 or event.modifiers or self.record is None:
            return
        pressed = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        moved = np.abs(np.array(event.pos) - pressed).max() > CLICK_PIXELS
        if not moved and len(event.dims_displayed) == 2:
            viewer.dims.set_point(range(3), event.position)

    def _on_plane(self, name: str) -> None:
        ndisplay, order = PLANES[name]
        self.viewer.dims.order = order
        self.viewer.dims.ndisplay = ndisplay
        self.viewer.reset_view()

    def _show_letters(self, _: object = None) -> None:
        """Say where the crop's axes point in the patient: the turn can be read from that."""
        record, dims = self.record, self.viewer.dims
        texts = ["", "", "", ""]
        if record is not None and dims.ndisplay == 2:
            up, right = (record.crop_to_world[:3, axis] for axis in dims.displayed)
            texts = [letters(up), letters(-up), letters(-right), letters(right)]
        for letter, text in zip(self._letters, texts, strict=True):
            letter.text = text
