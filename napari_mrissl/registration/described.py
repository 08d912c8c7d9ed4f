"""A scan with features, made ready to be searched for places like those of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.features.similarity import Compared, channels_at
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.match_settings import MatchSettings
from napari_mrissl.registration.transform import Transform, warped, warped_labels
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.volumes import Volume

_MOST_SEARCHED = 250_000
"""Voxels among which a match is looked for first; then its neighbours are."""

_MOST_VOXELS = 12_000_000
_CUBIC = 0.01


@dataclass(frozen=True, eq=False)
class Described:
    """Features of a scan, and where in it matches are looked for.

    Attributes
    ----------
    volume
        The scan, or what it was brought to; `world_of` is in the scanner's mm either way.
    compared
        Its features.
    searched
        (N,) flat numbers of voxels on an even grid in the body.
    steps
        (3,) voxels between them along (S, A, R).
    """

    volume: Volume
    compared: Compared
    searched: NDArray[np.int64]
    steps: NDArray[np.int64]

    @classmethod
    def of(
        cls, volume: Volume, compared: Compared, mask: NDArray[np.bool_] | None = None
    ) -> Described:
        """A scan with features.

        Parameters
        ----------
        volume
            The scan.
        compared
            Its features, on its grid.
        mask
            (S, A, R) where matches are looked for; what is above Otsu's threshold if left out.

        Raises
        ------
        MrisslError
            If the mask is on another grid or empty, or no voxel is finite.
        """
        if mask is None:
            coarse = Foreground.of(volume)
            # Its voxels lie on those of the scan, so many apart.
            to_own = volume.to_index @ coarse.affine
            places = np.rint(apply_affine(to_own, np.argwhere(coarse.mask))).astype(np.int64)
            steps = np.rint(np.diag(to_own)[:3]).astype(np.int64)
        else:
            check_mask(mask, volume)
            step = max(1, round((np.count_nonzero(mask) / _MOST_SEARCHED) ** (1 / 3)))
            steps = np.minimum(step, mask.shape).astype(np.int64)
            places = np.argwhere(mask[tuple(slice(None, None, int(n)) for n in steps)]) * steps
            if not len(places):
                places, steps = np.argwhere(mask), np.ones(3, np.int64)
        numbers = np.ravel_multi_index(tuple(places.T), volume.shape)
        return cls(volume, compared, np.asarray(numbers, np.int64), steps)

    def voxel_at(self, place: ArrayLike) -> int | None:
        """The flat number of the voxel that holds a place in RAS mm; None outside."""
        index = np.rint(apply_affine(self.volume.to_index, place)).astype(np.int64)
        if not ((index >= 0) & (index < self.volume.shape)).all():
            return None
        return int(np.ravel_multi_index(tuple(index), self.volume.shape))

    def world_of(self, numbers: ArrayLike) -> NDArray[np.float64]:
        """RAS mm (..., 3) of the middles of voxels."""
        index = np.stack(np.unravel_index(np.asarray(numbers), self.volume.shape), axis=-1)
        return apply_affine(self.volume.affine, index)

    def vectors(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N, C) features of length 1; zeros where there are none."""
        compared = self.compared
        found = channels_at(compared.data, numbers) - compared.offset[:, None]
        found *= compared.weight[:, None]
        found *= compared.inverse.reshape(-1)[numbers]
        return np.ascontiguousarray(found.T, np.float32)


def described(
    volume: Volume,
    settings: MatchSettings,
    spacing_mm: float,
    mask: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Described:
    """Bring a scan to cubes along the axes of world, and take its features.

    Parameters
    ----------
    volume
        The scan.
    settings
        Which features.
    spacing_mm
        Of the cubes; see `common_spacing`.
    mask
        (S, A, R) on the scan's own grid: where matches are looked for.
    progress, cancelled
        As everywhere.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If the scan has no contrast, the mask is on another grid or empty, or there are no such
        weights.
    """
    if mask is not None:
        check_mask(mask, volume)
    own, mask = upright(volume, spacing_mm, mask)
    stack = features.compute(own, settings.feature_settings(), progress, cancelled)
    return Described.of(own, Compared.of(stack.data, own, settings.comparison, cancelled), mask)


def common_spacing(volumes: tuple[Volume, Volume], wanted: float = 0.0) -> float:
    """The side in mm of the cubes that both scans are brought to.

    Parameters
    ----------
    volumes
        The scans.
    wanted
        In mm; 0 for the coarser scan's mean. More where a scan would have too many voxels.
    """
    side = wanted or max(float(np.prod(v.spacing) ** (1 / 3)) for v in volumes)
    least: list[float] = [float(np.cbrt(np.prod(v.extent) / _MOST_VOXELS)) for v in volumes]
    return max(side, *least)


def upright(
    volume: Volume, spacing_mm: float, mask: NDArray[np.bool_] | None = None
) -> tuple[Volume, NDArray[np.bool_] | None]:
    """A scan, and its mask, on cubes along the axes of world; as they are where they lie so.

    Where the box along the axes of world leaves the scan it is as dark as the scan's background.
    """
    if not volume.oblique and np.allclose(volume.spacing, spacing_mm, rtol=_CUBIC):
        return volume, mask
    shape = np.maximum(1, np.ceil(volume.extent[::-1] / spacing_mm - 1e-6)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = spacing_mm * np.eye(3)[::-1]
    affine[:3, 3] = volume.center - affine[:3, :3] @ ((shape - 1) / 2)
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    still = Transform.of_linear(np.eye(4)).displacements(grid)
    values = warped(volume, still, grid, outside=volume.value_range()[0])
    brought = Volume.from_stored(values, affine, name=volume.name)
    if mask is None:
        return brought, None
    return brought, warped_labels(mask.view(np.uint8), volume, still, grid).view(bool)


def check_mask(mask: NDArray[np.bool_], volume: Volume) -> None:
    """Refuse a mask that is not of this scan.

    Raises
    ------
    MrisslError
        If it is on another grid or empty.
    """
    if mask.shape != volume.shape or not mask.any():
        raise MrisslError(
            f"has shape {mask.shape}" if mask.any() else "is empty",
            where=f"mask of {volume.name}",
            expected=f"voxels of its scan, {volume.shape}",
        )
