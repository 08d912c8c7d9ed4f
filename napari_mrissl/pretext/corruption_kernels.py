"""The compiled kernel that shuffles voxels within windows. Importing this imports numba."""

# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from napari_mrissl.slicing.jit import jit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@jit
def shuffle(image, corners, edges, key):
    """Let the voxels of each window change places, one window after the other, in place.

    Parameters
    ----------
    image
        (Z, Y, X).
    corners, edges
        (N, 3) whole numbers: windows inside the image.
    key
        uint64 that all random numbers follow from, by SplitMix64.
    """
    state = key
    for n in range(len(corners)):
        z, y, x = corners[n]
        depth, height, width = edges[n]
        # Fisher and Yates: each voxel from the last changes with one of those up to it.
        for last in range(depth * height * width - 1, 0, -1):
            state += _GOLDEN
            number = (state ^ (state >> _30)) * _MIX[0]
            number = (number ^ (number >> _27)) * _MIX[1]
            number = (number ^ (number >> _31)) >> _32
            other = np.int64((number * np.uint64(last + 1)) >> _32)
            z0, y0, x0 = last // (height * width), last // width % height, last % width
            z1, y1, x1 = other // (height * width), other // width % height, other % width
            value = image[z + z0, y + y0, x + x0]
            image[z + z0, y + y0, x + x0] = image[z + z1, y + y1, x + x1]
            image[z + z1, y + y1, x + x1] = value
