"""Patches that overlap on a grid of their own over a volume, and the way back to its voxels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.volumes import Volume

Floats = NDArray[np.float64]
Place = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class PatchGrid:
    """A grid over a volume, and the patches that it is taken in.

    Patches begin at multiples of the stride, so that their coarser maps lie on common grids
    too. The grid has the volume's middle; it may reach beyond its ends by half a stride.

    Attributes
    ----------
    volume
        Its axes are taken as orthogonal.
    spacing
        (3,) mm along (S, A, R).
    shape
        Of the grid, in multiples of the stride.
    side
        Of patches, in voxels of the grid.
    stride
        Of the deepest map of a patch.
    """

    volume: Volume
    spacing: Floats
    shape: Place
    side: int
    stride: int

    @classmethod
    def over(
        cls, volume: Volume, side: int, voxel_mm: float, stride: int, *, cubes: bool
    ) -> PatchGrid:
        """The grid of patches of so many voxels of such an edge, as they were cut in training.

        Parameters
        ----------
        volume
            What is covered.
        side, voxel_mm
            Of patches; voxels are smaller where the volume is shorter than a patch.
        stride
            The side is a multiple of it.
        cubes
            Whether a volume's shortest side holds for all axes, or each axis has its own.
        """
        extent = np.array(volume.shape) * volume.spacing
        shortest = np.full(3, extent.min()) if cubes else extent
        spacing = np.minimum(side * voxel_mm, shortest) / side
        # What rounding adds is no further voxel.
        needed = np.ceil(extent / spacing / stride - 1e-6).astype(int) * stride
        z, y, x = (int(one) for one in np.maximum(needed, side))
        return cls(volume, spacing, (z, y, x), side, stride)

    @property
    def places(self) -> list[Place]:
        """Where patches begin: at most half a side apart, the last at the end."""
        lines = []
        for length in self.shape:
            room = (length - self.side) // self.stride
            half = max(1, self.side // 2 // self.stride)
            count = -(-room // half) + 1
            steps = np.linspace(0, room, count).round().astype(int) * self.stride
            lines.append([int(one) for one in steps])
        return [(z, y, x) for z, y, x in itertools.product(*lines)]

    def box(self, place: Place) -> tuple[slice, slice, slice]:
        """Of the patch that begins there, on the grid."""
        z, y, x = (slice(begin, begin + self.side) for begin in place)
        return z, y, x

    @property
    def corners(self) -> tuple[Floats, Floats]:
        """(3,) lower and upper corner in the volume's index, faces included."""
        middle = (np.array(self.volume.shape) - 1) / 2
        half = np.array(self.shape) * self.spacing / self.volume.spacing / 2
        return middle - half, middle + half

    def cells(self, scale: int) -> tuple[Floats, ...]:
        """(V,) for each axis: where its V voxels lie among cells of so many of the grid's.

        Beyond the outermost middles of cells these are held.
        """
        found = []
        for length, count, low, high in zip(
            self.volume.shape, self.shape, *self.corners, strict=True
        ):
            cells = count // scale
            place = (np.arange(length) - low) / (high - low) * cells - 0.5
            found.append(place.clip(0, cells - 1))
        return tuple(found)

    def mixes(self, scale: int) -> tuple[NDArray[np.float32], ...]:
        """(V, n) for each axis: what n such cells add to each of V voxels, linear between them."""
        return tuple(
            np.maximum(1 - np.abs(place[:, None] - np.arange(count // scale)), 0).astype(np.float32)
            for place, count in zip(self.cells(scale), self.shape, strict=True)
        )
