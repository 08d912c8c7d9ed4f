"""Compiled kernels on label maps; each call fills some slices of its output.

Importing this module imports numba. The kernels are not parallel by themselves: our own
threads call them for parts of the slices.
"""

# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from napari_mrissl.slicing.jit import jit

BRICK = 8
_WHOLE = 0xFFFFFFFF
_FAR = np.uint16(32_000)


@jit
def _misses(start, sweep, limit):
    """Whether no coordinate from ``start`` on for ``sweep``, around the period, is below limit."""
    return start >= limit and start + sweep <= _WHOLE


@jit
def _paint_brick(bits, extents, limits, periods, at, steps, row_low, row_sweep, number, brick):
    """One template into the voxels of a brick that are still 0; how many it set."""
    painted = 0
    row_bytes = (extents[2] + 7) >> 3
    height = extents[1]
    step_a, step_b, step_c = steps[0, 2], steps[1, 2], steps[2, 2]
    limit_a, limit_b, limit_c = limits
    for z in range(BRICK):
        for y in range(BRICK):
            a = (at[0] + steps[0, 0] * z + steps[0, 1] * y) & _WHOLE
            b = (at[1] + steps[1, 0] * z + steps[1, 1] * y) & _WHOLE
            c = (at[2] + steps[2, 0] * z + steps[2, 1] * y) & _WHOLE
            if (
                _misses((a + row_low[0]) & _WHOLE, row_sweep[0], limit_a)
                or _misses((b + row_low[1]) & _WHOLE, row_sweep[1], limit_b)
                or _misses((c + row_low[2]) & _WHOLE, row_sweep[2], limit_c)
            ):
                continue
            for x in range(BRICK):
                if a < limit_a and b < limit_b and c < limit_c and brick[z, y, x] == 0:
                    row = ((a * periods[0]) >> 32) * height + ((b * periods[1]) >> 32)
                    column = (c * periods[2]) >> 32
                    if (bits[row * row_bytes + (column >> 3)] >> (column & 7)) & 1:
                        brick[z, y, x] = number
                        painted += 1
                a = (a + step_a) & _WHOLE
                b = (b + step_b) & _WHOLE
                c = (c + step_c) & _WHOLE
    return painted


@jit
def paint(bits, starts, extents, limits, periods, origins, steps, out, first, last):
    """Later templates over earlier ones, brick by brick, until all voxels of a brick are set.

    Coordinates are fractions of a template's period as 32-bit numbers, so that wrapping
    around costs nothing; only a template's bounding box, below ``limits``, is looked up,
    and bricks and rows that miss it are passed over.
    """
    side = out.shape[0]
    count = len(starts)
    sweep_low = np.zeros((count, 3), np.int64)
    sweep = np.zeros((count, 3), np.int64)
    row_low = np.zeros((count, 3), np.int64)
    row_sweep = np.zeros((count, 3), np.int64)
    for k in range(count):
        for axis in range(3):
            for along in range(3):
                reach = steps[k, axis, along] * (BRICK - 1)
                sweep_low[k, axis] += min(reach, 0)
                sweep[k, axis] += abs(reach)
            row_low[k, axis] = min(reach, 0)
            row_sweep[k, axis] = abs(reach)
    at = np.empty(3, np.int64)
    for z0 in range(first * BRICK, last * BRICK, BRICK):
        out[z0 : z0 + BRICK] = 0
        for y0 in range(0, side, BRICK):
            for x0 in range(0, side, BRICK):
                left = BRICK * BRICK * BRICK
                for k in range(count - 1, 0, -1):
                    missed = False
                    for axis in range(3):
                        at[axis] = (
                            origins[k, axis]
                            + steps[k, axis, 0] * z0
                            + steps[k, axis, 1] * y0
                            + steps[k, axis, 2] * x0
                        )
                        start = (at[axis] + sweep_low[k, axis]) & _WHOLE
                        if _misses(start, sweep[k, axis], limits[k, axis]):
                            missed = True
                            break
                    if not missed:
                        left -= _paint_brick(
                            bits[starts[k] :],
                            extents[k],
                            limits[k],
                            periods[k],
                            at,
                            steps[k],
                            row_low[k],
                            row_sweep[k],
                            k,
                            out[z0 : z0 + BRICK, y0 : y0 + BRICK, x0 : x0 + BRICK],
                        )
                    if left == 0:
                        break


