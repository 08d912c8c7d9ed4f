"""Placing corresponding landmarks: a layer of numbered points in each of two scans."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.explorer.landmark_pair import (
    NUMBER,
    landmarks_layer,
    landmarks_name,
    numbers_as_text,
)
from napari_mrissl.ui.inspector.source_box import is_scan
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.navigator.units import matching_units, millimetres
from napari_mrissl.ui.registration.pair_box import FIXED, MOVING

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer, Points

    from napari_mrissl.ui.registration.pair_box import PairBox

SIDES = (FIXED, MOVING)


class LandmarkLayers(QObject):
    """Makes the pair of layers, lets the user click into one, and keeps both numbered.

    While points are placed in one scan, other scans and the other points are hidden.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    pair
        Where scans and points are chosen.

    Attributes
    ----------
    placing : str
        The side in which a click places a point; ``""`` for none.
    changed : Signal()
        There are other points, or points are placed elsewhere.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, pair: PairBox, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._pair = viewer, pair
        self._followed: list[Points] = []
        self._hidden: list[tuple[weakref.ref[Layer], bool]] = []
        self._active: Points | None = None
        self.placing = ""
        pair.changed.connect(self._follow)
        self._follow()

    @property
    def counts(self) -> tuple[int, int] | None:
        """Points in the fixed and in the moving scan; None where none are chosen."""
        chosen = [self._pair.side(side).points for side in SIDES]
        if chosen == [None, None]:
            return None
        fixed, moving = (0 if layer is None else len(layer.data) for layer in chosen)
        return fixed, moving

    def place(self, side: str) -> None:
        """Let clicks in the viewer place points in the fixed or in the moving scan.

        Layers are made where none are chosen; landmarks that the feature explorer found of
        the scan are taken instead.

        Raises
        ------
        MrisslError
            If there are no two scans.
        """
        sides = [self._pair.side(name) for name in SIDES]
        if any(one.scan is None for one in sides) or sides[0].scan is sides[1].scan:
            raise MrisslError(
                "no two scans are chosen", remedy="open a fixed and a moving scan first"
            )
        self.stop()
        for number, (name, one) in enumerate(zip(SIDES, sides, strict=True)):
            if one.points is None:
                self._pair.choose(name, "points", self._points_of(one.scan, number))
        chosen = self._pair.side(side)
        self._show_only(chosen.scan, chosen.points)
        self._go_to(chosen.scan)
        self._number(chosen.points, SIDES.index(side))
        self._viewer.layers.selection.active = chosen.points
        chosen.points.mode = "add"
        self._active, self.placing = chosen.points, side
        chosen.points.events.mode.connect(self._on_mode)
        self.changed.emit()

    def stop(self) -> None:
        """Place no more; what was hidden is seen again."""
        active, self._active, self.placing = self._active, None, ""
        if active is None:
            return
        active.events.mode.disconnect(self._on_mode)
        active.mode = "pan_zoom"
        for held, visible in self._hidden:
            layer = held()
            if layer is not None:
                layer.visible = visible
        self._hidden = []
        self.changed.emit()

    def close(self) -> None:
        """Let go of all layers, which stay in the viewer."""
        self.stop()
        self._pair.changed.disconnect(self._follow)
        for layer in self._followed:
            layer.events.data.disconnect(self._on_data)
        self._followed = []

    def _points_of(self, scan: Any, number: int) -> Points:
        name = landmarks_name(scan.name)
        offered = self._pair.choices[SIDES[number], "points"].layers
        taken = [self._pair.side(side).points for side in SIDES]
        found = next((one for one in offered if one.name == name and one not in taken), None)
        if found is None:
            found = landmarks_layer(np.zeros((0, 3)), name, number, matching_units(scan))
            attach(self._viewer, [found])
        return found

    def _show_only(self, scan: Any, points: Points) -> None:
        others = [layer for layer in self._viewer.layers if is_scan(layer) or layer in self._pairs]
        for layer in others:
            self._hidden.append((weakref.ref(layer), layer.visible))
            layer.visible = layer is scan or layer is points

    def _go_to(self, scan: Any) -> None:
        """Show a slice of the scan in 2D: in 3D a click has no depth."""
        dims = self._viewer.dims
        dims.ndisplay = 2
        low, high = np.asarray(scan.extent.world) / millimetres(self._viewer)
        shown = np.array(dims.point[-3:])
        if ((shown < low) | (shown > high)).any():
            middle = (low + high) / 2
            dims.set_point(range(dims.ndim - 3, dims.ndim), middle)
            vertical, horizontal = (float(middle[axis - dims.ndim]) for axis in dims.order[-2:])
            self._viewer.scene.camera.center = (0.0, vertical, horizontal)

    @property
    def _pairs(self) -> list[Any]:
        return [self._pair.side(side).points for side in SIDES]

    def _number(self, layer: Points, side: int) -> None:
        """Write numbers beside points that have none."""
        if NUMBER not in layer.features:
            self._renumber(layer)
            layer.text = numbers_as_text(side)

    def _renumber(self, layer: Points) -> None:
        count = len(layer.data)
        features = layer.features.copy()
        features[NUMBER] = np.arange(1, count + 1)
        layer.features = features
        _say_next(layer)

    def _follow(self) -> None:
        chosen = [layer for layer in self._pairs if layer is not None]
        for layer in self._followed:
            if layer not in chosen:
                layer.events.data.disconnect(self._on_data)
        for layer in chosen:
            if layer not in self._followed:
                layer.events.data.connect(self._on_data)
        self._followed = chosen
        if self._active is not None and self._pair.side(self.placing).points is not self._active:
            self.stop()
        self.changed.emit()

    def _on_data(self, event: Any) -> None:
        layer = event.source
        if NUMBER in layer.features:
            numbers = layer.features[NUMBER].to_numpy()
            count = len(layer.data)
            if len(numbers) == count and not np.array_equal(numbers, np.arange(1, count + 1)):
                self._renumber(layer)
            _say_next(layer)
        self.changed.emit()

    def _on_mode(self, _: Any = None) -> None:
        if self._active is not None and str(self._active.mode) != "add":
            self.stop()


def _say_next(layer: Points) -> None:
    """Give the next point the next number; what else points have is left as it is."""
    defaults = layer.feature_defaults.copy()
    defaults[NUMBER] = len(layer.data) + 1
    layer.feature_defaults = defaults
