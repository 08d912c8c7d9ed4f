"""From what a session says of a layer to the layer in a viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_mrissl.ui.layers import METADATA_KEY, add_labels, add_volume
from napari_mrissl.ui.segmenter.prompt_layers import CLICKS, ROLE, ClicksLayer, find_layer
from napari_mrissl.ui.segmenter.result_layers import RECORD, RESULT
from napari_mrissl.ui.session.loading import Loaded
from napari_mrissl.ui.session.looks import apply_look
from napari_mrissl.ui.session.records import LayerRecord

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_CLASSES = "classes"


def add_layer(viewer: ViewerModel, record: LayerRecord, loaded: Loaded) -> Layer:
    """Make a session's layer in a viewer, and show it as it was shown.

    Raises
    ------
    MrisslError
        If the labels are none of the volume's.
    """
    volume = loaded.volume
    if record.kind == "image":
        layer: Any = add_volume(viewer, volume, name=record.look.name)
    elif record.kind == "clicks":
        holder = ClicksLayer(viewer, volume)
        holder.show(tuple((x, y, z, n) for x, y, z, n in record.clicks), record.classes)
        layer = holder.layer
    else:
        there = find_layer(viewer, record.role, volume) if record.role else None
        if there is not None:
            viewer.layers.remove(there)
        options = {"features": record.features} if _columns(record) else {}
        layer = add_labels(viewer, volume, loaded.labels, record.look.name, **options)
    ours = layer.metadata[METADATA_KEY]
    if record.role is not None:
        ours[ROLE] = record.role
    if record.classes:
        ours[_CLASSES] = record.classes
    if record.made is not None:
        ours[RECORD] = record.made
    if record.role != CLICKS:
        apply_look(layer, record.look)
    else:
        layer.visible, layer.opacity = record.look.visible, record.look.opacity
    layer.name = record.look.name
    if record.role == RESULT:
        # As the click panel has it: corrections are scribbles.
        layer.editable = False
    return layer


def put_in_order(viewer: ViewerModel, layers: dict[int, Layer]) -> None:
    """Give the layers the order of their numbers, bottom first; others keep their places."""
    ours = [layer for _, layer in sorted(layers.items()) if layer in viewer.layers]
    places = sorted(viewer.layers.index(layer) for layer in ours)
    for place, layer in zip(places, ours, strict=True):
        if viewer.layers.index(layer) != place:
            viewer.layers.move(viewer.layers.index(layer), place)
    images = [layer for layer in ours if isinstance(layer, Image)]
    for guest in [layer for layer in viewer.layers if _of_a_dock(layer)]:
        # The navigator's plane was there first; under an image nobody would see it.
        top = max((viewer.layers.index(layer) for layer in images), default=-1)
        if viewer.layers.index(guest) < top:
            viewer.layers.move(viewer.layers.index(guest), top + 1)


def _of_a_dock(layer: Layer) -> bool:
    known = layer.metadata.get(METADATA_KEY)
    return isinstance(known, dict) and "volume" not in known


def _columns(record: LayerRecord) -> bool:
    return len({len(column) for column in record.features.values()}) == 1