@jit
def median(padded, out, first, last):
    """The middle one of the 27 label numbers around each voxel.

    Bit by bit from the highest down: the largest number that at least 14 of them reach.
    Only additions and comparisons of bytes, so that the compiler handles many voxels at
    once; a bit that all numbers around a row share needs no counting. ``padded`` has one
    voxel more on every side than ``out``.
    """
    rows, columns = out.shape[1:]
    some = np.empty(columns + 2, np.uint8)
    every = np.empty(columns + 2, np.uint8)
    best = np.empty(columns, np.uint8)
    trial = np.empty(columns, np.uint8)
    reached = np.empty(columns, np.uint8)
    for s in range(first, last):
        for a in range(rows):
            for r in range(columns + 2):
                some[r] = every[r] = padded[s, a, r]
            for ds in range(3):
                for da in range(3):
                    for r in range(columns + 2):
                        some[r] |= padded[s + ds, a + da, r]
                        every[r] &= padded[s + ds, a + da, r]
            any_bits, all_bits = np.uint8(0), np.uint8(255)
            for r in range(columns + 2):
                any_bits |= some[r]
                all_bits &= every[r]
            for r in range(columns):
                best[r] = all_bits
            for plane in range(7, -1, -1):
                if not ((any_bits ^ all_bits) >> plane) & 1:
                    continue
                # Lower bits that all share must not count before their turn.
                above = np.uint8((0xFF << plane) & 0xFF)
                bit = np.uint8(1 << plane)
                for r in range(columns):
                    trial[r] = (best[r] & above) | bit
                    reached[r] = 0
                for ds in range(3):
                    for da in range(3):
                        for r in range(columns):
                            reached[r] += (
                                np.uint8(padded[s + ds, a + da, r] >= trial[r])
                                + np.uint8(padded[s + ds, a + da, r + 1] >= trial[r])
                                + np.uint8(padded[s + ds, a + da, r + 2] >= trial[r])
                            )
                for r in range(columns):
                    best[r] |= bit if reached[r] >= 14 else np.uint8(0)
            for r in range(columns):
                out[s, a, r] = best[r]


@jit
def merge(labels, mask, first, last):
    """Labels inside the mask count from 1, outside they are 0; in place."""
    for s in range(first, last):
        for a in range(labels.shape[1]):
            for r in range(labels.shape[2]):
                labels[s, a, r] = (labels[s, a, r] + 1) * mask[s, a, r]


@jit
def _nearer(left, right, square, best):
    """The least of what is there and of either neighbour plus a squared step, in place."""
    for r in range(len(best)):
        near = np.uint16((left[r] if left[r] < right[r] else right[r]) + square)
        best[r] = near if near < best[r] else best[r]


@jit
def near_in_plane(mask, reach, kind, out, first, last):
    """Squared distance in (A, R) to the nearest voxel of one kind, 0 or 1.

    Only up to ``reach`` along either axis; `_FAR` or more where there is none.
    """
    rows, columns = mask.shape[1:]
    line = np.full(columns + 2 * reach, _FAR)
    middle = line[reach : reach + columns]
    along = np.empty((rows, columns), np.uint16)
    for s in range(first, last):
        for a in range(rows):
            here, row = along[a], mask[s, a]
            for r in range(columns):
                middle[r] = np.uint16(0) if row[r] == kind else _FAR
            for r in range(columns):
                here[r] = middle[r]
            for d in range(1, reach + 1):
                _nearer(line[reach - d :], line[reach + d :], np.uint16(d * d), here)
        for a in range(rows):
            here, row = along[a], out[s, a]
            for r in range(columns):
                row[r] = here[r]
            for d in range(1, reach + 1):
                above, below = along[max(a - d, 0)], along[min(a + d, rows - 1)]
                _nearer(above, below, np.uint16(d * d), row)


@jit
def shell(labels, to_inside, to_outside, reach, limit, number, first, last):
    """Give ``number`` to voxels within ``limit`` (squared) of the mask's border; in place."""
    slices, rows, columns = labels.shape
    one = np.empty(columns, np.uint16)
    two = np.empty(columns, np.uint16)
    for s in range(first, last):
        for a in range(rows):
            inside, outside, here = to_inside[s, a], to_outside[s, a], labels[s, a]
            for r in range(columns):
                one[r] = inside[r]
                two[r] = outside[r]
            for d in range(1, reach + 1):
                square = np.uint16(d * d)
                above, below = max(s - d, 0), min(s + d, slices - 1)
                _nearer(to_inside[above, a], to_inside[below, a], square, one)
                _nearer(to_outside[above, a], to_outside[below, a], square, two)
            for r in range(columns):
                here[r] = number if (one[r] <= limit) & (two[r] <= limit) else here[r]
