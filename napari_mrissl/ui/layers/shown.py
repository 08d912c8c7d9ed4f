"""Volumes and their labels as napari layers, and back."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.layers.banner import watch_readings
from napari_mrissl.ui.layers.foreign import foreign_reading
from napari_mrissl.ui.layers.lazy import LazyGrid, RenderedImage, RenderedLabels, ScaledVoxels
from napari_mrissl.ui.layers.orientation import orient_once
from napari_mrissl.ui.layers.world import AXIS_LABELS, UNITS, layer_matrix, swap_world, to_napari
from napari_mrissl.ui.preferences import preferences
from napari_mrissl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

METADATA_KEY = "mrissl"


@dataclass(frozen=True, eq=False)
class _Origin:
    """What a layer was made of, so that a later change by hand is noticed."""

    volume: Volume
    data: Any
    matrix: NDArray[np.float64]


def image_layer(volume: Volume, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Data and settings of the Image layer that shows a volume.

    An axis-aligned volume is shown as it is, without a copy; with a slope or intercept
    as lazy float32 values, so that the status bar reads value units; an oblique one as
    a lazy rendering on a world-aligned grid.
    """
    if volume.oblique:
        data: Any = RenderedImage(volume)
    elif (volume.slope, volume.intercept) != (1.0, 0.0):
        data = ScaledVoxels(volume)
    else:
        data = volume.data
    placement = _placement(volume, data)
    settings = {
        "name": volume.name,
        "colormap": "gray",
        "contrast_limits": volume.display_window(),
        "metadata": _metadata(volume, data, placement),
        "units": UNITS,
        "axis_labels": AXIS_LABELS,
        **placement,
        **options,
    }
    return data, settings


def labels_layer(
    volume: Volume, labels: NDArray[Any], name: str = "labels", **options: Any
) -> tuple[Any, dict[str, Any]]:
    """Data and settings of the Labels layer that shows labels (S, A, R) of a volume.

    Raises
    ------
    MrisslError
        If the labels are not integers on the volume's grid.
    """
    data = _labels_data(volume, labels, name)
    placement = _placement(volume, data)
    settings = {
        "name": name,
        "metadata": _metadata(volume, None, placement),
        "units": UNITS,
        "axis_labels": AXIS_LABELS,
        **placement,
        **options,
    }
    return data, settings


def add_volume(viewer: ViewerModel, volume: Volume, **options: Any) -> Image:
    """Show a volume as an Image layer in mm; ``options`` go to ``viewer.add_image``.

    The viewer is oriented by preference the first time; see `image_layer` for the data.
    """
    prepare_viewer(viewer)
    data, settings = image_layer(volume, **options)
    return viewer.add_image(data, **settings)


def add_labels(
    viewer: ViewerModel,
    volume: Volume,
    labels: NDArray[Any],
    name: str = "labels",
    **options: Any,
) -> Labels:
    """Show labels on a volume's (S, A, R) grid; ``options`` go to ``viewer.add_labels``.

    Painting writes into the array given (a copy of it if it is read-only), on an oblique
    volume too; `labels_array` returns it.

    Raises
    ------
    MrisslError
        If the labels are not integers on the volume's grid.
    """
    prepare_viewer(viewer)
    data, settings = labels_layer(volume, labels, name, **options)
    return viewer.add_labels(data, **settings)


def prepare_viewer(viewer: ViewerModel) -> None:
    """Make a viewer ready for scans: oriented by preference, once; banner; renderer loading.

    Call it before layers of `image_layer` and `labels_layer` are added by other means.
    """
    orient_once(viewer)
    viewer.layers.events.inserted.connect(_on_inserted)
    watch_readings(viewer)
    prepare_renderer()


@lru_cache(maxsize=1)
def prepare_renderer() -> None:
    """Load the renderer's kernels in the background, with the preferred threads."""
    from napari_mrissl import slicing

    if threads := preferences().threads:
        slicing.set_threads(threads)
    slicing.prepare()


def volume_of(layer: Layer) -> Volume:
    """The volume behind a layer: ours as it was opened, or built from any 3-D layer.

    A layer of ours that was given other data, or moved, counts as what it is now. Of a
    Labels layer of ours it is the volume that the labels belong to. The same layer gives
    the same object until its data or place changes; voxels changed in place go unnoticed.

    Raises
    ------
    MrisslError
        In one sentence, if no volume can be had.
    """
    return reading_of(layer)()


def reading_of(layer: Layer) -> Callable[[], Volume]:
    """What gives the volume behind a layer, see `volume_of`, and may take long to do so.

    The layer is read now, in the GUI's thread; what is returned computes lazy data and may be
    called by any thread.

    Raises
    ------
    MrisslError
        In one sentence, if no volume can be had; what is returned may raise one too.
    """
    data, place = layer.data, _place(layer)

    def known(layer: Layer) -> Volume | None:
        cached = _volumes.get(layer)
        same = cached is not None and cached[0] is data and cached[1] == place
        return cached[2] if cached is not None and same else None

    if (volume := known(layer)) is not None:
        return lambda: volume
    found, held = _find_reading(layer), weakref.ref(layer)

    def read() -> Volume:
        volume, layer = found(), held()
        if layer is None:
            return volume
        # Another may have read it meanwhile: all get the same object.
        if (earlier := known(layer)) is not None:
            return earlier
        _volumes[layer] = (data, place, volume)
        return volume

    return read


