"""Volumes as napari layers, and back: the only place that knows napari's world order.

napari's world is (S, A, R) mm: the reversed RAS of everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

AXIS_LABELS = ("S", "A", "R")
UNITS = ("mm", "mm", "mm")
METADATA_KEY = "mrissl"

_HORIZONTAL = {"neurological": "right", "radiological": "left"}


def to_napari(points: ArrayLike) -> NDArray[np.float64]:
    """World RAS mm points (..., 3) in napari's world order (S, A, R)."""
    return np.ascontiguousarray(np.asarray(points, np.float64)[..., ::-1])


def to_world(points: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) of napari's world (S, A, R) as RAS mm."""
    return np.ascontiguousarray(np.asarray(points, np.float64)[..., ::-1])


def add_volume(viewer: ViewerModel, volume: Volume, **options: Any) -> Image:
    """Show a volume as an Image layer in mm; ``options`` go to ``viewer.add_image``."""
    orient_camera(viewer, "neurological")
    settings = {
        "name": volume.name,
        "colormap": "gray",
        "contrast_limits": volume.value_range(),
        "metadata": {METADATA_KEY: {"volume": volume}},
        **_placement(volume),
        **options,
    }
    return viewer.add_image(volume.data, **settings)


def add_labels(
    viewer: ViewerModel,
    volume: Volume,
    labels: NDArray[Any],
    name: str = "labels",
    **options: Any,
) -> Labels:
    """Show labels on a volume's (S, A, R) grid; ``options`` go to ``viewer.add_labels``."""
    if labels.shape != volume.shape:
        raise MrisslError(
            f"labels of shape {labels.shape}", where=name, expected=f"the volume's {volume.shape}"
        )
    settings = {
        "name": name,
        "metadata": {METADATA_KEY: {"volume": volume}},
        **_placement(volume),
        **options,
    }
    return viewer.add_labels(labels, **settings)


def volume_of(layer: Layer) -> Volume:
    """The volume behind a layer."""
    ours = layer.metadata.get(METADATA_KEY)
    if ours is None:
        raise MrisslError("layer was not opened by this plugin", where=layer.name)
    return ours["volume"]


def labels_array(layer: Labels) -> NDArray[Any]:
    """The labels of a layer, (S, A, R), on its volume's grid."""
    return layer.data


def set_labels(layer: Labels, labels: NDArray[Any]) -> None:
    """Replace the labels of a layer by an array (S, A, R) on its volume's grid."""
    layer.data = labels


def orient_camera(viewer: ViewerModel, convention: str) -> None:
    """Show anatomy upright, with the patient's right on the right or the left.

    ``convention`` is ``"neurological"`` (right is right) or ``"radiological"``.
    """
    viewer.scene.camera.orientation2d = ("up", _HORIZONTAL[convention])


def _placement(volume: Volume) -> dict[str, Any]:
    return {
        "scale": tuple(volume.spacing),
        "translate": tuple(to_napari(volume.affine[:3, 3])),
        "units": UNITS,
        "axis_labels": AXIS_LABELS,
    }
