"""Layers of ours that come into a viewer without taking the user's selection away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


def attach(viewer: ViewerModel, layers: Iterable[Layer]) -> bool:
    """Add those layers that are missing; False if none was. What was active stays active."""
    missing = [layer for layer in layers if layer not in viewer.layers]
    active = viewer.layers.selection.active
    for layer in missing:
        viewer.add_layer(layer)
    if missing and active is not None:
        viewer.layers.selection.active = active
    return bool(missing)
