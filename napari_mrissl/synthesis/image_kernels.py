"""Compiled kernels on grey values; each call fills some slices of its output.

Importing this module imports numba. Logarithm, exponential, sine and cosine are
polynomials in single precision, exact to about 1e-6, because the compiler can then handle
eight voxels at once.
"""

# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from napari_mrissl.slicing.jit import jit
from napari_mrissl.synthesis.draws import GOLDEN, MIX

_FAST = {"contract", "nnan", "ninf", "nsz"}
_GOLDEN = np.uint64(GOLDEN)
_MIX_1, _MIX_2 = np.uint64(MIX[0]), np.uint64(MIX[1])
_ROUND = np.float32(12_582_912)
_TWO_PI = np.float32(2 * math.pi)


@intrinsic
def _bits(_context, _value):
    """The bits of a float32."""

    def build(_context, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), build


@intrinsic
def _float(_context, _value):
    """The float32 of some bits."""

    def build(_context, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


@jit(fastmath=_FAST)
def _log2(value):
    bits = _bits(value)
    exponent = np.int32(bits >> np.int32(23)) - np.int32(127)
    mantissa = _float(np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)))
    big = mantissa > np.float32(1.4142135)
    mantissa = mantissa * np.float32(0.5) if big else mantissa
    exponent = exponent + 1 if big else exponent
    ratio = (mantissa - np.float32(1)) / (mantissa + np.float32(1))
    square = ratio * ratio
    series = np.float32(0.3205989)
    series = series * square + np.float32(0.412198583)
    series = series * square + np.float32(0.577078016)
    series = series * square + np.float32(0.961796694)
    series = series * square + np.float32(2.885390082)
    return np.float32(exponent) + ratio * series


@jit(fastmath=_FAST)
def _exp2(value):
    value = min(max(value, np.float32(-126)), np.float32(126))
    # Adding 1.5 * 2^23 rounds, and leaves the whole number in the lowest bits.
    shifted = value + _ROUND
    part = value - (shifted - _ROUND)
    series = np.float32(1.535336188e-4)
    series = series * part + np.float32(1.339887440e-3)
    series = series * part + np.float32(9.618437357e-3)
    series = series * part + np.float32(5.550332548e-2)
    series = series * part + np.float32(2.402264791e-1)
    series = series * part + np.float32(6.931472028e-1)
    series = series * part + np.float32(1)
    return series * _float(np.int32((_bits(shifted) + np.int32(127)) << np.int32(23)))


@jit(fastmath=_FAST)
def _sine(turns):
    """sin(2 pi turns) for turns in [-0.25, 0.25]."""
    angle = turns * _TWO_PI
    square = angle * angle
    series = np.float32(2.6019031e-6)
    series = series * square + np.float32(-1.9807418e-4)
    series = series * square + np.float32(8.3330255e-3)
    series = series * square + np.float32(-1.6666657e-1)
    return angle + angle * square * series


@jit(fastmath=_FAST)
def mixture(labels, means, stds, key, out, lows, highs, first, last):
    """A Gaussian grey value per voxel by its label, not below 0; least and most per slice.

    Voxel x of a row's first half and x + S/2 share one hash: the cosine and the sine of
    the Box-Muller transform. Small loops, each of which the compiler can widen.
    """
    rows, columns = labels.shape[1:]
    middle = columns // 2
    high_part = np.empty(middle, np.int32)
    low_part = np.empty(middle, np.int32)
    noise = np.empty(columns, np.float32)
    quarter, half = np.float32(0.25), np.float32(0.5)
    unit = np.float32(2.0**-24)
    for s in range(first, last):
        low, high = np.float32(np.inf), np.float32(0)
        for a in range(rows):
            start = key + np.uint64((s * rows + a) * middle + 1) * _GOLDEN
            for r in range(middle):
                mixed = start + np.uint64(r) * _GOLDEN
                mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
                mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
                mixed = mixed ^ (mixed >> np.uint64(31))
                high_part[r] = np.int32(mixed >> np.uint64(40))
                low_part[r] = np.int32(mixed & np.uint64(0xFFFFFF))
            for r in range(middle):
                chance = np.float32(np.int32(high_part[r] + np.int32(1))) * unit
                turns = np.float32(low_part[r]) * unit - half
                length = np.sqrt(np.float32(-1.3862944) * _log2(chance))
                size = abs(turns)
                noise[r] = -length * _sine(quarter - size)
                folded = _sine(quarter - abs(size - quarter))
                noise[r + middle] = length * (folded if turns < 0 else -folded)
            for r in range(columns):
                label = labels[s, a, r]
                noise[r] = means[label] + stds[label] * noise[r]
            for r in range(columns):
                value = max(noise[r], np.float32(0))
                out[s, a, r] = value
                low, high = min(low, value), max(high, value)
        lows[s], highs[s] = low, high


@jit(fastmath=_FAST)
def bias(image, low, scale, cubic, basis, first, last):
    """Rescale, then multiply by the exponential of a polynomial (``cubic``: S, A, 4); in place."""
    log2_e = np.float32(1.4426950408889634)
    for s in range(first, last):
        for a in range(image.shape[1]):
            c0, c1, c2, c3 = cubic[s, a]
            for r in range(image.shape[2]):
                power = (c0 + c1 * basis[1, r] + c2 * basis[2, r] + c3 * basis[3, r]) * log2_e
                image[s, a, r] = (image[s, a, r] - low) * scale * _exp2(power)


