"""Volumes as napari layers, and back: the only place that knows napari's world order.

napari's world is (S, A, R) mm: the reversed RAS of everything else. While a layer in
another unit of length is in the viewer, napari gives the positions of ``viewer.dims`` and
``viewer.cursor`` in the smallest unit of all layers; layers' own worlds stay in mm.

The camera's orientation belongs to the viewer: layers that others opened turn with it. A
file opened by napari's reader call orients napari's current viewer, which is the one it
goes to unless several windows are open.
"""

from napari_mrissl.ui.layers.banner import toggle_readings
from napari_mrissl.ui.layers.orientation import (
    VIEW_ORDERS,
    convention_of,
    edge_letters,
    orient_camera,
    show_view,
)
from napari_mrissl.ui.layers.shown import (
    METADATA_KEY,
    add_labels,
    add_volume,
    image_layer,
    labels_array,
    labels_layer,
    prepare_renderer,
    prepare_viewer,
    reading_of,
    set_labels,
    volume_of,
)
from napari_mrissl.ui.layers.world import AXIS_LABELS, UNITS, to_napari, to_world

__all__ = [
    "AXIS_LABELS",
    "METADATA_KEY",
    "UNITS",
    "VIEW_ORDERS",
    "add_labels",
    "add_volume",
    "convention_of",
    "edge_letters",
    "image_layer",
    "labels_array",
    "labels_layer",
    "orient_camera",
    "prepare_renderer",
    "prepare_viewer",
    "reading_of",
    "set_labels",
    "show_view",
    "to_napari",
    "to_world",
    "toggle_readings",
    "volume_of",
]
