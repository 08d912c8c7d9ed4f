"""Rasters in voxel coordinates: where each pixel of a slice lies in the voxel array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose, Poses


def planes_of_poses(
    to_index: NDArray[np.float64], poses: Sequence[Pose] | Poses, size: int
) -> NDArray[np.float64]:
    """Origin, row step and column step (K, 3, 3) in voxels of ``size`` x ``size`` rasters."""
    several = poses if isinstance(poses, Poses) else Poses.of(poses)
    centers, rotations, fovs = several.centers, several.rotations, several.fovs[:, None]
    step = fovs / size
    corner = (0.5 / size - 0.5) * fovs
    planes = np.empty((len(poses), 3, 3))
    planes[:, 0] = centers + corner * (rotations[:, :, 0] - rotations[:, :, 1])
    planes[:, 1] = -step * rotations[:, :, 1]
    planes[:, 2] = step * rotations[:, :, 0]
    planes = planes @ to_index[:3, :3].T
    planes[:, 0] += to_index[:3, 3]
    return planes


def planes_of_grid(
    to_index: NDArray[np.float64], affine: ArrayLike, count: int
) -> NDArray[np.float64]:
    """Origin, row step and column step (K, 3, 3) in voxels of the planes of a 3-D grid.

    ``affine`` (4, 4) takes (k, i, j) to world mm; plane k holds rows i and columns j.
    """
    composed = to_index @ np.asarray(affine, np.float64)
    planes = np.empty((count, 3, 3))
    planes[:, 0] = composed[:3, 3] + np.arange(count)[:, None] * composed[:3, 0]
    planes[:, 1] = composed[:3, 1]
    planes[:, 2] = composed[:3, 2]
    return planes
