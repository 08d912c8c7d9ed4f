"""Maps that a network made of a scan, as layers: each has a name, and goes with its panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_mrissl.slicing import render_grid
from napari_mrissl.ui.explorer.rendered import RenderedColours
from napari_mrissl.ui.layers import (
    AXIS_LABELS,
    METADATA_KEY,
    UNITS,
    image_layer,
    labels_layer,
    prepare_viewer,
)
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.layers.lazy import WorldGrid
from napari_mrissl.ui.segmenter.prompt_layers import ROLE
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

INSPECTED = "inspected"
"""The role of these layers: no dock takes them for scans or labels of the user's."""

Floats = NDArray[np.float64]


class ScanLayers:
    """Layers on grids of their own within a scan, upright or oblique, one for each name.

    Parameters
    ----------
    viewer
        Where they are shown.

    Attributes
    ----------
    viewer : ViewerModel
        The viewer.
    layers : dict of Layer
        By the names that they were made with; users may rename or delete them.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.layers: dict[str, Layer] = {}

    def shown(self, name: str) -> bool:
        """Whether a layer is in the viewer."""
        return name in self.layers and self.layers[name] in self.viewer.layers

    def show_values(
        self, name: str, values: NDArray[Any], affine: Floats, limits: tuple[float, float],
        colormap: str = "gray", **look: Any,
    ) -> None:  # fmt: skip
        """Show numbers (S, A, R).

        Parameters
        ----------
        name
            Of the layer.
        values
            One for each cell of the grid.
        affine
            (4, 4) from index of a cell to world RAS mm.
        limits
            Ends of the colormap.
        colormap
            By napari's name.
        look
            More settings of a new layer.
        """
        data, placed = self._on_grid(values.astype(np.float32), affine)
        look = {"colormap": colormap, "interpolation2d": "nearest", **look}
        layer = self._put(name, Image, data, placed, look)
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits

    def show_colours(
        self, name: str, colours: NDArray[np.uint8], affine: Floats, **look: Any
    ) -> None:
        """Show red, green and blue (S, A, R, 3)."""
        volume = _volume(colours[..., 0], affine)
        _, placed = self._on_grid(colours[..., 0], affine)
        data = RenderedColours(volume, colours) if volume.oblique else colours
        self._put(name, Image, data, placed, {"rgb": True, **look})

    def show_labels(self, name: str, labels: NDArray[Any], affine: Floats, **look: Any) -> None:
        """Show numbers of regions (S, A, R); they cannot be painted."""
        data, settings = labels_layer(_volume(labels, affine), labels, name)
        layer = self._put(name, Labels, data, _place(settings), look)
        layer.editable = False

    def show_steps(
        self, name: str, steps: NDArray[Any], affine: Floats, limits: tuple[float, float], axis: str
    ) -> None:
        """Show grids (T, S, A, R) one after the other, along one more slider of the viewer.

        An oblique grid is drawn along the world's axes, as in 2D napari could not turn it;
        beyond it is the lower limit.
        """
        volume = _volume(steps[0], affine)
        if volume.oblique:
            grid = WorldGrid.around(volume)
            steps = np.stack([_rendered(one, affine, grid, limits[0]) for one in steps])
            placed = grid.placement
        else:
            placed = _place(image_layer(volume)[1])
        placed = {"scale": (1.0, *placed["scale"]), "translate": (0.0, *placed["translate"])}
        look = {"colormap": "gray", "units": ("pixel", *UNITS), "axis_labels": (axis, *AXIS_LABELS)}
        layer = self._put(name, Image, steps.astype(np.float32), placed, look)
        layer.contrast_limits = limits

    def remove(self, *names: str) -> None:
        """Take layers out of the viewer; all, if none are named."""
        for name in names or tuple(self.layers):
            layer = self.layers.pop(name, None)
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    def _on_grid(self, values: NDArray[Any], affine: Floats) -> tuple[Any, dict[str, Any]]:
        data, settings = image_layer(_volume(values, affine))
        return data, _place(settings)

    def _put(
        self, name: str, kind: type[Layer], data: Any, placed: dict[str, Any], look: dict[str, Any]
    ) -> Any:
        if self.shown(name):
            layer: Any = self.layers[name]
            layer.data = data
            layer.scale, layer.translate = placed["scale"], placed["translate"]
            layer.visible = True
            return layer
        prepare_viewer(self.viewer)
        look = {"units": UNITS, "axis_labels": AXIS_LABELS, **look}
        made: Any = kind  # napari's classes of layers differ in what they take
        layer = made(data, name=name, metadata={METADATA_KEY: {ROLE: INSPECTED}}, **placed, **look)
        self.layers[name] = layer
        attach(self.viewer, [layer])
        return layer


def _volume(values: NDArray[Any], affine: Floats) -> Volume:
    return Volume.from_stored(np.ascontiguousarray(values), affine, name="map")


def _place(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key in ("scale", "translate")}


def _rendered(
    values: NDArray[Any], affine: Floats, grid: WorldGrid, outside: float
) -> NDArray[np.float32]:
    found = render_grid(_volume(values.astype(np.float32), affine), grid.affine, grid.shape)
    shown: NDArray[np.float32] = np.where(found.valid, found.values, np.float32(outside))
    return shown
