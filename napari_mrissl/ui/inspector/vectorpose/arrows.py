"""Arrows, boxes and the body's axis in the viewer: one layer each, whose data are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors
from numpy.typing import NDArray

from napari_mrissl.evaluation.vectorpose_figures import EDGES
from napari_mrissl.pretext.vectorpose.vectors import points_mm
from napari_mrissl.ui.inspector.vectorpose.work import CropSeen
from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, UNITS, to_napari
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.navigator.units import matching_units, millimetres

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

TRUE_ARROWS, PREDICTED_ARROWS = "true arrows", "predicted arrows"
TRUE_BOX, PREDICTED_BOX, AXIS = "true crop", "rebuilt crop", "body axis"

_GREEN, _MAGENTA, _YELLOW = (0.24, 0.78, 0.36), (0.92, 0.29, 0.82), (0.96, 0.8, 0.25)
# Name, colour, style and width in mm.
_LOOKS = (
    (AXIS, _YELLOW, "line", 1.2),
    (TRUE_BOX, _GREEN, "line", 0.8),
    (PREDICTED_BOX, _MAGENTA, "line", 0.8),
    (TRUE_ARROWS, _GREEN, "arrow", 1.6),
    (PREDICTED_ARROWS, _MAGENTA, "arrow", 1.6),
)


class ArrowLayers:
    """The layers of one crop.

    In 3D they are where they are in the world. In 2D they are drawn onto the plane that is
    shown, as seen along its normal: hardly anything of them lies in any one plane.

    Parameters
    ----------
    viewer
        Where they are drawn.

    Attributes
    ----------
    layers : dict of Vectors
        By name.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._vectors: dict[str, NDArray[np.float64]] = {}
        self._busy = False
        self.layers = {
            name: Vectors(
                np.zeros((0, 2, 3)),
                name=name,
                ndim=3,
                edge_color=[(*color, 1.0)],
                edge_width=width,
                vector_style=style,
                opacity=0.9,
                units=UNITS,
                axis_labels=AXIS_LABELS,
                metadata={METADATA_KEY: {}},
            )
            for name, color, style, width in _LOOKS
        }
        for event in self._events():
            event.connect(self._draw)

    def show(self, seen: CropSeen, beside: Layer) -> None:
        """Draw a crop.

        Parameters
        ----------
        seen
            The crop.
        beside
            The scan's layer, whose kind of unit is taken.
        """
        record, view = seen.record, seen.view
        points = record.to_world(points_mm(record))
        none = np.zeros((0, 2, 3))
        self._vectors = {
            AXIS: _lines(seen.axis, ((0, 1),)),
            TRUE_BOX: _lines(points, EDGES),
            PREDICTED_BOX: none if view is None else _lines(view.rebuilt, EDGES),
            TRUE_ARROWS: np.stack([points, seen.true], axis=1),
            PREDICTED_ARROWS: none if view is None else np.stack([points, view.predicted], axis=1),
        }
        units = matching_units(beside)
        for layer in self.layers.values():
            layer.units = units
        attach(self._viewer, self.layers.values())
        self._draw()

    def clear(self) -> None:
        """Draw nothing; the layers stay."""
        self._vectors = {}
        self._draw()

    def remove(self) -> None:
        """Take the layers out of the viewer and let go of it."""
        for event in self._events():
            event.disconnect(self._draw)
        for layer in self.layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _events(self) -> tuple[Any, ...]:
        dims = self._viewer.dims
        return dims.events.point, dims.events.ndisplay, dims.events.order

    def _draw(self, _: object = None) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            for name, layer in self.layers.items():
                if layer in self._viewer.layers:
                    # They must not stretch the viewer's sliders, nor pay for that.
                    with layer.events.extent.blocker():
                        layer.data = self._placed(self._vectors.get(name))
        finally:
            self._busy = False

    def _placed(self, vectors: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if vectors is None:
            return np.zeros((0, 2, 3))
        placed = to_napari(vectors)
        dims = self._viewer.dims
        first = dims.ndim - 3
        for axis in dims.not_displayed:
            if axis >= first:
                placed[:, 0, axis - first] = dims.point[axis] * millimetres(self._viewer)
                placed[:, 1, axis - first] = 0
        return placed


def _lines(points: NDArray[np.float64], pairs: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    """(N, 2, 3) start and way of the lines between points."""
    ends = np.array([[points[a], points[b] - points[a]] for a, b in pairs])
    return ends.reshape(-1, 2, 3)
