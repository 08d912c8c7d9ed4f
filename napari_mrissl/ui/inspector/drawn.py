"""Lines and arrows in the viewer: one layer for each kind, whose data are replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.layers import Vectors
from numpy.typing import NDArray

from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, UNITS, to_napari
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.navigator.units import matching_units, millimetres

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

Floats = NDArray[np.float64]


class Kind(NamedTuple):
    """How the vectors of one layer are drawn: name, colour, ``line`` or ``arrow``, width in mm.

    In 2D only those are drawn that begin no farther than ``near`` mm from the plane in view.
    """

    name: str
    color: tuple[float, float, float]
    style: str
    width: float
    near: float = np.inf


class DrawnVectors:
    """Layers of vectors in world mm.

    In 3D they are where they are in the world. In 2D they are drawn onto the plane that is
    shown, as seen along its normal: hardly anything of them lies in any one plane.

    Parameters
    ----------
    viewer
        Where they are drawn.
    kinds
        One for each layer.

    Attributes
    ----------
    layers : dict of Vectors
        By the name of their kind; users may rename them.
    """

    def __init__(self, viewer: ViewerModel, kinds: Sequence[Kind]) -> None:
        self._viewer = viewer
        self._vectors: dict[str, Floats] = {}
        self._busy = False
        self._near = {kind.name: kind.near for kind in kinds}
        self.layers = {
            kind.name: Vectors(
                np.zeros((0, 2, 3)),
                name=kind.name,
                ndim=3,
                edge_color=[(*kind.color, 1.0)],
                edge_width=kind.width,
                vector_style=kind.style,
                opacity=0.9,
                units=UNITS,
                axis_labels=AXIS_LABELS,
                metadata={METADATA_KEY: {}},
            )
            for kind in kinds
        }
        for event in self._events():
            event.connect(self._draw)

    def draw(
        self, vectors: Mapping[str, Floats], beside: Layer, names: Sequence[str] | None = None
    ) -> None:
        """Draw vectors (N, 2, 3) by the names of their layers; layers without any are emptied.

        Parameters
        ----------
        vectors
            Start and way of each, world RAS mm.
        beside
            The scan's layer, whose kind of unit is taken.
        names
            Layers that come into the viewer; all, if left out.
        """
        self._vectors = dict(vectors)
        units = matching_units(beside)
        for layer in self.layers.values():
            layer.units = units
        attach(
            self._viewer, [self.layers[name] for name in (self.layers if names is None else names)]
        )
        self._draw()

    def clear(self) -> None:
        """Draw nothing; the layers stay."""
        self._vectors = {}
        self._draw()

    def remove(self) -> None:
        """Take the layers out of the viewer and let go of it."""
        for event in self._events():
            event.disconnect(self._draw)
        self._take_out()

    def hide(self) -> None:
        """Draw nothing, and take the layers out of the viewer; `draw` brings them back."""
        self.clear()
        self._take_out()

    def _take_out(self) -> None:
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
                vectors = self._vectors.get(name)
                nothing = vectors is None and not len(layer.data)
                if layer in self._viewer.layers and not nothing:
                    # They must not stretch the viewer's sliders, nor pay for that.
                    with layer.events.extent.blocker():
                        layer.data = self._placed(vectors, self._near[name])
        finally:
            self._busy = False

    def _placed(self, vectors: Floats | None, near: float) -> Floats:
        if vectors is None:
            return np.zeros((0, 2, 3))
        placed = to_napari(vectors)
        dims = self._viewer.dims
        first = dims.ndim - 3
        for axis in dims.not_displayed:
            if axis >= first:
                at = dims.point[axis] * millimetres(self._viewer)
                placed = placed[np.abs(placed[:, 0, axis - first] - at) <= near]
                placed[:, 0, axis - first] = at
                placed[:, 1, axis - first] = 0
        return placed


def lines(points: Floats, pairs: Sequence[tuple[int, int]]) -> Floats:
    """(N, 2, 3) start and way of the lines between points."""
    ends = np.array([[points[a], points[b] - points[a]] for a, b in pairs])
    return ends.reshape(-1, 2, 3)
