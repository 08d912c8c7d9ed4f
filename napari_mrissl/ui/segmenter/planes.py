"""Which planes the user is looking at, and writing their labels into the volume's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose, apply_affine
from napari_mrissl.volumes import Volume

_LARGEST_SIDE = 512


@dataclass(frozen=True, eq=False)
class Plane:
    """A grid of places in the world, one of them per label to be predicted.

    Attributes
    ----------
    affine
        (4, 4) from index (k, i, j) to RAS mm.
    shape
        (K, I, J).
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]


def axis_planes(
    grid_affine: ArrayLike, shape: tuple[int, int, int], index: ArrayLike, first: int
) -> list[Plane]:
    """The three planes of a grid through one of its points, that across ``first`` leading.

    Parameters
    ----------
    grid_affine
        (4, 4) from the grid's index to RAS mm.
    shape
        Of the grid.
    index
        (3,) the point as an index of the grid; outside, the nearest plane is taken.
    first
        Axis whose plane is wanted soonest: the one the viewer shows.
    """
    affine = np.asarray(grid_affine, np.float64)
    nearest = np.clip(np.rint(np.asarray(index, np.float64)), 0, np.array(shape) - 1)
    planes = []
    for axis in (first, *(a for a in range(3) if a != first)):
        corner = np.zeros(3)
        corner[axis] = nearest[axis]
        moved = affine.copy()
        moved[:3, 3] = apply_affine(affine, corner)
        sides = [int(n) for n in shape]
        sides[axis] = 1
        planes.append(Plane(moved, (sides[0], sides[1], sides[2])))
    return planes


def pose_plane(pose: Pose, size: int) -> Plane:
    """The pixels of an oblique slice, ``size`` by ``size``, rows along the pose's -up."""
    size = min(size, _LARGEST_SIDE)
    return Plane(pose.grid(size), (1, size, size))


def write_plane(
    labels: NDArray[Any], volume: Volume, plane: Plane, predicted: NDArray[Any]
) -> None:
    """Write a plane's labels into the nearest voxels of (S, A, R) labels, in place."""
    relative = volume.to_index @ plane.affine
    window = _window(relative, plane.shape, volume.shape)
    if window is not None:
        labels[window] = predicted
        return
    voxels = plane_voxels(volume, plane)
    inside = voxels >= 0
    np.put(labels, voxels[inside], predicted[inside])


def plane_voxels(volume: Volume, plane: Plane) -> NDArray[np.int64]:
    """Flat number of the voxel nearest to each place of a plane, -1 outside the scan."""
    relative = volume.to_index @ plane.affine
    # One array per voxel axis, from three small outer sums instead of a matrix product.
    k, i, j = (np.arange(n) for n in plane.shape)
    inside: NDArray[np.bool_] = np.ones(plane.shape, bool)
    flat: NDArray[np.int64] = np.zeros(plane.shape, np.int64)
    for row, side in zip(relative[:3], volume.shape, strict=True):
        place = np.add.outer(np.add.outer(row[0] * k, row[1] * i), row[2] * j) + row[3]
        nearest = np.rint(place).astype(np.int64)
        inside &= (nearest >= 0) & (nearest < side)
        flat = flat * side + nearest
    flat[~inside] = -1
    return flat


def ball_voxels(volume: Volume, center: ArrayLike, radius_mm: float) -> NDArray[np.int64]:
    """Flat numbers of voxels whose centre is within a ball in the world.

    At least the voxel that holds ``center``, when that is inside the volume: a brush
    smaller than a voxel still paints.
    """
    place = apply_affine(volume.to_index, center)
    nearest = np.rint(place).astype(np.int64)
    # The ball's box on a sheared or rotated grid: row norms of the inverse affine.
    reach = np.linalg.norm(volume.to_index[:3, :3], axis=1) * radius_mm
    low = np.maximum(np.floor(place - reach), 0).astype(np.int64)
    high = np.minimum(np.ceil(place + reach), np.array(volume.shape) - 1).astype(np.int64)
    found = np.zeros(0, np.int64)
    if (low <= high).all():
        box = np.stack(
            np.meshgrid(
                *(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"
            ),
            axis=-1,
        ).reshape(-1, 3)
        offsets = apply_affine(volume.affine, box) - np.asarray(center, np.float64)
        chosen = box[(offsets**2).sum(axis=1) <= radius_mm**2]
        found = np.ravel_multi_index(tuple(chosen.T), volume.shape).astype(np.int64)
    if (nearest >= 0).all() and (nearest < volume.shape).all():
        middle = np.ravel_multi_index(tuple(nearest), volume.shape)
        found = np.union1d(found, middle).astype(np.int64)
    return found


def _window(
    relative: NDArray[np.float64], shape: tuple[int, int, int], sides: tuple[int, int, int]
) -> tuple[slice, slice, slice] | None:
    """The plane as a window of the volume's own grid, or None where it is none."""
    if not np.allclose(relative[:3, :3], np.eye(3), atol=1e-6):
        return None
    start = np.rint(relative[:3, 3]).astype(int)
    if not np.allclose(relative[:3, 3], start, atol=1e-4):
        return None
    stop = start + shape
    if (start < 0).any() or (stop > sides).any():
        return None
    return slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])
