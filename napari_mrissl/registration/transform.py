"""A linear map and a displacement field between two scans, in world mm.

Direction and sign, everywhere in this package: a transform takes a place ``x`` in the world of
the **fixed** scan to the place ``y`` in the world of the **moving** scan that shows the same
anatomy, so the moved image is ``moved(x) = moving(y(x))`` and the displacement ``d(x) = y(x) - x``
points from the fixed to the moving anatomy. World is RAS+ mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry.affines import apply_affine, as_affine
from napari_mrissl.registration.grids import Grid
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

Field = NDArray[np.float32]
"""(S, A, R, 3) displacements in RAS mm."""

_INVERSE_MM, _INVERSE_STEPS = 1e-3, 60


@dataclass(frozen=True, eq=False)
class Transform:
    """From fixed to moving world: ``y = linear(x + u(x))``.

    Attributes
    ----------
    linear
        (4, 4), RAS mm.
    grid
        Where the nodes of `nodes` lie, in the world of the fixed scan.
    nodes
        (Z, Y, X, 3) float32: u in RAS mm at the nodes, trilinear between them, beyond them that
        of the nearest.
    """

    linear: NDArray[np.float64]
    grid: Grid
    nodes: Field

    @classmethod
    def of_linear(cls, linear: ArrayLike) -> Transform:
        """A transform without a field."""
        nowhere = Grid((1, 1, 1), np.eye(4))
        return cls(as_affine(linear), nowhere, np.zeros((1, 1, 1, 3), np.float32))

    def displacements(self, grid: Grid) -> Field:
        """``d(x) = y(x) - x`` at the voxels of a grid in the world of the fixed scan."""
        from napari_mrissl.registration import kernels

        out = np.empty((*grid.shape, 3), np.float32)
        where = grid.affine, self.grid.to_index, self.linear, self.nodes
        over_rows(lambda a, b: kernels.displacements(*where, out, a, b), grid.shape[0], grid.voxels)
        return out

    def inverse_displacements(self, grid: Grid) -> tuple[Field, float]:
        """``x - y(x)`` at the voxels ``y`` of a grid in the world of the moving scan.

        Found by fixed points, which converge where the field does not fold.

        Returns
        -------
        tuple
            The field, and the largest last correction in mm: what is left of the error.
        """
        from napari_mrissl.registration import kernels

        out = np.empty((*grid.shape, 3), np.float32)
        errors = np.zeros(grid.shape[0])
        back = np.linalg.inv(self.linear)
        where = grid.affine, self.grid.to_index, back, self.nodes, _INVERSE_MM, _INVERSE_STEPS
        over_rows(
            lambda a, b: kernels.inverse_displacements(*where, out, errors, a, b),
            grid.shape[0],
            grid.voxels,
        )
        return out, float(errors.max())

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Places (N, 3) in the moving world of places in the fixed world, RAS mm."""
        from scipy import ndimage

        places = np.atleast_2d(np.asarray(points, np.float64))
        index = apply_affine(self.grid.to_index, places).T
        moved = [
            ndimage.map_coordinates(self.nodes[..., c], index, np.float64, 1, mode="nearest")
            for c in range(3)
        ]
        return apply_affine(self.linear, places + np.stack(moved, axis=-1))


def warped(
    volume: Volume, field: Field, grid: Grid, outside: float = 0.0, *, edge: bool = False
) -> NDArray[np.float32]:
    """A scan's values, slope and intercept applied, at ``x + field(x)``; trilinear.

    Parameters
    ----------
    volume
        The moving scan.
    field, grid
        Displacements and the places ``x`` of its voxels.
    outside
        Value beyond the scan's voxels.
    edge
        Take the nearest voxel there instead.
    """
    from napari_mrissl.registration import kernels

    out = np.empty(grid.shape, np.float32)
    source = volume.data, volume.slope, volume.intercept, volume.to_index
    _over(
        grid,
        lambda a, b: kernels.warp_linear(*source, field, grid.affine, outside, edge, out, a, b),
    )
    return out


def warped_labels(labels: NDArray[Any], volume: Volume, field: Field, grid: Grid) -> NDArray[Any]:
    """The label of the voxel nearest to ``x + field(x)``; 0 beyond them all.

    Parameters
    ----------
    labels
        Whole numbers on the grid of the moving scan.
    volume
        The moving scan.
    field, grid
        As for `warped`.
    """
    from napari_mrissl.registration import kernels

    out = np.empty(grid.shape, labels.dtype)
    source = labels, volume.to_index
    _over(
        grid,
        lambda a, b: kernels.warp_nearest(*source, field, grid.affine, 0, False, out, a, b),
    )
    return out


def jacobian(field: Field, grid: Grid) -> NDArray[np.float32]:
    """Determinant of the derivative of ``x + field(x)``: 1 keeps volume, below 0 it folds."""
    from napari_mrissl.registration import kernels

    out = np.empty(grid.shape, np.float32)
    _over(grid, lambda a, b: kernels.jacobian_determinants(field, grid.to_index, out, a, b))
    return out


def _over(grid: Grid, run: Any) -> None:
    over_rows(run, grid.shape[0], grid.voxels)
