"""A scan on the network's grid and its probabilities back on the scan's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes import Volume

Shape = tuple[int, int, int]

_MOST_VOXELS = 2**31
"""Of a grid that an odd spacing may ask for."""


def network_shape(volume: Volume, spacing: Sequence[float] | None) -> Shape:
    """Voxels along (S, A, R) of the grid with this spacing over the same box.

    The outer faces of both grids are the same, so that the spacing is met up to half a voxel
    over the whole side.

    Raises
    ------
    MrisslError
        If the grid would have more than 2^31 voxels.
    """
    if spacing is None:
        return volume.shape
    exact = np.array(volume.shape) * volume.spacing / np.asarray(spacing, np.float64)
    sides = [max(1, round(side)) for side in exact]
    if float(np.prod(sides, dtype=np.float64)) > _MOST_VOXELS:
        raise MrisslError(
            f"{' x '.join(map(str, sides))} voxels at the network's spacing",
            where=volume.name,
            expected="a smaller scan",
            remedy="crop it first",
        )
    return cast(Shape, tuple(sides))


def resized(values: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """The image over the same box with other numbers of voxels, by linear interpolation.

    Nothing is smoothed before, as training does not. Beyond the outer centres the outer voxel's
    value counts.

    Parameters
    ----------
    values
        (S, A, R) float32.
    shape
        Voxels wanted along (S, A, R).
    """
    if values.shape == shape:
        return values
    from skimage.transform import resize

    found = resize(  # type: ignore[no-untyped-call]
        values, shape, order=1, mode="edge", anti_aliasing=False, preserve_range=True, clip=False
    )
    return np.asarray(found, np.float32)
