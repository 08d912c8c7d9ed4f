"""Volumes out of 3-D layers that another reader opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import as_affine
from napari_mrissl.geometry.orientation import Reorientation
from napari_mrissl.ui.layers.world import layer_matrix, swap_world
from napari_mrissl.volumes.volume import StoredGrid, Volume

if TYPE_CHECKING:
    from napari.layers import Layer

_FREE_MEMORY_SHARE = 0.5

ASSUMED_ANATOMY = (
    "napari layers do not say where the patient is: axes taken as superior, anterior, right"
)
ASSUMED_MILLIMETRES = "layer has no length units: taken as mm"


def foreign_reading(layer: Layer) -> Callable[[], Volume]:
    """What makes a volume of any 3-D Image or Labels layer, its world taken as (S, A, R).

    The layer is read now; what is returned only has its data and may be called by any thread.

    Scale, translate, rotate, shear and affine count, units are converted to mm, of a
    multiscale layer the finest level is taken, and lazy data are computed.

    Raises
    ------
    MrisslError
        If the layer is of another type, RGB, not 3-D, or in units that are no length; when
        called, if it is too big for the memory.
    """
    affine, notes = layer_affine(layer)
    given, name = (layer.data[0] if layer.multiscale else layer.data), layer.name
    notes = (*notes, *_noted_multiscale(layer))

    def read() -> Volume:
        voxels = _computed(given, name)
        if _is_canonical(voxels, affine):
            data = voxels.view()
            data.flags.writeable = False
            shape = (int(data.shape[0]), int(data.shape[1]), int(data.shape[2]))
            return Volume(data, affine, StoredGrid(shape, affine), name=name, notes=notes)
        return Volume.from_stored(voxels, affine, name=name, notes=notes)

    return read


def layer_affine(layer: Layer) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """From the data index of a 3-D layer to RAS mm (4, 4), and what had to be assumed.

    Raises
    ------
    MrisslError
        As `foreign_reading`, as far as geometry goes.
    """
    from napari.layers import Image, Labels

    if not isinstance(layer, Image | Labels):
        raise MrisslError(
            f"a {type(layer).__name__} layer",
            where=layer.name,
            expected="a 3-D Image or Labels layer",
        )
    if getattr(layer, "rgb", False):
        raise MrisslError(
            "a colour image",
            where=layer.name,
            expected="one value per voxel",
            remedy="split its channels (right click on the layer) and choose one",
        )
    if layer.ndim != 3:
        raise MrisslError(
            f"{layer.ndim}-D data",
            where=layer.name,
            expected="one 3-D volume",
            remedy="choose one time point and add it as a layer" if layer.ndim > 3 else None,
        )
    affine, notes = affine_in_millimetres(layer)
    return affine, (ASSUMED_ANATOMY, *notes)


def affine_in_millimetres(layer: Layer) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """As `layer_affine`, of a 3-D layer of any type, its anatomy not spoken of.

    Raises
    ------
    MrisslError
        If an axis is in a unit that is no length.
    """
    millimetres, notes = _millimetres(layer)
    affine = np.diag([*millimetres, 1.0]) @ layer_matrix(layer)
    return as_affine(swap_world(affine)), notes


def _millimetres(layer: Layer) -> tuple[list[float], tuple[str, ...]]:
    """The length in mm of the layer's unit along each world axis."""
    import pint

    registry = pint.get_application_registry()
    factors, notes = [], []
    for unit in layer.units:
        quantity = registry.Quantity(1.0, str(unit))
        if str(quantity.units) == "pixel" or quantity.dimensionless:
            factors.append(1.0)
            notes.append(ASSUMED_MILLIMETRES)
        elif quantity.check("[length]"):
            factors.append(float(quantity.to("millimeter").magnitude))
        else:
            raise MrisslError(
                f"an axis in {unit}", where=layer.name, expected="lengths along all three axes"
            )
    return factors, tuple(dict.fromkeys(notes))


def _computed(data: Any, name: str) -> NDArray[Any]:
    if isinstance(data, np.ndarray):
        return data
    import psutil

    needed = int(np.prod(data.shape)) * np.dtype(data.dtype).itemsize
    limit = int(psutil.virtual_memory().available * _FREE_MEMORY_SHARE)
    if needed > limit:
        raise MrisslError(
            f"{needed / 2**30:.1f} GiB of data that are not in memory",
            where=name,
            expected=f"at most {limit / 2**30:.1f} GiB, half of what is free",
            remedy="crop it or choose a coarser level",
        )
    return np.asarray(data)


def _noted_multiscale(layer: Layer) -> tuple[str, ...]:
    return ("multiscale layer: its finest level was taken",) if layer.multiscale else ()


def _is_canonical(voxels: NDArray[Any], affine: NDArray[np.float64]) -> bool:
    """Whether the array can be used as it is: no axis to move, no byte to swap."""
    return (
        Reorientation.closest_sar(affine) == Reorientation()
        and voxels.flags.c_contiguous
        and voxels.dtype.isnative
        and voxels.dtype.kind in "uif"
        and 0 not in voxels.shape
    )
