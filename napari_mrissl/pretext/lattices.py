"""Evenly spaced points over a scan: what a network says of a whole scan is told on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.volumes import Volume

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lattice:
    """Cells along a scan's own axes, about its middle.

    Attributes
    ----------
    shape
        Cells along (S, A, R).
    steps_mm
        (3,) edges of a cell along (S, A, R).
    affine
        (4, 4) from index (s, a, r) of a cell to world RAS mm.
    """

    shape: tuple[int, int, int]
    steps_mm: Floats
    affine: Floats

    @classmethod
    def over(cls, volume: Volume, steps_mm: ArrayLike) -> Lattice:
        """As many cells of these edges along (S, A, R) as cover a volume; the last may go beyond.

        A number is the edge along all axes.
        """
        steps = np.broadcast_to(np.asarray(steps_mm, np.float64), 3).copy()
        counts = np.maximum(1, np.ceil(_edges(volume) / steps - 1e-6)).astype(int)
        to_index = np.diag([*(steps / volume.spacing), 1.0])
        to_index[:3, 3] = (np.array(volume.shape) - 1) / 2
        to_index[:3, 3] -= (counts - 1) / 2 * steps / volume.spacing
        s, a, r = (int(count) for count in counts)
        return cls((s, a, r), steps, volume.affine @ to_index)

    @classmethod
    def filling(cls, volume: Volume, step_mm: float, most: int) -> Lattice:
        """Cells that fill a volume, of about this edge, or larger to be at most so many.

        There are at least two along each axis.
        """
        edges = _edges(volume)
        step = max(step_mm, float(np.prod(edges) / most) ** (1 / 3))
        return cls.over(volume, edges / np.maximum(2, np.ceil(edges / step - 1e-6)))

    def finer(self, factor: int) -> Lattice:
        """So many cells in place of each one, along each axis."""
        s, a, r = (factor * count for count in self.shape)
        affine = self.affine.copy()
        affine[:3, 3] = apply_affine(self.affine, np.full(3, 0.5 / factor - 0.5))
        affine[:3, :3] /= factor
        return Lattice((s, a, r), self.steps_mm / factor, affine)

    @property
    def points_mm(self) -> Floats:
        """(N, 3) middles of all cells in scan mm (R, A, S), the last axis of the shape fastest."""
        index = np.moveaxis(np.indices(self.shape), 0, -1).reshape(-1, 3)
        found: Floats = ((index - self._middle) * self.steps_mm)[:, ::-1]
        return found

    def index_of(self, points_mm: ArrayLike) -> Floats:
        """Points (..., 3) in scan mm (R, A, S) as indices of cells, fractions allowed."""
        found: Floats = np.asarray(points_mm, np.float64)[..., ::-1] / self.steps_mm + self._middle
        return found

    def to_world(self, points_mm: ArrayLike) -> Floats:
        """Points (..., 3) in scan mm (R, A, S) as world RAS mm."""
        return apply_affine(self.affine, self.index_of(points_mm))

    def from_world(self, world: ArrayLike) -> Floats:
        """The inverse of `to_world`."""
        index = apply_affine(np.linalg.inv(self.affine), np.asarray(world, np.float64))
        found: Floats = ((index - self._middle) * self.steps_mm)[..., ::-1]
        return found

    def vectors_to_world(self, vectors_mm: ArrayLike) -> Floats:
        """Differences (..., 3) of points in scan mm as world RAS mm."""
        index = np.asarray(vectors_mm, np.float64)[..., ::-1] / self.steps_mm
        found: Floats = index @ self.affine[:3, :3].T
        return found

    @property
    def _middle(self) -> Floats:
        found: Floats = (np.array(self.shape) - 1) / 2
        return found


def _edges(volume: Volume) -> Floats:
    found: Floats = np.array(volume.shape) * volume.spacing
    return found
