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


@jit(fastmath={"contract", "reassoc"})
def patch_distance(padded, width, one, other, radius, out, first, last):
    """Mean over a patch of the squared difference between two shifted copies of a volume.

    `padded` has `width` more of the border's voxels along both ends of each axis.
    """
    slices, rows, columns = out.shape
    deep, high, wide = radius[0], radius[1], radius[2]
    kept = np.empty((2 * deep + 1, rows, columns), np.float32)
    squares = np.empty((rows, columns), np.float32)
    line = np.empty(columns + 2 * wide, np.float32)
    weight = np.float32(1.0 / ((2 * deep + 1) * (2 * high + 1) * (2 * wide + 1)))
    for s in range(first - deep, last + deep):
        middle = min(max(s, 0), slices - 1) + width
        here, there = padded[middle + one[0]], padded[middle + other[0]]
        for a in range(rows):
            left = here[a + width + one[1], width + one[2] : width + one[2] + columns]
            right = there[a + width + other[1], width + other[2] : width + other[2] + columns]
            for r in range(columns):
                squares[a, r] = (left[r] - right[r]) * (left[r] - right[r])
        box = kept[(s + deep - first) % (2 * deep + 1)]
        for a in range(rows):
            inner = line[wide : wide + columns]
            inner[:] = 0
            for k in range(-high, high + 1):
                near = squares[min(max(a + k, 0), rows - 1)]
                for r in range(columns):
                    inner[r] += near[r]
            line[:wide] = inner[0]
            line[wide + columns :] = inner[columns - 1]
            sums = box[a]
            sums[:] = 0
            for k in range(2 * wide + 1):
                for r in range(columns):
                    sums[r] += line[r + k]
        if s < first + deep:
            continue
        for a in range(rows):
            sums = out[s - deep, a]
            sums[:] = 0
            for k in range(2 * deep + 1):
                near = kept[k, a]
                for r in range(columns):
                    sums[r] += near[r]
            for r in range(columns):
                sums[r] *= weight


@jit(fastmath={"contract", "reassoc"})
def subtract_least(distances, sums, first, last):
    """Take the smallest channel off all channels; `sums[s]` gets the sum of channel means."""
    channels, _, rows, columns = distances.shape
    least = np.empty(columns, np.float32)
    share = 1.0 / channels
    for s in range(first, last):
        total = 0.0
        for a in range(rows):
            least[:] = distances[0, s, a]
            for c in range(1, channels):
                here = distances[c, s, a]
                for r in range(columns):
                    least[r] = min(least[r], here[r])
            for c in range(channels):
                here = distances[c, s, a]
                for r in range(columns):
                    here[r] -= least[r]
                    total += here[r] * share
        sums[s] = total


@jit(fastmath={"contract", "reassoc"})
def similarity(distances, least, most, first, last):
    """exp(-distance / local mean of the channels), the mean clipped; in place.

    Powers of two by a polynomial and by the bits of a float32, which compilers can do for many
    voxels together; right to 3e-7.
    """
    channels, _, rows, columns = distances.shape
    scales = np.empty(columns, np.float32)
    low, high = np.float32(least), np.float32(most)
    share, logarithm = np.float32(1.0 / channels), np.float32(1.4426950408889634)
    one, half, bottom = np.float32(1), np.float32(0.5), np.float32(-126)
    c1, c2 = np.float32(0.693147180559945), np.float32(0.240226506959101)
    c3, c4 = np.float32(0.0555041086648216), np.float32(0.00961812910762848)
    c5, c6 = np.float32(0.00133335581464284), np.float32(0.000154035303933816)
    for s in range(first, last):
        for a in range(rows):
            scales[:] = 0
            for c in range(channels):
                here = distances[c, s, a]
                for r in range(columns):
                    scales[r] += here[r]
            for r in range(columns):
                scales[r] = -logarithm / min(max(scales[r] * share, low), high)
            for c in range(channels):
                here = distances[c, s, a]
                for r in range(columns):
                    power = max(here[r] * scales[r], bottom)
                    whole = np.int32(power - half)
                    f = power - np.float32(whole)
                    value = one + f * (c1 + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * c6)))))
                    here[r] = value * np.int32((whole + 127) << 23).view(np.float32)


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
