"""The compiled kernel that cuts an upright box out of a scan and resizes it in one pass.

Importing this module imports numba. The resizing is separable, so a plane of the result
costs two planes of the scan, a row two rows of that plane, and a voxel two numbers of that
row: everything but the last step runs along contiguous memory.
"""

# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from napari_mrissl.slicing.jit import jit


@jit
def weighted_places(lower, upper, side, extent):
    """Voxel below and weight of the one above, for ``side`` points spread over a box's axis.

    Points beyond the outer centres take the outer voxel's value.
    """
    below = np.empty(side, np.int64)
    weight = np.empty(side, np.float32)
    for k in range(side):
        place = lower + (k + 0.5) * ((upper - lower) / side)
        place = min(max(place, 0.0), extent - 1.0)
        first = min(np.int64(place), max(extent - 2, 0))
        below[k] = first
        weight[k] = np.float32(place - first)
    return below, weight


@jit
def _plane(voxels, number, first_row, first_column, origin, gain, out):
    """One plane of the scan's box, in [0, 1]; what is not a number is 0."""
    rows, columns = out.shape
    for a in range(rows):
        row = voxels[number, first_row + a]
        for r in range(columns):
            value = np.float32((row[first_column + r] - origin) * gain)
            # Comparisons are written so that NaN fails them.
            value = value if value > np.float32(0) else np.float32(0)
            out[a, r] = value if value < np.float32(1) else np.float32(1)


@jit
def cut(voxels, lower, upper, origin, gain, out):
    """Fill ``out`` (S, A, R) from the box between ``lower`` and ``upper``, in index coordinates.

    ``(voxel - origin) * gain`` is clipped to [0, 1] before it is interpolated: the result is
    a crop of the preprocessed scan.
    """
    deep, tall, wide = out.shape
    s, u = weighted_places(lower[0], upper[0], deep, voxels.shape[0])
    a, v = weighted_places(lower[1], upper[1], tall, voxels.shape[1])
    r, w = weighted_places(lower[2], upper[2], wide, voxels.shape[2])
    row_from, row_to = a[0], min(a[tall - 1] + 2, voxels.shape[1])
    column_from, column_to = r[0], min(r[wide - 1] + 2, voxels.shape[2])
    rows, columns = row_to - row_from, column_to - column_from
    here = np.empty((rows, columns), np.float32)
    there = np.empty((rows, columns), np.float32)
    at_here, at_there = np.int64(-1), np.int64(-1)
    line = np.empty(columns, np.float32)
    for i in range(deep):
        above = min(s[i] + 1, voxels.shape[0] - 1)
        if at_there == s[i]:
            here, there = there, here
            at_here, at_there = at_there, at_here
        if at_here != s[i]:
            _plane(voxels, s[i], row_from, column_from, origin, gain, here)
            at_here = s[i]
        if at_there != above:
            _plane(voxels, above, row_from, column_from, origin, gain, there)
            at_there = above
        for j in range(tall):
            first = a[j] - row_from
            second = min(first + 1, rows - 1)
            for x in range(columns):
                low = here[first, x] + u[i] * (there[first, x] - here[first, x])
                high = here[second, x] + u[i] * (there[second, x] - here[second, x])
                line[x] = low + v[j] * (high - low)
            for k in range(wide):
                left = r[k] - column_from
                right = min(left + 1, columns - 1)
                out[i, j, k] = line[left] + w[k] * (line[right] - line[left])
