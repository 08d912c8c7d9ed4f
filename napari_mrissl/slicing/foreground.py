"""Where in a volume there is something to see: a coarse mask and its box in the world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, apply_affine
from napari_mrissl.slicing.planes import planes_of_poses
from napari_mrissl.volumes.volume import Volume

_VOXELS = 250_000
_RASTER = 32
_STEPS = np.arange(_RASTER, dtype=np.float64)[:, None]
_HALF_UP = np.array([[0.5], [0.0], [0.0]])
"""Added to a plane's origin, so that the nearest voxel is the one below."""


@dataclass(frozen=True, eq=False)
class Foreground:
    """A coarse foreground mask of a volume.

    Attributes
    ----------
    mask
        uint8 (S, A, R), 1 in the foreground, of about 250,000 voxels.
    affine
        (4, 4) from index of the mask to world RAS mm.
    box
        (2, 3) lower and upper corner in world RAS mm of where the foreground is; half a
        per cent of it may lie beyond on each side.
    """

    mask: NDArray[np.uint8]
    affine: NDArray[np.float64]
    box: NDArray[np.float64]

    @classmethod
    def of(cls, volume: Volume) -> Foreground:
        """Voxels above Otsu's threshold; NaN is background, a constant volume foreground.

        Raises
        ------
        MrisslError
            If no voxel is finite.
        """
        step = max(1, round((volume.data.size / _VOXELS) ** (1 / 3)))
        steps = [min(step, max(n // 8, 1)) for n in volume.shape]
        sample = volume.data[tuple(slice(s // 2, None, s) for s in steps)].astype(np.float64)
        values = volume.slope * sample + volume.intercept
        finite = np.isfinite(values)
        if not finite.any():
            raise MrisslError("volume has no finite voxel", where=volume.name)
        # A few very bright voxels must not make everything else background.
        low, high = (float(v) for v in np.percentile(values[finite], (0.5, 99.5)))
        clipped = np.clip(np.where(finite, values, low), low, high)
        mask = finite & (clipped > otsu_threshold(clipped[finite]))
        if not mask.any():
            mask = finite
        affine = volume.affine.copy()
        affine[:3, 3] = apply_affine(volume.affine, [s // 2 for s in steps])
        affine[:3, :3] *= steps
        places = apply_affine(affine, np.argwhere(mask))
        return cls(mask.astype(np.uint8), affine, np.percentile(places, (0.5, 99.5), axis=0))

    def fraction(self, pose: Pose) -> float:
        """The part of a pose's square that shows foreground, 0 to 1."""
        # By hand, as policies ask for every pose: a renderer's checks take longer than this.
        origin, down, across = planes_of_poses(self._to_index, [pose], _RASTER)[0] + _HALF_UP
        places = (origin + _STEPS * down)[:, None] + _STEPS * across
        index = np.floor(places).astype(np.int64)
        inside = ((index >= 0) & (index < self.mask.shape)).all(axis=2)
        s, a, r = index[inside].T
        return float(self.mask[s, a, r].sum() / _RASTER**2)

    @cached_property
    def _to_index(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.affine), np.float64)

    def contains(self, point: ArrayLike) -> bool:
        """Whether a point in world RAS mm lies in the box."""
        place = np.asarray(point, np.float64)
        return bool((place >= self.box[0]).all() and (place <= self.box[1]).all())


def otsu_threshold(values: NDArray[np.float64]) -> float:
    """The value that splits ``values`` into two classes of least variance within (Otsu 1979).

    All values are at most the result where they are all the same.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return high
    counts, edges = np.histogram(values, bins=256, range=(low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = values.size - below
    sums = np.cumsum(counts * middles)
    between = (sums[-1] * below / values.size - sums[:-1]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        between /= below * above
    return float(edges[1 + int(np.nanargmax(between))])
