"""Compiled kernels on label maps; each call fills some slices of its output.

Importing this module imports numba. The kernels are not parallel by themselves: our own
threads call them for parts of the slices.
"""

# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from napari_mrissl.slicing.jit import jit

BRICK = 8
_WHOLE = 0xFFFFFFFF
_FAR = np.uint16(32_000)


@jit
def paint(bits, starts, extents, limits, periods, origins, steps, out, first, last):
    """Later templates over earlier ones, brick by brick, until all voxels of a brick are set.

    Coordinates are fractions of a template's period as 32-bit numbers, so that wrapping
    around costs nothing; only a template's bounding box below ``limits`` is looked up.
    """
    side = out.shape[0]
    count = len(starts)
    sweep_low = np.empty((count, 3), np.int64)
    sweep = np.empty((count, 3), np.int64)
    for k in range(count):
        for axis in range(3):
            low = np.int64(0)
            high = np.int64(0)
            for along in range(3):
                reach = steps[k, axis, along] * (BRICK - 1)
                low += min(reach, 0)
                high += max(reach, 0)
            sweep_low[k, axis] = low
            sweep[k, axis] = high - low
    for z0 in range(first * BRICK, last * BRICK, BRICK):
        for y0 in range(0, side, BRICK):
            for x0 in range(0, side, BRICK):
                left = BRICK * BRICK * BRICK
                for z in range(z0, z0 + BRICK):
                    for y in range(y0, y0 + BRICK):
                        for x in range(x0, x0 + BRICK):
                            out[z, y, x] = 0
                for k in range(count - 1, 0, -1):
                    missed = False
                    for axis in range(3):
                        start = (
                            origins[k, axis]
                            + steps[k, axis, 0] * z0
                            + steps[k, axis, 1] * y0
                            + steps[k, axis, 2] * x0
                            + sweep_low[k, axis]
                        ) & _WHOLE
                        if start >= limits[k, axis] and start + sweep[k, axis] <= _WHOLE:
                            missed = True
                            break
                    if missed:
                        continue
                    limit_a, limit_b, limit_c = limits[k, 0], limits[k, 1], limits[k, 2]
                    step_a, step_b, step_c = steps[k, 0, 2], steps[k, 1, 2], steps[k, 2, 2]
                    row_bytes = (extents[k, 2] + 7) >> 3
                    for z in range(z0, z0 + BRICK):
                        for y in range(y0, y0 + BRICK):
                            a = (
                                origins[k, 0]
                                + steps[k, 0, 0] * z
                                + steps[k, 0, 1] * y
                                + step_a * x0
                            )
                            b = (
                                origins[k, 1]
                                + steps[k, 1, 0] * z
                                + steps[k, 1, 1] * y
                                + step_b * x0
                            )
                            c = (
                                origins[k, 2]
                                + steps[k, 2, 0] * z
                                + steps[k, 2, 1] * y
                                + step_c * x0
                            )
                            for x in range(x0, x0 + BRICK):
                                fa = a & _WHOLE
                                fb = b & _WHOLE
                                fc = c & _WHOLE
                                a += step_a
                                b += step_b
                                c += step_c
                                inside = fa < limit_a and fb < limit_b and fc < limit_c
                                if inside and out[z, y, x] == 0:
                                    ia = (fa * periods[k, 0]) >> 32
                                    ib = (fb * periods[k, 1]) >> 32
                                    ic = (fc * periods[k, 2]) >> 32
                                    place = (
                                        starts[k]
                                        + (ia * extents[k, 1] + ib) * row_bytes
                                        + (ic >> 3)
                                    )
                                    if (bits[place] >> (ic & 7)) & 1:
                                        out[z, y, x] = k
                                        left -= 1
                    if left == 0:
                        break


