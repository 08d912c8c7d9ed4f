"""What the panel of body coordinates draws in the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_mrissl.pretext.coordinates.field import Field
from napari_mrissl.ui.inspector.coordinates.map_tab import MapTab
from napari_mrissl.ui.inspector.coordinates.work import Loaded
from napari_mrissl.ui.inspector.drawn import DrawnVectors, Kind
from napari_mrissl.ui.inspector.scan_layers import ScanLayers
from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, UNITS, to_napari
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.navigator.units import matching_units

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

Floats = NDArray[np.float64]

COLOURS, LINES, FOLDS = "body coordinates", "iso-lines", "folds of coordinates"
ARROWS, PLACES = "rise of a coordinate", "same coordinate"

APART_MM, LONG_MM = 12.0, 8.0
_RED = (0.98, 0.2, 0.2, 1.0)
# Not quite black: napari takes that for its own colours.
_LINE = (0.04, 0.04, 0.04, 1.0)
_CLICK, _MATCH = "#ffd43b", "#3bc9db"
_POINT_MM = 8.0
KINDS = (Kind(ARROWS, (1.0, 0.83, 0.23), "arrow", 1.0, APART_MM / 2),)


def draw(
    tab: MapTab, loaded: Loaded, maps: ScanLayers, arrows: DrawnVectors, beside: Layer
) -> None:
    """Show what is ticked, and take away what is not."""
    drawn, axis = loaded.drawn, tab.axis.currentIndex()
    if tab.colours.isChecked() and not maps.shown(COLOURS):
        maps.show_colours(COLOURS, drawn.colours(), drawn.lattice.affine, opacity=0.6)
    elif not tab.colours.isChecked():
        maps.remove(COLOURS)
    if tab.lines.isChecked():
        bands = drawn.bands(axis, tab.each.value())
        black = DirectLabelColormap(color_dict={0: np.zeros(4), None: np.array(_LINE)})
        maps.show_labels(LINES, bands, drawn.lattice.affine, colormap=black, opacity=0.8)
        # napari draws no contours in 3D: whole bands would hide everything else.
        flat = maps.viewer.dims.ndisplay == 2
        maps.layers[LINES].contour = int(flat)
        maps.layers[LINES].visible = flat
    else:
        maps.remove(LINES)
    if tab.folds.isChecked():
        red = DirectLabelColormap(color_dict={0: np.zeros(4), None: np.array(_RED)})
        field = loaded.field
        folds = field.folds.astype(np.uint8)
        maps.show_labels(FOLDS, folds, field.lattice.affine, colormap=red, opacity=0.7)
    else:
        maps.remove(FOLDS)
    if tab.arrows.isChecked():
        arrows.draw({ARROWS: rises(loaded.field, axis)}, beside)
    else:
        arrows.hide()


def rises(field: Field, axis: int) -> Floats:
    """(N, 2, 3) where a coordinate rises in the body, start and way, world RAS mm."""
    strides = np.maximum(1, np.rint(APART_MM / field.lattice.steps_mm)).astype(int)
    chosen = np.zeros(field.body.shape, bool)
    chosen[tuple(slice(stride // 2, None, stride) for stride in strides)] = True
    chosen &= field.body
    starts = field.lattice.to_world(field.lattice.points_mm[chosen.ravel()])
    ways = field.lattice.vectors_to_world(LONG_MM * field.jacobian[chosen][:, axis])
    return np.stack([starts, ways], axis=1)


class Places:
    """The clicked place and the same one in another scan, as two points.

    Parameters
    ----------
    viewer
        Where they are drawn.

    Attributes
    ----------
    layer : Points
        Users may rename it.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer = Points(
            np.zeros((0, 3)),
            ndim=3,
            name=PLACES,
            size=_POINT_MM,
            symbol="cross",
            border_color="black",
            features={"what": np.zeros(0, object)},
            text={"string": "    {what}", "size": 10, "color": "white", "anchor": "lower_left"},
            units=UNITS,
            axis_labels=AXIS_LABELS,
            metadata={METADATA_KEY: {}},
        )

    def show(self, places: dict[str, Floats], beside: Layer) -> None:
        """Mark places (3,) in world RAS mm by their names; the first is what was clicked."""
        layer = self.layer
        layer.units = matching_units(beside)
        attach(self._viewer, [layer])
        layer.selected_data = set()
        # The scan's grid: a point is seen on the slice nearest to it, however thick.
        layer.scale, layer.translate = beside.scale, beside.translate
        placed = to_napari(np.array(list(places.values())).reshape(-1, 3))
        layer.data = (placed - layer.translate) / layer.scale
        layer.size = _POINT_MM / float(np.mean(beside.scale))
        layer.features = {"what": list(places)}
        layer.face_color = [_CLICK, _MATCH][: len(places)]
        layer.refresh()

    def remove(self) -> None:
        """Take the points away."""
        self.layer.data = np.zeros((0, 3))
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
