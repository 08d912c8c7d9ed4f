"""Grids in world mm: the one on which features are compared, and those of its nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.geometry.affines import spacing
from napari_mrissl.volumes import Volume

Shape = tuple[int, int, int]

_CUBIC = 1.01
"""Longest over shortest side up to which voxels count as cubes."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of an array lie.

    Attributes
    ----------
    shape
        Voxels along (S, A, R).
    affine
        (4, 4) from index (s, a, r) to world RAS mm.
    """

    shape: Shape
    affine: NDArray[np.float64]

    @classmethod
    def of(cls, volume: Volume) -> Grid:
        """The grid of a scan."""
        return cls(volume.shape, volume.affine)

    @cached_property
    def to_index(self) -> NDArray[np.float64]:
        """(4, 4) from world RAS mm to index."""
        return np.asarray(np.linalg.inv(self.affine), np.float64)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel side lengths in mm along (S, A, R)."""
        return spacing(self.affine)

    @property
    def voxels(self) -> int:
        """Their number."""
        return math.prod(self.shape)

    def nodes(self, step: int) -> Grid:
        """The grid of the middles of cubes of so many voxels; sides must be multiples of it."""
        s, a, r = (side // step for side in self.shape)
        to_cubes = np.diag([step, step, step, 1.0])
        to_cubes[:3, 3] = (step - 1) / 2
        return Grid((s, a, r), self.affine @ to_cubes)


def working_grid(volume: Volume, spacing_mm: float, multiple: int) -> Grid:
    """A grid of cubes over a scan's field of view, along its own axes.

    A scan whose voxels are cubes of the wanted size keeps its grid, so that nothing is
    interpolated; sides are extended at their far ends to multiples of `multiple`. Axes that are
    sheared are replaced by the closest ones at right angles.

    Parameters
    ----------
    volume
        The scan.
    spacing_mm
        Side of the cubes; 0 for the mean (geometric) of the scan's own.
    multiple
        What every side must be a multiple of.
    """
    own = volume.spacing
    side = spacing_mm or float(np.prod(own) ** (1 / 3))
    left, _, right = np.linalg.svd(volume.affine[:3, :3] / own)
    axes = left @ right
    straight = np.allclose(axes * own, volume.affine[:3, :3], atol=1e-4 * own.min())
    if straight and max(own.max(), side) <= _CUBIC * min(own.min(), side):
        return Grid(_rounded(volume.shape, multiple), volume.affine)
    lengths = np.array(volume.shape) * own
    shape = tuple(max(1, math.ceil(length / side - 1e-6)) for length in lengths)
    affine = np.eye(4)
    affine[:3, :3] = axes * side
    affine[:3, 3] = volume.center - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(_rounded((shape[0], shape[1], shape[2]), multiple), affine)


def _rounded(shape: Shape, multiple: int) -> Shape:
    s, a, r = (max(2, math.ceil(side / multiple)) * multiple for side in shape)
    return s, a, r
