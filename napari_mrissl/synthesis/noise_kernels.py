"""Compiled kernels with smooth noise: grey values, the deformed ball, a deformed template.

Importing this module imports numba. They stand in one file because a cached kernel is only
compiled anew when its own file changes, and all of them upsample coarse fields alike.
"""

# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from napari_mrissl.slicing.jit import jit

_FAST = {"contract", "nnan", "ninf", "nsz"}


@jit(fastmath=_FAST)
def _widen(coarse, start, n, before, mix, z, lines, row):
    """Rows of a coarse field at slice z, upsampled along R, into ``lines`` from ``row`` on."""
    side = lines.shape[1]
    i, u = before[z], mix[z]
    i_next = min(i + 1, n - 1)
    one = np.float32(1)
    line = np.empty(n, np.float32)
    for j in range(n):
        for k in range(n):
            line[k] = (one - u) * coarse[start + (i * n + j) * n + k] + u * coarse[
                start + (i_next * n + j) * n + k
            ]
        for x in range(side):
            k = before[x]
            k_next = min(k + 1, n - 1)
            lines[row + j, x] = (one - mix[x]) * line[k] + mix[x] * line[k_next]


@jit(fastmath=_FAST)
def _add_row(lines, y, nodes, before, mix, out):
    """Add a row of all fields to ``out``, from the rows of their nodes; see `_widen`."""
    row = 0
    for field in range(len(nodes)):
        j, v = row + before[field, y], mix[field, y]
        j_next = min(j + 1, row + nodes[field] - 1)
        for x in range(len(out)):
            out[x] += (np.float32(1) - v) * lines[j, x] + v * lines[j_next, x]
        row += nodes[field]


@jit(fastmath=_FAST)
def _widen_all(coarse, nodes, before, mix, z, lines):
    """`_widen` for each of several fields, one after the other."""
    start = row = 0
    for field in range(len(nodes)):
        n = nodes[field]
        _widen(coarse, start, n, before[field], mix[field], z, lines, row)
        start += n * n * n
        row += n


@jit(fastmath=_FAST)
def modulate(image, low, scale, coarse, nodes, before, mix, amplitude, lows, highs, first, last):
    """Rescale, then multiply by 1 + amplitude * noise, in place; least and most per slice.

    The noise is the sum of trilinearly upsampled coarse fields.
    """
    side = image.shape[0]
    lines = np.empty((np.sum(nodes), side), np.float32)
    noise = np.empty(side, np.float32)
    one = np.float32(1)
    for z in range(first, last):
        least, most = np.float32(np.inf), np.float32(-np.inf)
        _widen_all(coarse, nodes, before, mix, z, lines)
        for y in range(side):
            for x in range(side):
                noise[x] = 0
            _add_row(lines, y, nodes, before, mix, noise)
            for x in range(side):
                value = (image[z, y, x] - low) * scale * (one + amplitude * noise[x])
                image[z, y, x] = value
                least, most = min(least, value), max(most, value)
        lows[z], highs[z] = least, most


@jit(fastmath=_FAST)
def ball(coarse, nodes, before, mix, centre, radius, out, first, last):
    """A ball, warped by sums of trilinearly upsampled noise fields; reflected at the borders.

    ``coarse`` (3, nodes of all fields); ``nodes`` sides of the fields; ``before`` and
    ``mix`` (fields, S) upsampling along an axis.
    """
    side = out.shape[0]
    lines = np.empty((3, np.sum(nodes), side), np.float32)
    shift = np.empty(side, np.float32)
    away = np.empty(side, np.float32)
    ramp = np.arange(side).astype(np.float32)
    round_trip = np.float32(2 * (side - 1))
    limit = np.float32(radius * radius)
    half = np.float32(0.5)
    for z in range(first, last):
        for axis in range(3):
            _widen_all(coarse[axis], nodes, before, mix, z, lines[axis])
        for y in range(side):
            for x in range(side):
                away[x] = 0
            for axis in range(3):
                place = np.float32(z if axis == 0 else y)
                step = np.float32(1 if axis == 2 else 0)
                place = np.float32(0) if axis == 2 else place
                for x in range(side):
                    shift[x] = place + step * ramp[x]
                _add_row(lines[axis], y, nodes, before, mix, shift)
                for x in range(side):
                    at = abs(shift[x])
                    at -= np.floor(at / round_trip) * round_trip
                    back = round_trip - at
                    at = at if at < back else back
                    gap = np.floor(at + half) - centre[axis]
                    away[x] += gap * gap
            for x in range(side):
                out[z, y, x] = np.uint8(away[x] <= limit)


