"""napari's writers: images and labels saved on the grid of the scan they belong to.

napari's dialog asks before it replaces a file; the scan itself is never replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.layers import METADATA_KEY, labels_array, volume_of

if TYPE_CHECKING:
    from napari.layers import Image, Labels


class SaveError(RuntimeError):
    """Why a layer was not saved, in one sentence.

    napari takes a ValueError of a writer, as a `MrisslError` is, for "no writer fits" and
    drops what it says.
    """


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save an Image layer in value units on its scan's stored grid; the format by suffix.

    Raises
    ------
    SaveError
        If the layer is no 3-D scan, the file is the scan itself, or the system refuses.
    """
    from napari_mrissl import volumes

    layer: Image = _layer(data, attributes, "image")
    with _said():
        volume = volume_of(layer)
        values = volume.data
        if (volume.slope, volume.intercept) != (1.0, 0.0):
            # What a damaged scaling puts beyond float32 becomes infinite, as it was shown.
            with np.errstate(over="ignore", invalid="ignore"):
                values = (values * np.float64(volume.slope) + volume.intercept).astype(np.float32)
        return [str(volumes.write_image(path, values, volume, overwrite=True))]


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a Labels layer on its scan's stored grid; the format by suffix.

    Names in the layer's features table (columns ``index`` and ``name``) are kept.

    Raises
    ------
    SaveError
        If the layer is not 3-D, the file is the scan itself, or the system refuses.
    """
    from napari_mrissl import volumes

    layer: Labels = _layer(data, attributes, "labels")
    with _said():
        volume = volume_of(layer)
        ours = METADATA_KEY in layer.metadata and volume.shape == labels_array(layer).shape
        labels = labels_array(layer) if ours else volume.data
        written = volumes.write_labels(path, labels, volume, overwrite=True, names=_names(layer))
        return [str(written)]


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except MrisslError as error:
        raise SaveError(str(error)) from error


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
