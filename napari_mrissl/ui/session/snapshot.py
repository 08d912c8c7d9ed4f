"""What a window shows, taken on the GUI thread in a moment; made a record of in another."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Points
from numpy.typing import NDArray

from napari_mrissl.ui.layers import METADATA_KEY, convention_of, labels_array, to_world
from napari_mrissl.ui.segmenter.prompt_layers import CLICKS, ROLE
from napari_mrissl.ui.session.looks import look_of
from napari_mrissl.ui.session.records import LayerRecord
from napari_mrissl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

MOST_CLICKS = 20_000
_LABEL_COLUMNS = ("index", "name")


@dataclass(frozen=True)
class LayerSnapshot:
    """One layer of ours; what is large is only referred to.

    Attributes
    ----------
    version
        Of the labels: another number may mean other voxels.
    labels
        The array that the layer shows, (S, A, R); it may be painted on meanwhile.
    """

    kind: str
    volume: Volume
    look: dict[str, Any]
    role: str | None = None
    version: int = 0
    clicks: tuple[tuple[float, ...], ...] = ()
    classes: tuple[Any, ...] = ()
    made_id: int = 0
    labels: NDArray[Any] | None = field(default=None, compare=False)
    features: dict[str, list[Any]] = field(default_factory=dict, compare=False)
    made: dict[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Snapshot:
    """A window at one moment; equal to another if a session file would say the same."""

    layers: tuple[LayerSnapshot, ...]
    left_out: tuple[str, ...]
    view: dict[str, Any]
    docks: tuple[dict[str, Any], ...]
    workspace: str | None
    continues: str | None = None
    absent: tuple[LayerRecord, ...] = ()
    taken: datetime = field(default_factory=datetime.now, compare=False)


def take_layers(
    viewer: ViewerModel, versions: dict[int, int]
) -> tuple[tuple[LayerSnapshot, ...], tuple[str, ...]]:
    """The viewer's layers, bottom first, and the names of those that no session can keep.

    Parameters
    ----------
    viewer
        Whose layers.
    versions
        How often the labels of a layer, by its ``id``, may have changed.
    """
    kept, left_out = [], []
    for layer in viewer.layers:
        known = layer.metadata.get(METADATA_KEY)
        if isinstance(known, dict) and "volume" not in known:
            continue  # a plane or a line that one of our docks brings with it
        taken = _taken(layer, known, versions.get(id(layer), 0))
        if taken is not None:
            kept.append(taken)
        elif not (isinstance(known, dict) and known.get(ROLE)):
            # Maps of the click panel are made anew with its segmentation.
            left_out.append(layer.name[:1000])
    return tuple(kept), tuple(left_out)


def take_view(viewer: ViewerModel) -> dict[str, Any]:
    """Sliders and camera."""
    camera, dims = viewer.scene.camera, viewer.dims
    active = viewer.layers.selection.active
    return {
        "ndisplay": int(dims.ndisplay),
        "order": tuple(int(axis) for axis in dims.order),
        "point": tuple(float(value) for value in dims.point),
        "center": tuple(float(value) for value in camera.center)[-3:],
        "zoom": float(camera.zoom),
        "angles": tuple(float(value) for value in camera.angles),
        "convention": convention_of(viewer),
        "active": active.name[:1000] if active is not None else None,
    }


def _taken(layer: Layer, known: Any, version: int) -> LayerSnapshot | None:
    volume = known.get("volume") if isinstance(known, dict) else None
    if not isinstance(volume, Volume):
        return None
    role = known.get(ROLE)
    if isinstance(layer, Labels):
        shown = labels_array(layer)
        if shown.shape != volume.shape:
            return None
        made = known.get("segmentation")
        made = made if isinstance(made, dict) else None
        return LayerSnapshot(
            "labels", volume, look_of(layer), role, version, made_id=id(made), made=made,
            labels=shown, features=_label_names(layer), classes=tuple(known.get("classes") or ()),
        )  # fmt: skip
    if isinstance(layer, Points) and role == CLICKS:
        return LayerSnapshot(
            "clicks", volume, look_of(layer), role,
            clicks=_clicks(layer), classes=tuple(known.get("classes") or ()),
        )  # fmt: skip
    if isinstance(layer, Image) and role is None and _unchanged(layer, known):
        return LayerSnapshot("image", volume, look_of(layer))
    return None


def _unchanged(layer: Image, known: dict[str, Any]) -> bool:
    """Whether an image still shows what its file holds, as far as a glance tells."""
    origin = getattr(known.get("origin"), "data", None)
    if origin is None or layer.data is origin:
        return origin is not None
    both = isinstance(layer.data, np.ndarray) and isinstance(origin, np.ndarray)
    return both and np.may_share_memory(layer.data, origin)


def _clicks(layer: Points) -> tuple[tuple[float, ...], ...]:
    data = np.asarray(layer.data, np.float64)[:MOST_CLICKS]
    places = to_world(data * layer.scale + layer.translate).tolist()
    labels = layer.features["label"].to_numpy()[:MOST_CLICKS].tolist()
    return tuple((*place, int(label)) for place, label in zip(places, labels, strict=True))


def _label_names(layer: Labels) -> dict[str, list[Any]]:
    features = layer.features
    if any(column not in features for column in _LABEL_COLUMNS):
        return {}
    return {column: features[column].tolist() for column in _LABEL_COLUMNS}