@jit(fastmath=_FAST)
def _places(whole, weights, z, y, lines, nodes, before, mix, shift, places):
    """Index in the template along each axis, (3, S), of a row of the grid."""
    side = places.shape[1]
    for component in range(3):
        for x in range(side):
            shift[component, x] = 0
        _add_row(lines[component], y, nodes, before, mix, shift[component])
    for axis in range(3):
        start = np.float32(whole[axis, 3] + whole[axis, 0] * z + whole[axis, 1] * y)
        u, v, w = weights[axis]
        for x in range(side):
            moved = u * shift[0, x] + v * shift[1, x] + w * shift[2, x]
            places[axis, x] = start + np.float32(whole[axis, 2] * x) + moved


@jit(fastmath=_FAST)
def nearest(source, whole, weights, coarse, nodes, before, mix, out, first, last):
    """The nearest voxel of a deformed template, 0 outside it.

    ``whole`` (3, 4) from voxel to template index; ``weights`` (3, 3) from a displacement
    to template index; the fields as for `ball`.
    """
    side = out.shape[0]
    lines = np.empty((3, np.sum(nodes), side), np.float32)
    shift = np.empty((3, side), np.float32)
    places = np.empty((3, side), np.float32)
    half = np.float32(0.5)
    for z in range(first, last):
        for component in range(3):
            _widen_all(coarse[component], nodes, before, mix, z, lines[component])
        for y in range(side):
            _places(whole, weights, z, y, lines, nodes, before, mix, shift, places)
            for x in range(side):
                i = int(np.floor(places[0, x] + half))
                j = int(np.floor(places[1, x] + half))
                k = int(np.floor(places[2, x] + half))
                inside = (
                    (0 <= i < source.shape[0])
                    & (0 <= j < source.shape[1])
                    & (0 <= k < source.shape[2])
                )
                out[z, y, x] = source[i, j, k] if inside else 0


@jit(fastmath=_FAST)
def linear(source, whole, weights, coarse, nodes, before, mix, out, first, last):
    """A deformed template, trilinear, 0 where any of the eight voxels is missing; see `nearest`."""
    side = out.shape[0]
    lines = np.empty((3, np.sum(nodes), side), np.float32)
    shift = np.empty((3, side), np.float32)
    places = np.empty((3, side), np.float32)
    last_i, last_j, last_k = source.shape[0] - 1, source.shape[1] - 1, source.shape[2] - 1
    one = np.float32(1)
    for z in range(first, last):
        for component in range(3):
            _widen_all(coarse[component], nodes, before, mix, z, lines[component])
        for y in range(side):
            _places(whole, weights, z, y, lines, nodes, before, mix, shift, places)
            for x in range(side):
                a, b, c = places[0, x], places[1, x], places[2, x]
                if not ((0 <= a <= last_i) & (0 <= b <= last_j) & (0 <= c <= last_k)):
                    out[z, y, x] = 0
                    continue
                i, j, k = int(a), int(b), int(c)
                u, v, w = a - np.float32(i), b - np.float32(j), c - np.float32(k)
                i_next, j_next, k_next = min(i + 1, last_i), min(j + 1, last_j), min(k + 1, last_k)
                low = (one - v) * ((one - w) * source[i, j, k] + w * source[i, j, k_next]) + v * (
                    (one - w) * source[i, j_next, k] + w * source[i, j_next, k_next]
                )
                high = (one - v) * (
                    (one - w) * source[i_next, j, k] + w * source[i_next, j, k_next]
                ) + v * ((one - w) * source[i_next, j_next, k] + w * source[i_next, j_next, k_next])
                out[z, y, x] = (one - u) * low + u * high