@jit
def median(source, radius, planes, out, first, last):
    """The middle one of the label numbers around each voxel; beyond the border the nearest.

    Bit by bit from the highest of ``planes`` down: the largest number that at least half
    of the neighbours reach. Only additions and comparisons of bytes, so that the compiler
    handles many voxels at once.
    """
    slices, rows, columns = source.shape
    width = 2 * radius + 1
    half = width * width * width // 2 + 1
    padded = np.empty((width * width, columns + 2 * radius), np.uint8)
    best = np.empty(columns, np.uint8)
    trial = np.empty(columns, np.uint8)
    reached = np.empty(columns, np.uint8)
    for s in range(first, last):
        for a in range(rows):
            line = 0
            same = True
            value = source[s, a, 0]
            for ds in range(-radius, radius + 1):
                t = min(max(s + ds, 0), slices - 1)
                for da in range(-radius, radius + 1):
                    b = min(max(a + da, 0), rows - 1)
                    differs = np.uint8(0)
                    for r in range(columns):
                        number = source[t, b, r]
                        padded[line, r + radius] = number
                        differs |= number ^ value
                    for r in range(radius):
                        padded[line, r] = source[t, b, 0]
                        padded[line, columns + radius + r] = source[t, b, columns - 1]
                    same = same and differs == 0
                    line += 1
            if same:
                for r in range(columns):
                    out[s, a, r] = value
                continue
            for r in range(columns):
                best[r] = 0
            for plane in range(planes - 1, -1, -1):
                bit = np.uint8(1 << plane)
                for r in range(columns):
                    trial[r] = best[r] | bit
                    reached[r] = 0
                for line in range(width * width):
                    for shift in range(width):
                        for r in range(columns):
                            reached[r] += np.uint8(padded[line, r + shift] >= trial[r])
                for r in range(columns):
                    if reached[r] >= half:
                        best[r] = trial[r]
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
def near_in_plane(mask, reach, inside, out, first, last):
    """Squared distance in (A, R) from voxels of one kind to the nearest of the other kind.

    Only up to ``reach``; beyond it `_FAR`. ``inside`` says which kind counts as near.
    """
    rows, columns = mask.shape[1:]
    along = np.empty((rows, columns + 2 * reach), np.uint16)
    for s in range(first, last):
        for a in range(rows):
            for r in range(columns + 2 * reach):
                along[a, r] = _FAR
            for r in range(columns):
                if mask[s, a, r] == inside:
                    along[a, r + reach] = 0
            for r in range(columns):
                best = _FAR
                for d in range(-reach, reach + 1):
                    best = min(best, np.uint16(along[a, r + reach + d] + np.uint16(d * d)))
                out[s, a, r] = best
        for a in range(rows):
            for r in range(columns):
                along[a, r] = out[s, a, r]
        for a in range(rows):
            for d in range(1, reach + 1):
                square = np.uint16(d * d)
                if a >= d:
                    for r in range(columns):
                        out[s, a, r] = min(out[s, a, r], np.uint16(along[a - d, r] + square))
                if a + d < rows:
                    for r in range(columns):
                        out[s, a, r] = min(out[s, a, r], np.uint16(along[a + d, r] + square))


@jit
def shell(labels, to_inside, to_outside, reach, limit, number, first, last):
    """Give ``number`` to voxels within ``limit`` (squared) of the mask's border; in place."""
    slices, rows, columns = labels.shape
    for s in range(first, last):
        for a in range(rows):
            for r in range(columns):
                inside = to_inside[s, a, r] == 0
                best = _FAR
                for d in range(-reach, reach + 1):
                    t = s + d
                    if 0 <= t < slices:
                        near = to_outside[t, a, r] if inside else to_inside[t, a, r]
                        best = min(best, np.uint16(near + np.uint16(d * d)))
                if best <= limit:
                    labels[s, a, r] = number


@jit(fastmath={"contract", "nnan", "ninf", "nsz"})
def ball(coarse, nodes, weights, tables, mixes, centre, radius, out, first, last):
    """A ball, warped by sums of trilinearly upsampled noise fields; reflected at the borders.

    ``coarse`` (3, nodes of all fields); ``nodes`` sides of the fields; ``weights`` (sum of
    sides, S) upsampling along a row; ``tables`` and ``mixes`` (fields, S) upsampling along
    the other axes.
    """
    side = out.shape[0]
    shifts = np.empty((3, side), np.float32)
    near = np.float32(side - 1)
    round_trip = 2 * near
    limit = np.float32(radius * radius)
    one, half = np.float32(1), np.float32(0.5)
    for z in range(first, last):
        for y in range(side):
            for axis in range(3):
                for x in range(side):
                    shifts[axis, x] = 0
                start = 0
                row = 0
                for field in range(len(nodes)):
                    n = nodes[field]
                    i, j = tables[field, z], tables[field, y]
                    u, v = mixes[field, z], mixes[field, y]
                    i_next, j_next = min(i + 1, n - 1), min(j + 1, n - 1)
                    for k in range(n):
                        value = (one - u) * (
                            (one - v) * coarse[axis, start + (i * n + j) * n + k]
                            + v * coarse[axis, start + (i * n + j_next) * n + k]
                        ) + u * (
                            (one - v) * coarse[axis, start + (i_next * n + j) * n + k]
                            + v * coarse[axis, start + (i_next * n + j_next) * n + k]
                        )
                        for x in range(side):
                            shifts[axis, x] += value * weights[row + k, x]
                    start += n * n * n
                    row += n
            for x in range(side):
                total = np.float32(0)
                for axis in range(3):
                    at = np.float32(z if axis == 0 else (y if axis == 1 else x))
                    at = abs(at + shifts[axis, x])
                    at -= np.float32(math.floor(at / round_trip)) * round_trip
                    at = min(at, round_trip - at)
                    away = np.float32(math.floor(at + half)) - centre[axis]
                    total += away * away
                out[z, y, x] = total <= limit
