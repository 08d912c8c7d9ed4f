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
def corner(position, size, stride):
    """Clamp a coordinate: voxel below, weight of the voxel above, stride to it."""
    position = min(max(position, 0.0), size - 1.0)
    below = min(int(position), max(size - 2, 0))
    return below * stride, np.float32(position - below), stride if size > 1 else 0


@jit
def near_border(flat, start, strides, shape, origin, step, first, last, slope, intercept, row):
    """Trilinear values of columns whose coordinates have to be clamped."""
    for j in range(first, last):
        a, u, s0 = corner(origin[0] + j * step[0], shape[0], strides[0])
        b, v, s1 = corner(origin[1] + j * step[1], shape[1], strides[1])
        c, w, s2 = corner(origin[2] + j * step[2], shape[2], strides[2])
        n = start + a + b + c
        low = number(flat[n])
        low += w * (number(flat[n + s2]) - low)
        next_ = number(flat[n + s1])
        next_ += w * (number(flat[n + s1 + s2]) - next_)
        low += v * (next_ - low)
        n += s0
        high = number(flat[n])
        high += w * (number(flat[n + s2]) - high)
        next_ = number(flat[n + s1])
        next_ += w * (number(flat[n + s1 + s2]) - next_)
        high += v * (next_ - high)
        row[j] = slope * (low + u * (high - low)) + intercept


@jit(fastmath={"contract", "nsz"})
def in_interior(flat, start, strides, origin, step, first, last, slope, intercept, row):
    """Trilinear values of columns that need no checks."""
    s0, s1, s2 = strides
    x = np.int64((origin[0] + first * step[0]) * _ONE)
    y = np.int64((origin[1] + first * step[1]) * _ONE)
    z = np.int64((origin[2] + first * step[2]) * _ONE)
    dx, dy, dz = np.int64(step[0] * _ONE), np.int64(step[1] * _ONE), np.int64(step[2] * _ONE)
    for j in range(first, last):
        u = np.float32(x & _FRACTION) * _UNIT
        v = np.float32(y & _FRACTION) * _UNIT
        w = np.float32(z & _FRACTION) * _UNIT
        n = start + (x >> 32) * s0 + (y >> 32) * s1 + (z >> 32) * s2
        x += dx
        y += dy
        z += dz
        low = number(flat[n])
        low += w * (number(flat[n + s2]) - low)
        next_ = number(flat[n + s1])
        next_ += w * (number(flat[n + s1 + s2]) - next_)
        low += v * (next_ - low)
        n += s0
        high = number(flat[n])
        high += w * (number(flat[n + s2]) - high)
        next_ = number(flat[n + s1])
        next_ += w * (number(flat[n + s1 + s2]) - next_)
        high += v * (next_ - high)
        row[j] = slope * (low + u * (high - low)) + intercept


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
def linear(flat, start, strides, shape, planes, slope, intercept, values, valid, first, last):
    """Trilinear values and validity of rows ``[first, last)``."""
    _, height, width = values.shape
    for line in range(first, last):
        k = line // height
        i = line - k * height
        origin, step = row_start(planes[k], i)
        row, mask = values[k, i], valid[k, i]
        a, d = inside_columns(origin, step, shape, width)
        b, c = interior_columns(origin, step, shape, a, d)
        row[:a] = 0
        row[d:] = 0
        mask[:a] = False
        mask[a:d] = True
        mask[d:] = False
        near_border(flat, start, strides, shape, origin, step, a, b, slope, intercept, row)
        in_interior(flat, start, strides, origin, step, b, c, slope, intercept, row)
        near_border(flat, start, strides, shape, origin, step, c, d, slope, intercept, row)


@jit
def nearest_voxel(position, size):
    """Index of the voxel nearest to a coordinate, clamped."""
    return min(int(max(position + 0.5, 0.0)), size - 1)


@jit
def nearest(flat, start, strides, shape, planes, slope, intercept, values, valid, first, last):
    """Values of the nearest voxels and validity of rows ``[first, last)``."""
    _, height, width = values.shape
    for line in range(first, last):
        k = line // height
        i = line - k * height
        (x, y, z), (dx, dy, dz) = row_start(planes[k], i)
        a, d = inside_columns((x, y, z), (dx, dy, dz), shape, width)
        values[k, i, :a] = 0
        values[k, i, d:] = 0
        valid[k, i, :a] = False
        valid[k, i, a:d] = True
        valid[k, i, d:] = False
        for j in range(a, d):
            n = (
                start
                + nearest_voxel(x + j * dx, shape[0]) * strides[0]
                + nearest_voxel(y + j * dy, shape[1]) * strides[1]
                + nearest_voxel(z + j * dz, shape[2]) * strides[2]
            )
            values[k, i, j] = slope * flat[n] + intercept


@jit
def labels(flat, start, strides, shape, planes, found, first, last):
    """Nearest labels of rows ``[first, last)``; 0 outside."""
    _, height, width = found.shape
    for line in range(first, last):
        k = line // height
        i = line - k * height
        (x, y, z), (dx, dy, dz) = row_start(planes[k], i)
        a, d = inside_columns((x, y, z), (dx, dy, dz), shape, width)
        found[k, i, :a] = 0
        found[k, i, d:] = 0
        for j in range(a, d):
            n = (
                start
                + nearest_voxel(x + j * dx, shape[0]) * strides[0]
                + nearest_voxel(y + j * dy, shape[1]) * strides[1]
                + nearest_voxel(z + j * dz, shape[2]) * strides[2]
            )
            found[k, i, j] = flat[n]


def compile_kernel(name, dtype):
    """Compile ``"linear"``, ``"nearest"`` or ``"labels"`` for one voxel dtype, or load it."""
    dtype = np.dtype(dtype)
    voxel = from_dtype(dtype)
    flat = types.Array(voxel, 1, "C", readonly=True)
    place = (types.int64, types.UniTuple(types.int64, 3), types.UniTuple(types.int64, 3))
    planes = types.Array(types.float64, 3, "C")
    rows = (types.int64, types.int64)
    if name == "labels":
        labels.compile((flat, *place, planes, types.Array(voxel, 3, "C"), *rows))
        return labels
    kernel = {"linear": linear, "nearest": nearest}[name]
    scale = types.float64 if name == "nearest" else from_dtype(np.dtype(number_type(dtype)))
    filled = (types.Array(types.float32, 3, "C"), types.Array(types.boolean, 3, "C"))
    kernel.compile((flat, *place, planes, scale, scale, *filled, *rows))
    return kernel
