"""Both scans on one grid, as what is compared wants them; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.settings import Window
from napari_mrissl.registration.transform import Transform, warped, warped_labels
from napari_mrissl.volumes import Volume


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan on the grid of comparison.

    Attributes
    ----------
    image
        (Z, Y, X) float32 values, clipped to the window; beyond the scan and outside its mask
        those of the nearest voxel inside.
    seen
        Where the scan has voxels.
    mask
        Where it is to be compared; None for everywhere.
    grid
        Of the arrays, in the world of the fixed scan.
    name
        Of the scan, for messages.
    """

    image: NDArray[np.float32]
    seen: NDArray[np.bool_]
    mask: NDArray[np.bool_] | None
    grid: Grid
    name: str

    def as_volume(self) -> Volume:
        """The image as a scan of its own, for what computes features of scans."""
        return Volume.from_stored(self.image, self.grid.affine, name=self.name)


def prepared(
    volume: Volume,
    transform: Transform,
    grid: Grid,
    window: Window | None,
    mask: NDArray[np.bool_] | None,
) -> Prepared:
    """A scan on a grid in the world of the fixed scan.

    Parameters
    ----------
    volume
        The scan.
    transform
        From the world of the grid to that of the scan.
    grid
        Where it is wanted.
    window
        Values it is clipped to; None for all.
    mask
        (S, A, R) on the scan's own grid.

    Raises
    ------
    MrisslError
        If the scan is the same everywhere there, or its mask empty.
    """
    field = transform.displacements(grid)
    # One number seen everywhere, since the scan may be far larger than the grid.
    inside = np.broadcast_to(np.uint8(1), volume.shape)
    seen = warped_labels(inside, volume, field, grid).view(bool)
    image = warped(volume, field, grid, edge=True)
    kept = None
    if mask is not None:
        as_numbers = np.ascontiguousarray(mask, bool).view(np.uint8)
        kept = warped_labels(as_numbers, volume, field, grid).view(bool)
    del field
    # What is no number is darkness.
    low, high = window if window is not None else (-np.inf, np.inf)
    np.clip(np.nan_to_num(image, copy=False, posinf=0, neginf=0), low, high, out=image)
    if kept is not None:
        if not kept.any():
            raise MrisslError(
                "holds no voxel in the common field of view",
                where=f"mask of {volume.name}",
                expected="a mask over the body",
            )
        image = _filled(image, kept)
    compared = image[seen if kept is None else kept]
    if not compared.size:
        raise MrisslError(
            "the scans do not overlap",
            where=volume.name,
            remedy="begin with centres or moments instead of the header",
        )
    if compared.min() == compared.max():
        raise MrisslError(
            "all voxels have the same value",
            where=volume.name,
            expected="a scan with some contrast",
            remedy="choose another scan" if window is None else "choose another window",
        )
    return Prepared(image, seen, kept, grid, volume.name)


def _filled(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Outside the mask the value of the nearest voxel inside."""
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    found = np.empty_like(image)
    for part, *places in zip(found, *nearest, strict=True):
        part[:] = image[tuple(places)]
    return found
