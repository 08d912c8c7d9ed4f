"""napari's writers: images and labels saved on the grid of the scan they belong to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.layers import METADATA_KEY, labels_array, volume_of

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_mrissl.volumes.volume import Volume


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save an Image layer in value units on its scan's stored grid; the format by suffix.

    Raises
    ------
    MrisslError
        If the layer is no 3-D scan, or the file is the one it was read from.
    """
    from napari_mrissl import volumes

    layer: Image = _layer(data, attributes, "image")
    volume = volume_of(layer)
    _refuse_source(Path(path), volume)
    values = volume.data
    if (volume.slope, volume.intercept) != (1.0, 0.0):
        values = (values * np.float64(volume.slope) + volume.intercept).astype(np.float32)
    return [str(volumes.write_image(path, values, volume, overwrite=True))]


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a Labels layer on its scan's stored grid; the format by suffix.

    Raises
    ------
    MrisslError
        If the layer is not 3-D, or the file is the scan it belongs to.
    """
    from napari_mrissl import volumes

    layer: Labels = _layer(data, attributes, "labels")
    volume = volume_of(layer)
    _refuse_source(Path(path), volume)
    foreign = METADATA_KEY not in layer.metadata
    labels = volume.data if foreign else labels_array(layer)
    names = _names(layer)
    return [str(volumes.write_labels(path, labels, volume, overwrite=True, names=names))]


def _layer(data: Any, attributes: dict[str, Any], kind: str) -> Any:
    """The layer that napari took apart for us; it is in no viewer."""
    from napari.layers import Layer

    return Layer.create(data, attributes, kind)


def _names(layer: Labels) -> dict[int, str] | None:
    """Label names, where the layer's features table has them as ``index`` and ``name``."""
    table = layer.features
    if "index" not in table or "name" not in table:
        return None
    rows = zip(table["index"], table["name"], strict=True)
    return {int(label): str(name) for label, name in rows if int(label) != 0}


def _refuse_source(path: Path, volume: Volume) -> None:
    """napari's dialog asks before it replaces a file; the scan itself is never replaced."""
    if volume.file_sha256 is None or not path.is_file():
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == volume.file_sha256:
        raise MrisslError("this is the scan itself", where=path, remedy="save under another name")
