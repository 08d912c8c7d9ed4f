"""Compiled kernels: rows of slices out of flat, strided voxels.

Importing this module imports numba, so only `napari_mrissl.slicing.compiled` does.
Each kernel fills the rows ``first`` to ``last`` of all planes' rows counted through,
allocates nothing, and runs without the GIL in the thread that calls it. They are not
parallel by themselves: numba's default threading layer ends the process when two
threads enter it.

A row is cut into columns outside the volume, columns near its border, where
coordinates are clamped, and the interior, which needs no checks at all; both cuts are
computed, not searched. In the interior coordinates advance as 32.32 fixed-point numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numba import from_dtype, types
from numba.extending import overload

from napari_mrissl.slicing.gather import TOLERANCE, number_type
from napari_mrissl.slicing.jit import jit

_ONE = 4294967296.0
_FRACTION = 0xFFFFFFFF
_UNIT = np.float32(1 / _ONE)


def number(voxel):
    """A voxel as a floating point number, float64 where float32 would round it."""
    return number_type(voxel.dtype)(voxel)


@overload(number)
def _number(voxel):
    if voxel == types.float64 or (isinstance(voxel, types.Integer) and voxel.bitwidth > 16):
        return lambda voxel: np.float64(voxel)
    return lambda voxel: np.float32(voxel)


@jit
def span(origin, step, low, high, count):
    """Columns ``[first, last)`` of ``count`` where low <= origin + column * step <= high."""
    if step == 0:
        return (0, count) if low <= origin <= high else (0, 0)
    one, other = (low - origin) / step, (high - origin) / step
    first = min(max(math.ceil(min(one, other)), 0.0), float(count))
    last = min(max(math.floor(max(one, other)) + 1.0, 0.0), float(count))
    return int(first), int(last)


@jit
def holds(x, y, z, shape):
    """Whether a point lies inside: up to half a voxel beyond the outer centres."""
    low = -0.5 - TOLERANCE
    high = -0.5 + TOLERANCE
    return (
        (low <= x <= shape[0] + high)
        and (low <= y <= shape[1] + high)
        and (low <= z <= shape[2] + high)
    )


@jit
def inside_columns(origin, step, shape, count):
    """Columns ``[first, last)`` of a row inside the volume, exactly as `holds` says."""
    first, last = 0, count
    for axis in range(3):
        a, b = span(
            origin[axis], step[axis], -0.5 - TOLERANCE, shape[axis] - 0.5 + TOLERANCE, count
        )
        first, last = max(first, a), min(last, b)
    x, y, z = origin
    dx, dy, dz = step
    # Division rounds: let the test itself decide about the outermost columns.
    first = max(first - 1, 0)
    last = max(min(last + 1, count), first)
    while first < last and not holds(x + first * dx, y + first * dy, z + first * dz, shape):
        first += 1
    while first < last and not holds(
        x + (last - 1) * dx, y + (last - 1) * dy, z + (last - 1) * dz, shape
    ):
        last -= 1
    return first, last


@jit
def interior_columns(origin, step, shape, first, last):
    """Columns among ``[first, last)`` whose eight neighbours all exist, with a margin."""
    margin = 1e-6 + last / _ONE
    start, stop = first, last
    for axis in range(3):
        a, b = span(origin[axis], step[axis], margin, shape[axis] - 1 - margin, last)
        start, stop = max(start, a + 1), min(stop, b - 1)
    # An empty interior must still lie between the columns it was asked for.
    return (start, stop) if start < stop else (last, last)


@jit
def corner(position, size):
    """Clamp a coordinate: voxel below, voxel above, weight of the one above."""
    position = min(max(position, 0.0), size - 1.0)
    below = min(int(position), max(size - 2, 0))
    return below, min(below + 1, size - 1), np.float32(position - below)


@jit(fastmath={"contract", "nsz"}, forceinline=True)
def eight(flat, near, beside, beyond, across, here, there, u, v, w):
    """Trilinear value from four lines along the last axis and two places on each."""
    low = number(flat[near + here])
    low += w * (number(flat[near + there]) - low)
    other = number(flat[beside + here])
    other += w * (number(flat[beside + there]) - other)
    low += v * (other - low)
    high = number(flat[beyond + here])
    high += w * (number(flat[beyond + there]) - high)
    other = number(flat[across + here])
    other += w * (number(flat[across + there]) - other)
    high += v * (other - high)
    return low + u * (high - low)


@jit
def near_border(flat, start, strides, shape, origin, step, first, last, slope, intercept, row):
    """Trilinear values of columns whose coordinates have to be clamped."""
    s0, s1, s2 = strides
    for j in range(first, last):
        a, above_a, u = corner(origin[0] + j * step[0], shape[0])
        b, above_b, v = corner(origin[1] + j * step[1], shape[1])
        c, above_c, w = corner(origin[2] + j * step[2], shape[2])
        near, beyond = start + a * s0, start + above_a * s0
        b, above_b = b * s1, above_b * s1
        row[j] = intercept + slope * eight(
            flat, near + b, near + above_b, beyond + b, beyond + above_b,
            c * s2, above_c * s2, u, v, w,
        )  # fmt: skip


@jit
def in_interior(flat, start, strides, origin, step, first, last, slope, intercept, row):
    """Trilinear values of columns that need no checks."""
    s0, s1, s2 = strides
    (x, y, z), (dx, dy, dz) = fixed_point(origin, step, first)
    for j in range(first, last):
        n = start + (x >> 32) * s0 + (y >> 32) * s1 + (z >> 32) * s2
        row[j] = intercept + slope * eight(
            flat, n, n + s1, n + s0, n + s0 + s1, 0, s2, part(x), part(y), part(z)
        )
        x += dx
        y += dy
        z += dz


@jit
def near_border_blocked(flat, places, shape, origin, step, first, last, slope, intercept, row):
    """`near_border` for voxels in blocks."""
    along_s, along_a, along_r = places
    for j in range(first, last):
        a, above_a, u = corner(origin[0] + j * step[0], shape[0])
        b, above_b, v = corner(origin[1] + j * step[1], shape[1])
        c, above_c, w = corner(origin[2] + j * step[2], shape[2])
        near, beyond = along_s[a], along_s[above_a]
        b, above_b = along_a[b], along_a[above_b]
        row[j] = intercept + slope * eight(
            flat, near + b, near + above_b, beyond + b, beyond + above_b,
            along_r[c], along_r[above_c], u, v, w,
        )  # fmt: skip


@jit
def in_interior_blocked(flat, places, origin, step, first, last, slope, intercept, row):
    """`in_interior` for voxels in blocks."""
    along_s, along_a, along_r = places
    (x, y, z), (dx, dy, dz) = fixed_point(origin, step, first)
    for j in range(first, last):
        a, b, c = x >> 32, y >> 32, z >> 32
        near, beyond = along_s[a], along_s[a + 1]
        before, behind = along_a[b], along_a[b + 1]
        row[j] = intercept + slope * eight(
            flat, near + before, near + behind, beyond + before, beyond + behind,
            along_r[c], along_r[c + 1], part(x), part(y), part(z),
        )  # fmt: skip
        x += dx
        y += dy
        z += dz


@jit
def fixed_point(origin, step, column):
    """Coordinates at a column, and steps, as 32.32 fixed-point numbers."""
    place = (
        np.int64((origin[0] + column * step[0]) * _ONE),
        np.int64((origin[1] + column * step[1]) * _ONE),
        np.int64((origin[2] + column * step[2]) * _ONE),
    )
    return place, (np.int64(step[0] * _ONE), np.int64(step[1] * _ONE), np.int64(step[2] * _ONE))


@jit(forceinline=True)
def part(position):
    """What is behind the point of a 32.32 fixed-point number."""
    return np.float32(position & _FRACTION) * _UNIT


@jit
def row_start(plane, i):
    """Voxel coordinates of the first pixel of row ``i``, and the step from column to column."""
    origin = (
        plane[0, 0] + i * plane[1, 0],
        plane[0, 1] + i * plane[1, 1],
        plane[0, 2] + i * plane[1, 2],
    )
    return origin, (plane[2, 0], plane[2, 1], plane[2, 2])


@jit
def cut_row(origin, step, shape, row, mask):
    """Clear a row outside the volume, fill its mask; where inside and interior begin and end."""
    a, d = inside_columns(origin, step, shape, row.size)
    b, c = interior_columns(origin, step, shape, a, d)
    row[:a] = 0
    row[d:] = 0
    mask[:a] = False
    mask[a:d] = True
    mask[d:] = False
    return a, b, c, d


@jit
def linear(flat, start, strides, shape, planes, slope, intercept, values, valid, first, last):
    """Trilinear values and validity of rows ``[first, last)``."""
    height = values.shape[1]
    for line in range(first, last):
        k = line // height
        i = line - k * height
        origin, step = row_start(planes[k], i)
        row = values[k, i]
        a, b, c, d = cut_row(origin, step, shape, row, valid[k, i])
        near_border(flat, start, strides, shape, origin, step, a, b, slope, intercept, row)
        in_interior(flat, start, strides, origin, step, b, c, slope, intercept, row)
        near_border(flat, start, strides, shape, origin, step, c, d, slope, intercept, row)


@jit
def blocked(flat, places, shape, planes, slope, intercept, values, valid, first, last):
    """`linear` for voxels in blocks: ``places`` are added up along the three axes."""
    height = values.shape[1]
    for line in range(first, last):
        k = line // height
        i = line - k * height
        origin, step = row_start(planes[k], i)
        row = values[k, i]
        a, b, c, d = cut_row(origin, step, shape, row, valid[k, i])
        near_border_blocked(flat, places, shape, origin, step, a, b, slope, intercept, row)
        in_interior_blocked(flat, places, origin, step, b, c, slope, intercept, row)
        near_border_blocked(flat, places, shape, origin, step, c, d, slope, intercept, row)


@jit
def nearest_voxel(position, size):
    """Index of the voxel nearest to a coordinate, clamped."""
    return min(int(max(position + 0.5, 0.0)), size - 1)


@jit
def nearest(flat, start, strides, shape, planes, slope, intercept, values, valid, first, last):
    """Values of the nearest voxels and validity of rows ``[first, last)``."""
    height = values.shape[1]
    for line in range(first, last):
        k = line // height
        i = line - k * height
        origin, step = row_start(planes[k], i)
        row = values[k, i]
        a, _, _, d = cut_row(origin, step, shape, row, valid[k, i])
        for j in range(a, d):
            n = (
                start
                + nearest_voxel(origin[0] + j * step[0], shape[0]) * strides[0]
                + nearest_voxel(origin[1] + j * step[1], shape[1]) * strides[1]
                + nearest_voxel(origin[2] + j * step[2], shape[2]) * strides[2]
            )
            row[j] = slope * flat[n] + intercept


@jit
def labels(flat, start, strides, shape, planes, found, first, last):
    """Nearest labels of rows ``[first, last)``; 0 outside."""
    height = found.shape[1]
    for line in range(first, last):
        k = line // height
        i = line - k * height
        origin, step = row_start(planes[k], i)
        row = found[k, i]
        a, d = inside_columns(origin, step, shape, row.size)
        row[:a] = 0
        row[d:] = 0
        for j in range(a, d):
            n = (
                start
                + nearest_voxel(origin[0] + j * step[0], shape[0]) * strides[0]
                + nearest_voxel(origin[1] + j * step[1], shape[1]) * strides[1]
                + nearest_voxel(origin[2] + j * step[2], shape[2]) * strides[2]
            )
            row[j] = flat[n]


def compile_kernel(name, dtype):
    """Compile one of `KERNELS` for a voxel dtype, or load it, and return it."""
    dtype = np.dtype(dtype)
    voxel = from_dtype(dtype)
    flat = types.Array(voxel, 1, "C", readonly=True)
    shape = types.UniTuple(types.int64, 3)
    planes = types.Array(types.float64, 3, "C")
    kernel = KERNELS[name]
    if name == "blocked":
        where = (types.UniTuple(types.Array(types.int64, 1, "C", readonly=True), 3), shape)
    else:
        where = (types.int64, shape, shape)
    if name == "labels":
        filled = (types.Array(voxel, 3, "C"),)
    else:
        scale = types.float64 if name == "nearest" else from_dtype(np.dtype(number_type(dtype)))
        values, valid = types.Array(types.float32, 3, "C"), types.Array(types.boolean, 3, "C")
        filled = (scale, scale, values, valid)
    kernel.compile((flat, *where, planes, *filled, types.int64, types.int64))
    return kernel


KERNELS = {"linear": linear, "blocked": blocked, "nearest": nearest, "labels": labels}
