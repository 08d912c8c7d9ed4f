"""The main viewer's label layers over the navigator's slice, filled and outlined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject

from napari_mrissl.ui.layers import METADATA_KEY
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.navigator.slice_view import SLICE_AXES, SliceView
from napari_mrissl.ui.pictures.cuts import Pictures
from napari_mrissl.ui.pictures.parts import LabelsPart
from napari_mrissl.ui.pictures.rasters import raster_of_pose
from napari_mrissl.ui.pictures.scene import Scene

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_mrissl.ui.navigator.state import NavigatorState

NAME = "labels of the main view"
_THICKNESS = 1
# The click panel gives its own layers a role, and draws those of its scan on the slice.
_ROLE = "role"


class LabelsOverlay(QObject):
    """One RGBA layer over the slice with all visible label layers of the main viewer.

    Parameters
    ----------
    viewer
        The main viewer.
    state
        Where the slice is.
    view
        The slice's canvas.
    """

    def __init__(self, viewer: ViewerModel, state: NavigatorState, view: SliceView) -> None:
        super().__init__(view)
        self._state, self._view = state, view
        self.scene = Scene(real_viewer(viewer), self, labels_only=True)
        self.pictures = Pictures()
        self._size = len(view.values)
        self._placed = 0.0
        self._shown: Any = None
        shape = (self._size, self._size, 4)
        self.layer = Image(
            np.zeros(shape, np.uint8),
            rgb=True,
            name=NAME,
            axis_labels=SLICE_AXES,
            units=("mm", "mm"),
            visible=False,
        )

    def update(self) -> None:
        """Draw the labels where the slice is now."""
        self.scene.refresh()
        parts = [part for layer, part in self.scene.labels if not self._drawn_by_others(layer)]
        if self._state.volume is None or not parts:
            if self.layer.visible:
                self.layer.visible = False
            self.pictures.clear()
            self._shown = None
            return
        pose = self._state.pose
        picture = self._picture(parts)
        self._attach()
        if pose.fov != self._placed:
            self._place(pose.fov)
        if not self.layer.visible:
            self.layer.visible = True
        if self.pictures.composed != self._shown:
            self._shown = self.pictures.composed
            self.layer.data[...] = picture
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def close(self) -> None:
        """Let go of the main viewer."""
        self.scene.close()
        self.pictures.clear()

    def _attach(self) -> None:
        """Add the layer right over the slice, with the first labels there are."""
        layers = self._view.viewer.layers
        if self.layer not in layers:
            active = layers.selection.active
            layers.insert(1, self.layer)
            layers.selection.active = active

    def _picture(self, parts: list[LabelsPart]) -> Any:
        raster = raster_of_pose(self._state.pose, self._size, self._size)
        return self.pictures.overlay(raster, parts, style="both", thickness=_THICKNESS)

    def _drawn_by_others(self, layer: Labels) -> bool:
        """Whether the click panel draws this layer's labels on the slice itself."""
        ours = layer.metadata.get(METADATA_KEY, {})
        if _ROLE not in ours or ours.get("volume") is not self._state.volume:
            return False
        return any(
            isinstance(other, Labels) and other.visible for other in self._view.viewer.layers
        )

    def _place(self, fov: float) -> None:
        self._placed = fov
        scale = fov / self._size
        corner = scale / 2 - fov / 2
        # As the slice itself: no ranges to keep, so none of the viewer's bookkeeping.
        dims = self._view.viewer.dims.events
        with self.layer.events.extent.blocker(), dims.blocker_all():
            self.layer.affine = [[scale, 0, corner], [0, scale, corner], [0, 0, 1]]
