"""The unit in which the main viewer speaks: the smallest one of all its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.ui.layers import UNITS, to_napari, to_world

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


def millimetres(viewer: ViewerModel) -> float:
    """Length in mm of the unit of positions in a viewer's dims and mouse events.

    One where napari uses no units because the layers' differ in kind, and where there
    are only pixels, which count as mm.
    """
    import pint

    units = viewer.dims.units
    if not units:
        return 1.0
    quantity = pint.get_application_registry().Quantity(1.0, str(units[-1]))
    return float(quantity.to("millimeter").magnitude) if quantity.check("[length]") else 1.0


def world_of(viewer: ViewerModel, position: ArrayLike) -> NDArray[np.float64]:
    """RAS mm (3,) of a position that a viewer gives."""
    return to_world(np.asarray(position, np.float64)[-3:] * millimetres(viewer))


def position_of(viewer: ViewerModel, point: ArrayLike) -> NDArray[np.float64]:
    """The position (3,) by which a viewer knows a point in RAS mm."""
    return to_napari(point) / millimetres(viewer)


def matching_units(layer: Layer) -> tuple[str, ...]:
    """Units for layers beside one: mm, but pixels beside pixels, or napari ignores both."""
    lengths = all(unit.is_compatible_with("millimeter") for unit in layer.units)
    return UNITS if lengths else ("pixel",) * 3
