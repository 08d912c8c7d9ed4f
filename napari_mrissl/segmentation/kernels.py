"""Compiled prediction: a linear layer beside rectified units, from features to classes.

Voxels go through in blocks of one size, the last one padded, so a voxel's numbers depend
on its features alone: not on the slab, the slice in view or the number of threads.
Importing this module imports numba.
"""

from __future__ import annotations

import math

import numpy as np

from napari_mrissl.slicing.jit import jit

BLOCK = 256


@jit(fastmath={"contract"})
def block_scores(x, units, unit_bias, linear, weights, bias, unit, scores):
    """scores = linear @ x + weights @ max(units @ x + unit_bias, 0) + bias, (K, BLOCK)."""
    channels = x.shape[0]
    four = channels - channels % 4
    for k in range(len(bias)):
        for v in range(BLOCK):
            scores[k, v] = bias[k]
        for c in range(channels):
            weight = linear[k, c]
            for v in range(BLOCK):
                scores[k, v] += weight * x[c, v]
    for u in range(len(unit_bias)):
        for v in range(BLOCK):
            unit[v] = unit_bias[u]
        for c in range(0, four, 4):
            w0, w1, w2, w3 = units[u, c], units[u, c + 1], units[u, c + 2], units[u, c + 3]
            for v in range(BLOCK):
                unit[v] += w0 * x[c, v] + w1 * x[c + 1, v] + w2 * x[c + 2, v] + w3 * x[c + 3, v]
        for c in range(four, channels):
            w0 = units[u, c]
            for v in range(BLOCK):
                unit[v] += w0 * x[c, v]
        for v in range(BLOCK):
            unit[v] = max(unit[v], np.float32(0))
        for k in range(len(bias)):
            weight = weights[k, u]
            for v in range(BLOCK):
                scores[k, v] += weight * unit[v]


@jit
def best_class(scores, v):
    """The class with the highest score, the first of equals."""
    best = 0
    for k in range(1, scores.shape[0]):
        if scores[k, v] > scores[best, v]:
            best = k
    return best


@jit
def write_probabilities(scores, sharpness, count, start, probability, uncertainty):
    """Softmax of `sharpness` times the scores, and its entropy over log K, for one block."""
    classes = scores.shape[0]
    for v in range(count):
        most = scores[best_class(scores, v), v]
        total = 0.0
        for k in range(classes):
            total += math.exp(sharpness * (scores[k, v] - most))
        entropy = 0.0
        for k in range(classes):
            p = math.exp(sharpness * (scores[k, v] - most)) / total
            if p > 0:
                entropy -= p * math.log(p)
            if probability.shape[1]:
                probability[k, start + v] = p
        if uncertainty.shape[0]:
            uncertainty[start + v] = entropy / math.log(classes)


@jit
def classify(
    features, units, unit_bias, linear, weights, bias, table, sharpness,
    labels, probability, uncertainty, first, last,
):  # fmt: skip
    """Labels, and where these are not empty probabilities and uncertainties, of some voxels."""
    channels = features.shape[0]
    x = np.zeros((channels, BLOCK), np.float32)
    unit = np.empty(BLOCK, np.float32)
    scores = np.empty((len(bias), BLOCK), np.float32)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for c in range(channels):
            for v in range(count):
                x[c, v] = features[c, start + v]
        block_scores(x, units, unit_bias, linear, weights, bias, unit, scores)
        for v in range(count):
            labels[start + v] = table[best_class(scores, v)]
        if probability.shape[1] or uncertainty.shape[0]:
            write_probabilities(scores, sharpness, count, start, probability, uncertainty)


@jit
def nearest_voxels(matrix, shape, rows, columns, out, first, last):
    """Flat index of the voxel nearest to each pixel of some rows of a grid, or -1 outside.

    `matrix` takes grid index (k, i, j) to voxel index; rows are counted through planes.
    A voxel reaches half its size beyond its centre; on the border the higher index wins.
    """
    for row in range(first, last):
        k, i = row // rows, row % rows
        for j in range(columns):
            flat = 0
            for axis in range(3):
                position = (
                    matrix[axis, 0] * k + matrix[axis, 1] * i + matrix[axis, 2] * j
                    + matrix[axis, 3]
                )  # fmt: skip
                size = shape[axis]
                if not -0.5 - 1e-6 <= position <= size - 0.5 + 1e-6:
                    flat = -1
                    break
                near = min(int(max(position + 0.5, 0.0)), size - 1)
                flat = flat * size + near
            out[row, j] = flat


@jit
def classify_at(
    features, voxels, units, unit_bias, linear, weights, bias, table, labels, first, last
):
    """Labels of the voxels with these flat indices; 0 where an index is -1."""
    channels = features.shape[0]
    x = np.zeros((channels, BLOCK), np.float32)
    unit = np.empty(BLOCK, np.float32)
    scores = np.empty((len(bias), BLOCK), np.float32)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for c in range(channels):
            for v in range(count):
                x[c, v] = features[c, max(voxels[start + v], 0)]
        block_scores(x, units, unit_bias, linear, weights, bias, unit, scores)
        for v in range(count):
            inside = voxels[start + v] >= 0
            labels[start + v] = table[best_class(scores, v)] if inside else 0


@jit
def weighted_gram(rows, weights, out):
    """out = rows.T @ diag(weights) @ rows for (n, P) rows, summed in one fixed order."""
    count, size = rows.shape
    out[:] = 0
    for v in range(count):
        for p in range(size):
            value = weights[v] * rows[v, p]
            for q in range(p + 1):
                out[p, q] += value * rows[v, q]
    for p in range(size):
        for q in range(p):
            out[q, p] = out[p, q]


@jit
def solve_positive(matrix, right):
    """Solve a symmetric positive definite system in place: by Cholesky, in one fixed order.

    LAPACK would round differently with another number of threads, and then a segmentation
    could not be made again voxel by voxel. `matrix` (P, P) is destroyed; `right` (P, m)
    becomes the solution.
    """
    size, count = right.shape
    for p in range(size):
        for q in range(p):
            factor = matrix[p, q]
            for k in range(q):
                factor -= matrix[p, k] * matrix[q, k]
            matrix[p, q] = factor / matrix[q, q]
        pivot = matrix[p, p]
        for k in range(p):
            pivot -= matrix[p, k] * matrix[p, k]
        matrix[p, p] = math.sqrt(pivot)
    for p in range(size):
        for q in range(p):
            factor = matrix[p, q]
            for m in range(count):
                right[p, m] -= factor * right[q, m]
        for m in range(count):
            right[p, m] /= matrix[p, p]
    for p in range(size - 1, -1, -1):
        for q in range(p + 1, size):
            factor = matrix[q, p]
            for m in range(count):
                right[p, m] -= factor * right[q, m]
        for m in range(count):
            right[p, m] /= matrix[p, p]
