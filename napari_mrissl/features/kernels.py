"""Compiled filters on (S, A, R) float32 volumes; each call fills some slices of its output.

Beyond its border a volume is its nearest voxel. Importing this module imports numba.
"""

from __future__ import annotations

import math

import numpy as np

from napari_mrissl.slicing.jit import jit


@jit
def normalise(voxels, slope, intercept, low, scale, least, most, out, first, last):
    """(value - low) * scale, clipped; what is not finite counts as `low`."""
    for s in range(first, last):
        for a in range(out.shape[1]):
            for r in range(out.shape[2]):
                value = (slope * np.float64(voxels[s, a, r]) + intercept - low) * scale
                if not math.isfinite(value):
                    value = 0.0
                out[s, a, r] = min(max(value, least), most)


@jit(fastmath={"contract"})
def smooth(source, taps_s, taps_a, taps_r, out, first, last):
    """Separable convolution with symmetric taps, given from the centre outwards."""
    slices, rows, columns = source.shape
    reach_r = len(taps_r) - 1
    plane = np.empty((rows, columns), np.float32)
    line = np.empty(columns + 2 * reach_r, np.float32)
    for s in range(first, last):
        for a in range(rows):
            for r in range(columns):
                plane[a, r] = taps_s[0] * source[s, a, r]
            for k in range(1, len(taps_s)):
                before, after = max(s - k, 0), min(s + k, slices - 1)
                for r in range(columns):
                    plane[a, r] += taps_s[k] * (source[before, a, r] + source[after, a, r])
        for a in range(rows):
            for r in range(columns):
                line[reach_r + r] = taps_a[0] * plane[a, r]
            for k in range(1, len(taps_a)):
                before, after = max(a - k, 0), min(a + k, rows - 1)
                for r in range(columns):
                    line[reach_r + r] += taps_a[k] * (plane[before, r] + plane[after, r])
            for k in range(reach_r):
                line[k] = line[reach_r]
                line[reach_r + columns + k] = line[reach_r + columns - 1]
            for r in range(columns):
                out[s, a, r] = taps_r[0] * line[reach_r + r]
            for k in range(1, len(taps_r)):
                for r in range(columns):
                    out[s, a, r] += taps_r[k] * (line[reach_r + r - k] + line[reach_r + r + k])


@jit
def gradient_magnitude(smoothed, steps, scale, out, first, last):
    """Length of the central-difference gradient; `steps` are spacings in mm."""
    slices, rows, columns = smoothed.shape
    half_s, half_a, half_r = (scale / 2) / steps
    for s in range(first, last):
        s0, s1 = max(s - 1, 0), min(s + 1, slices - 1)
        for a in range(rows):
            a0, a1 = max(a - 1, 0), min(a + 1, rows - 1)
            for r in range(columns):
                r0, r1 = max(r - 1, 0), min(r + 1, columns - 1)
                ds = (smoothed[s1, a, r] - smoothed[s0, a, r]) * half_s
                da = (smoothed[s, a1, r] - smoothed[s, a0, r]) * half_a
                dr = (smoothed[s, a, r1] - smoothed[s, a, r0]) * half_r
                out[s, a, r] = math.sqrt(ds * ds + da * da + dr * dr)


@jit
def symmetric_eigenvalues(ss, aa, rr, sa, sr, ar):
    """Eigenvalues of a symmetric 3x3 matrix, ascending, in closed form (Smith 1961)."""
    mean = (ss + aa + rr) / 3
    off = sa * sa + sr * sr + ar * ar
    ds, da, dr = ss - mean, aa - mean, rr - mean
    spread = math.sqrt((ds * ds + da * da + dr * dr + 2 * off) / 6)
    if spread < 1e-30:
        return mean, mean, mean
    determinant = ds * (da * dr - ar * ar) - sa * (sa * dr - ar * sr) + sr * (sa * ar - da * sr)
    half = determinant / (2 * spread * spread * spread)
    angle = math.acos(min(max(half, -1.0), 1.0)) / 3
    most = mean + 2 * spread * math.cos(angle)
    least = mean + 2 * spread * math.cos(angle + 2 * math.pi / 3)
    return least, 3 * mean - most - least, most


@jit
def hessian_eigenvalues(smoothed, steps, scale, least, middle, most, first, last):
    """Eigenvalues of the central-difference Hessian times `scale`, ascending."""
    slices, rows, columns = smoothed.shape
    hs, ha, hr = steps
    for s in range(first, last):
        s0, s1 = max(s - 1, 0), min(s + 1, slices - 1)
        for a in range(rows):
            a0, a1 = max(a - 1, 0), min(a + 1, rows - 1)
            for r in range(columns):
                r0, r1 = max(r - 1, 0), min(r + 1, columns - 1)
                twice = 2.0 * np.float64(smoothed[s, a, r])
                ss = (smoothed[s1, a, r] + smoothed[s0, a, r] - twice) / (hs * hs)
                aa = (smoothed[s, a1, r] + smoothed[s, a0, r] - twice) / (ha * ha)
                rr = (smoothed[s, a, r1] + smoothed[s, a, r0] - twice) / (hr * hr)
                sa = (
                    np.float64(smoothed[s1, a1, r]) - smoothed[s1, a0, r]
                    - smoothed[s0, a1, r] + smoothed[s0, a0, r]
                ) / (4 * hs * ha)  # fmt: skip
                sr = (
                    np.float64(smoothed[s1, a, r1]) - smoothed[s1, a, r0]
                    - smoothed[s0, a, r1] + smoothed[s0, a, r0]
                ) / (4 * hs * hr)  # fmt: skip
                ar = (
                    np.float64(smoothed[s, a1, r1]) - smoothed[s, a1, r0]
                    - smoothed[s, a0, r1] + smoothed[s, a0, r0]
                ) / (4 * ha * hr)  # fmt: skip
                low, mid, high = symmetric_eigenvalues(ss, aa, rr, sa, sr, ar)
                least[s, a, r] = scale * low
                middle[s, a, r] = scale * mid
                most[s, a, r] = scale * high


