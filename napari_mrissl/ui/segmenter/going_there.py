"""Bringing the navigator's slice, or the main view, to a place that was proposed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mrissl.segmentation.suggestions import Suggestion
from napari_mrissl.ui.layers import VIEW_ORDERS, show_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_mrissl.ui.segmenter.session import ScanSession

_SOLID = ("opaque", "translucent", "translucent_no_depth")
"""Kinds of blending through which an opaque layer lets nothing be seen."""


def move_slice(viewer: ViewerModel, session: ScanSession, suggestion: Suggestion) -> None:
    """Fly the slice that navigator and slice views share, where one of them is open.

    In a radiological view it is the same plane, seen from its other side.
    """
    # Not before someone goes there: the navigator's widgets come with it.
    from napari_mrissl.ui.navigator.anatomy import mirrored
    from napari_mrissl.ui.navigator.gliding import glide
    from napari_mrissl.ui.navigator.sharing import shared_state

    state = shared_state(viewer)
    if state is None:
        return
    state.set_volume(session.volume, session.layer)
    pose = suggestion.pose
    glide(state, mirrored(pose) if state.convention == "radiological" else pose)


def move_view(viewer: ViewerModel, suggestion: Suggestion) -> None:
    """Show the plane in the main view, in 2D, with the place in its middle."""
    from napari_mrissl.ui.navigator.units import position_of

    dims = viewer.dims
    first = dims.ndim - 3
    order = VIEW_ORDERS[suggestion.plane]
    shown = tuple(axis - first for axis in dims.order[-3:])
    # A view of that plane keeps its zoom.
    if dims.ndisplay != 2 or shown != order:
        show_view(viewer, suggestion.plane)
    position = position_of(viewer, suggestion.place[1:])
    dims.set_point(range(first, dims.ndim), position)
    vertical, horizontal = (float(position[axis]) for axis in order[1:])
    viewer.scene.camera.center = (0.0, vertical, horizontal)


def uncover(viewer: ViewerModel, layer: Image, scans: Sequence[Image]) -> list[str]:
    """Show a scan, and hide those scans that lie over it so that it is not seen; their names.

    What the user made transparent or adds to the picture stays: the scan is seen through it.
    """
    layer.visible = True
    hidden = []
    for other in scans:
        above = viewer.layers.index(other) > viewer.layers.index(layer)
        if above and other.visible and other.opacity == 1 and str(other.blending) in _SOLID:
            other.visible = False
            hidden.append(other.name)
    return hidden