@jit(fastmath=_FAST)
def extremes(image, lows, highs, first, last):
    """Least and most per slice."""
    for s in range(first, last):
        low, high = image[s, 0, 0], image[s, 0, 0]
        for a in range(image.shape[1]):
            for r in range(image.shape[2]):
                value = image[s, a, r]
                low, high = min(low, value), max(high, value)
        lows[s], highs[s] = low, high


@jit(fastmath=_FAST)
def contrast(image, low, size, gamma, first, last):
    """((value - low) / (size + 1e-7)) ** gamma * size + low, in place."""
    scale = np.float32(1) / np.float32(size + np.float32(1e-7))
    for s in range(first, last):
        for a in range(image.shape[1]):
            for r in range(image.shape[2]):
                share = (image[s, a, r] - low) * scale
                image[s, a, r] = _exp2(gamma * _log2(share)) * size + low


@jit(fastmath=_FAST)
def rescale(image, low, scale, threshold, first, last):
    """(max(value, threshold) - low) * scale, in place."""
    for s in range(first, last):
        for a in range(image.shape[1]):
            for r in range(image.shape[2]):
                image[s, a, r] = (max(image[s, a, r], threshold) - low) * scale


@jit(fastmath=_FAST)
def smooth(source, taps_s, taps_a, taps_r, keep, add, out, first, last):
    """keep * source + add * (source convolved with symmetric taps); zero beyond the border."""
    slices, rows, columns = source.shape
    reach = len(taps_r) - 1
    plane = np.empty((rows, columns), np.float32)
    line = np.zeros(columns + 2 * reach, np.float32)
    middle_s, middle_a, middle_r = taps_s[0], taps_a[0], add * taps_r[0]
    for s in range(first, last):
        for a in range(rows):
            here = plane[a]
            for r in range(columns):
                here[r] = middle_s * source[s, a, r]
            for k in range(1, len(taps_s)):
                tap = taps_s[k]
                if s >= k:
                    other = source[s - k, a]
                    for r in range(columns):
                        here[r] += tap * other[r]
                if s + k < slices:
                    other = source[s + k, a]
                    for r in range(columns):
                        here[r] += tap * other[r]
        # Slices rather than shifted indices, which could be negative and so spoil the loops.
        middle = line[reach : reach + columns]
        for a in range(rows):
            here, result = plane[a], out[s, a]
            for r in range(columns):
                middle[r] = middle_a * here[r]
            for k in range(1, len(taps_a)):
                tap = taps_a[k]
                if a >= k:
                    other = plane[a - k]
                    for r in range(columns):
                        middle[r] += tap * other[r]
                if a + k < rows:
                    other = plane[a + k]
                    for r in range(columns):
                        middle[r] += tap * other[r]
            for r in range(columns):
                result[r] = keep * source[s, a, r] + middle_r * middle[r]
            for k in range(1, reach + 1):
                tap = add * taps_r[k]
                left, right = line[reach - k :], line[reach + k :]
                for r in range(columns):
                    result[r] += tap * (left[r] + right[r])


@jit(fastmath=_FAST)
def resample(source, before, after, mix, out, first, last):
    """Linear interpolation between voxels ``before`` and ``after``, (3, S), along each axis."""
    rows, columns = source.shape[1:]
    line = np.empty(columns, np.float32)
    one = np.float32(1)
    for s in range(first, last):
        i, j, u = before[0, s], after[0, s], mix[0, s]
        for a in range(rows):
            k, m, v = before[1, a], after[1, a], mix[1, a]
            for r in range(columns):
                line[r] = (one - u) * ((one - v) * source[i, k, r] + v * source[i, m, r]) + u * (
                    (one - v) * source[j, k, r] + v * source[j, m, r]
                )
            for r in range(columns):
                w = mix[2, r]
                out[s, a, r] = (one - w) * line[before[2, r]] + w * line[after[2, r]]


@jit(fastmath=_FAST)
def cut_off(spectrum, squares, partners, limit, first, last):
    """Weigh a half spectrum by how many of a frequency and its partner lie within a ball.

    ``squares`` and ``partners`` (S,): squared distance of a frequency, and of its negative,
    from the middle that MONAI takes; in place.
    """
    half = np.float32(0.5)
    for s in range(first, last):
        for a in range(spectrum.shape[1]):
            one = limit - squares[s] - squares[a]
            other = limit - partners[s] - partners[a]
            for r in range(spectrum.shape[2]):
                weight = half * np.float32(squares[r] <= one) + half * np.float32(
                    partners[r] <= other
                )
                spectrum[s, a, r] *= weight


@jit(fastmath=_FAST)
def log_sums(spectrum, sums, first, last):
    """Per slice, the sum over the full spectrum of log2 |k|, from its half."""
    tiny = np.float32(1e-20)
    columns = spectrum.shape[2]
    for s in range(first, last):
        total = 0.0
        for a in range(spectrum.shape[1]):
            row = np.float32(0)
            for r in range(columns):
                k = spectrum[s, a, r]
                value = _log2(k.real * k.real + k.imag * k.imag + tiny)
                row += value if r == 0 or r == columns - 1 else value + value
            total += 0.5 * row
        sums[s] = total


@jit(fastmath=_FAST)
def add_wave(image, waves, cosines, sines, first, last):
    """Add the real part of a plane wave; ``waves`` (S, A) complex, rows as cos and sin."""
    for s in range(first, last):
        for a in range(image.shape[1]):
            real, imaginary = waves[s, a].real, waves[s, a].imag
            for r in range(image.shape[2]):
                image[s, a, r] += real * cosines[r] - imaginary * sines[r]