@jit
def patch_distance(source, one, other, radius, out, first, last):
    """Mean over a patch of the squared difference between two shifted copies of a volume."""
    slices, rows, columns = source.shape
    total = np.empty((rows, columns), np.float64)
    across = np.empty((rows, columns), np.float64)
    weight = 1.0 / ((2 * radius[0] + 1) * (2 * radius[1] + 1) * (2 * radius[2] + 1))
    for s in range(first, last):
        total[:] = 0
        for k in range(-radius[0], radius[0] + 1):
            middle = min(max(s + k, 0), slices - 1)
            s1 = min(max(middle + one[0], 0), slices - 1)
            s2 = min(max(middle + other[0], 0), slices - 1)
            for a in range(rows):
                a1 = min(max(a + one[1], 0), rows - 1)
                a2 = min(max(a + other[1], 0), rows - 1)
                for r in range(columns):
                    r1 = min(max(r + one[2], 0), columns - 1)
                    r2 = min(max(r + other[2], 0), columns - 1)
                    difference = np.float64(source[s1, a1, r1]) - source[s2, a2, r2]
                    total[a, r] += difference * difference
        across[:] = 0
        for a in range(rows):
            for k in range(-radius[1], radius[1] + 1):
                near = min(max(a + k, 0), rows - 1)
                for r in range(columns):
                    across[a, r] += total[near, r]
        for a in range(rows):
            for r in range(columns):
                value = 0.0
                for k in range(-radius[2], radius[2] + 1):
                    value += across[a, min(max(r + k, 0), columns - 1)]
                out[s, a, r] = value * weight


@jit
def subtract_least(distances, sums, first, last):
    """Take the smallest channel off all channels; `sums[s]` gets the sum of channel means."""
    channels, _, rows, columns = distances.shape
    for s in range(first, last):
        total = 0.0
        for a in range(rows):
            for r in range(columns):
                least = distances[0, s, a, r]
                for c in range(1, channels):
                    least = min(least, distances[c, s, a, r])
                mean = 0.0
                for c in range(channels):
                    distances[c, s, a, r] -= least
                    mean += distances[c, s, a, r]
                total += mean / channels
        sums[s] = total


@jit
def similarity(distances, least, most, first, last):
    """exp(-distance / local mean of the channels), the mean clipped; in place."""
    channels, _, rows, columns = distances.shape
    for s in range(first, last):
        for a in range(rows):
            for r in range(columns):
                mean = 0.0
                for c in range(channels):
                    mean += distances[c, s, a, r]
                inverse = -1.0 / min(max(mean / channels, least), most)
                for c in range(channels):
                    distances[c, s, a, r] = math.exp(distances[c, s, a, r] * inverse)


@jit
def channels_first(planes, out, origin, first, last):
    """Put planes (n, Y, X, C) that begin at `origin` into out (C, S, A, R), where they meet."""
    channels, slices, rows, columns = out.shape
    tile = np.empty((channels, 32), np.float32)
    s0, a0, r0 = origin
    for plane in range(first, last):
        s = s0 + plane
        if s < 0 or s >= slices:
            continue
        for a in range(max(a0, 0), min(a0 + planes.shape[1], rows)):
            stop = min(r0 + planes.shape[2], columns)
            # In tiles: single numbers at a distance of whole channels would share cache lines'
            # places and throw each other out.
            for begin in range(max(r0, 0), stop, 32):
                width = min(32, stop - begin)
                for r in range(width):
                    for c in range(channels):
                        tile[c, r] = planes[plane, a - a0, begin + r - r0, c]
                for c in range(channels):
                    for r in range(width):
                        out[c, s, a, begin + r] = tile[c, r]


@jit
def normalise_channels(out, standardised, first, last):
    """Bring the channels of each voxel to length 1, or to mean 0 and deviation 1; in place."""
    channels, _, rows, columns = out.shape
    mean = np.empty(columns, np.float32)
    scale = np.empty(columns, np.float32)
    for s in range(first, last):
        for a in range(rows):
            mean[:] = 0
            scale[:] = 0
            if standardised:
                for c in range(channels):
                    for r in range(columns):
                        mean[r] += out[c, s, a, r]
                for r in range(columns):
                    mean[r] /= np.float32(channels)
            for c in range(channels):
                for r in range(columns):
                    difference = out[c, s, a, r] - mean[r]
                    scale[r] += difference * difference
            for r in range(columns):
                square = scale[r] / channels if standardised else scale[r]
                scale[r] = 1 / max(math.sqrt(square), 1e-6)
            for c in range(channels):
                for r in range(columns):
                    out[c, s, a, r] = (out[c, s, a, r] - mean[r]) * scale[r]