def labels_array(layer: Labels) -> NDArray[Any]:
    """The labels (S, A, R) on the grid of the layer's volume; write and ``layer.refresh()``."""
    data = layer.data
    return data.labels if isinstance(data, RenderedLabels) else np.asarray(data)


def set_labels(layer: Labels, labels: NDArray[Any]) -> None:
    """Replace the labels of a layer by an array (S, A, R) on its volume's grid.

    Raises
    ------
    MrisslError
        If the labels are not integers on the volume's grid.
    """
    layer.data = _labels_data(volume_of(layer), labels, layer.name)


_volumes: weakref.WeakKeyDictionary[Any, tuple[Any, Any, Volume]] = weakref.WeakKeyDictionary()


def _find_reading(layer: Layer) -> Callable[[], Volume]:
    origin = layer.metadata.get(METADATA_KEY, {}).get("origin")
    if not isinstance(origin, _Origin) or getattr(layer, "ndim", 0) != 3:
        return foreign_reading(layer)
    if isinstance(layer.data, RenderedImage):
        # Also where it replaces another, as when features are computed again.
        origin = replace(origin, volume=layer.data.volume, data=layer.data)
    moved = not np.allclose(layer_matrix(layer), origin.matrix, rtol=0, atol=1e-6)
    if not moved and (origin.data is None or _same(layer.data, origin.data)):
        return lambda: origin.volume
    if not isinstance(layer.data, LazyGrid):
        return foreign_reading(layer)
    # What is shown is a rendering: the scan itself is moved the same way.
    motion = layer_matrix(layer) @ np.linalg.inv(origin.matrix)
    affine = swap_world(motion @ swap_world(origin.volume.affine))
    if isinstance(layer.data, RenderedLabels):
        labels, name = layer.data.labels, layer.name
        return lambda: Volume.from_stored(labels, affine, name=name)
    volume = origin.volume
    return lambda: Volume.from_stored(
        volume.data,
        affine,
        slope=volume.slope,
        intercept=volume.intercept,
        name=volume.name,
        notes=(*volume.notes, "the layer was moved after it was opened"),
        disagreements=volume.disagreements,
    )


def _same(data: Any, origin: Any) -> bool:
    """Whether data are the ones a layer was made of, or napari's copy of them."""
    if data is origin:
        return True
    return (
        isinstance(data, np.ndarray)
        and isinstance(origin, np.ndarray)
        and data.dtype == origin.dtype
        and np.array_equal(data, origin, equal_nan=data.dtype.kind == "f")
    )


def _place(layer: Layer) -> Any:
    units = tuple(str(u) for u in getattr(layer, "units", ()))
    return (layer_matrix(layer).tobytes() if layer.ndim == 3 else b"", units, layer.name)


def _labels_data(volume: Volume, labels: NDArray[Any], name: str) -> Any:
    labels = np.asarray(labels)
    if labels.shape != volume.shape or labels.dtype.kind not in "bui":
        raise MrisslError(
            f"labels of shape {labels.shape} and type {labels.dtype}",
            where=name,
            expected=f"integers on the volume's grid {volume.shape}",
        )
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    if not labels.flags.writeable:
        labels = labels.copy()
    return RenderedLabels(volume, labels) if volume.oblique else labels


def _placement(volume: Volume, data: Any) -> dict[str, Any]:
    if isinstance(data, RenderedImage | RenderedLabels):
        return data.grid.placement
    return {
        "scale": tuple(float(s) for s in volume.spacing),
        "translate": tuple(float(t) for t in to_napari(volume.affine[:3, 3])),
    }


def _metadata(volume: Volume, data: Any, placement: dict[str, Any]) -> dict[str, Any]:
    matrix = np.diag([*placement["scale"], 1.0])
    matrix[:3, 3] = placement["translate"]
    return {METADATA_KEY: {"volume": volume, "origin": _Origin(volume, data, matrix)}}


def _on_inserted(event: Any) -> None:
    """Show painted oblique labels as their voxels have them: voxels are painted whole.

    napari draws the brush's own cells while it paints. In 3D, where all cells are
    rendered, they are redrawn once per stroke.
    """
    layer = event.value
    if isinstance(layer.data, RenderedLabels):
        layer.events.labels_update.connect(_redraw_plane)
        layer.events.paint.connect(_redraw)


def _redraw_plane(event: Any) -> None:
    if event.data.ndim == 2:
        _redraw(event)


def _redraw(event: Any) -> None:
    event.source.refresh(extent=False)
