"""Compiled passes over channels-first features (C, N): lengths, similarities, colours.

All work on blocks of voxels that stay in the first cache level, so that features are read
once, in order. Importing this module imports numba.
"""

# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from napari_mrissl.slicing.jit import jit

BLOCK = 2048
"""Voxels of a block."""

_TILE = 64

_LARGEST = np.float32(3e38)
_FAST = {"contract", "nnan", "ninf", "nsz"}


@jit(fastmath={"contract", "nsz"})
def inverse_lengths(features, weights, offsets, out, first, last):
    """One over the length of (feature - offset) * weight per voxel; 0 where that is 0.

    NaN where a feature is not finite: the other passes may then be compiled as if all were.
    """
    channels, voxels = features.shape
    for block in range(first, last):
        start = block * BLOCK
        stop = min(start + BLOCK, voxels)
        for n in range(start, stop):
            out[n] = 0
        for c in range(channels):
            weight, offset = weights[c], offsets[c]
            for n in range(start, stop):
                value = (features[c, n] - offset) * weight
                out[n] += value * value
        for n in range(start, stop):
            total = out[n]
            if 0 < total < _LARGEST:
                out[n] = np.float32(1) / math.sqrt(total)
            else:
                out[n] = 0 if total == 0 else np.nan


@jit(fastmath={*_FAST, "reassoc"})
def similarity(features, weights, shift, inverse, out, best, where, first, last):
    """(weights . features - shift) * inverse per voxel, and the best of each block.

    Sums of a few voxels stay in registers while all channels are added: with sums in memory
    it takes twice as long.
    """
    channels, voxels = features.shape
    sums = np.empty(_TILE, np.float32)
    for block in range(first, last):
        start = block * BLOCK
        stop = min(start + BLOCK, voxels)
        top = np.float32(-2)
        for tile in range(start, stop, _TILE):
            end = min(tile + _TILE, stop)
            cosines, lengths = out[tile:end], inverse[tile:end]
            if end - tile == _TILE:
                for n in range(_TILE):
                    sums[n] = -shift
                for c in range(channels):
                    weight, part = weights[c], features[c, tile:end]
                    for n in range(_TILE):
                        sums[n] += weight * part[n]
                for n in range(_TILE):
                    value = sums[n] * lengths[n]
                    cosines[n] = value
                    top = max(top, value)
            else:
                for n in range(end - tile):
                    value = -shift
                    for c in range(channels):
                        value += weights[c] * features[c, tile + n]
                    value *= lengths[n]
                    cosines[n] = value
                    top = max(top, value)
        best[block] = top
        where[block] = start
        for n in range(start, stop):
            if out[n] == top:
                where[block] = n
                break


@jit(fastmath=_FAST)
def similarity_box(features, weights, shift, inverse, corner, out, first, last):
    """As `similarity`, of a box of voxels (S, A, R) at a corner; rows of `out` are (S, A)."""
    channels = features.shape[0]
    rows, columns = out.shape[1], out.shape[2]
    a0, r0 = corner[1], corner[2]
    for line in range(first, last):
        s, a = line // rows, line % rows
        source = corner[0] + s
        for r in range(columns):
            out[s, a, r] = -shift
        for c in range(channels):
            weight = weights[c]
            for r in range(columns):
                out[s, a, r] += weight * features[c, source, a0 + a, r0 + r]
        for r in range(columns):
            out[s, a, r] *= inverse[source, a0 + a, r0 + r]


@jit(fastmath={"contract"})
def similarity_at(features, weights, shift, inverse, voxels, out, first, last):
    """As `similarity`, of chosen voxels by their flat numbers; NaN for negative ones."""
    channels = features.shape[0]
    for n in range(first, last):
        voxel = voxels[n]
        if voxel < 0:
            out[n] = np.nan
            continue
        total = -shift
        for c in range(channels):
            total += weights[c] * features[c, voxel]
        out[n] = total * inverse[voxel]


@jit(fastmath=_FAST)
def colours(features, weights, shifts, out, first, last):
    """Three weighted sums per voxel, minus shifts, clipped to 0..255 and rounded."""
    channels, voxels = features.shape
    sums = np.empty((3, BLOCK), np.float32)
    for block in range(first, last):
        start = block * BLOCK
        count = min(start + BLOCK, voxels) - start
        for k in range(3):
            for n in range(count):
                sums[k, n] = np.float32(0.5) - shifts[k]
        for c in range(channels):
            for k in range(3):
                weight = weights[k, c]
                for n in range(count):
                    sums[k, n] += weight * features[c, start + n]
        for k in range(3):
            for n in range(count):
                out[start + n, k] = np.uint8(min(max(sums[k, n], np.float32(0)), np.float32(255)))


@jit(fastmath=True)
def read_all(features, sums, first, last):
    """Sum of all numbers of each block: what reading alone costs."""
    channels, voxels = features.shape
    for block in range(first, last):
        start = block * BLOCK
        stop = min(start + BLOCK, voxels)
        total = np.float32(0)
        for c in range(channels):
            for n in range(start, stop):
                total += features[c, n]
        sums[block] = total
