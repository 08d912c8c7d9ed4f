"""Compiled loops of the field on its nodes: smoothing, data term, and steps of Adam.

Arrays are (S, A, R)-ordered. Importing this imports numba.
"""

from __future__ import annotations

import math

import numpy as np

from napari_mrissl.slicing.jit import jit


@jit(fastmath=True)
def matching(moving, fixed, weights, field, scale, gradient, costs, first, last):
    """Weighted squared differences of features at displaced nodes, and their gradient.

    Features (Z, Y, X, C) float32, field and gradient (3, Z, Y, X) in nodes; `costs[z]` gets the
    sum over a slice. Beyond the border is the border's feature, without a gradient across it.
    """
    depth, rows, columns, channels = moving.shape
    one = np.float32(1)
    for z in range(first, last):
        total = 0.0
        for y in range(rows):
            for x in range(columns):
                p = np.float32(z) + field[0, z, y, x]
                q = np.float32(y) + field[1, z, y, x]
                t = np.float32(x) + field[2, z, y, x]
                inside_z = one if 0 <= p <= depth - 1 else np.float32(0)
                inside_y = one if 0 <= q <= rows - 1 else np.float32(0)
                inside_x = one if 0 <= t <= columns - 1 else np.float32(0)
                p = min(max(p, np.float32(0)), np.float32(depth - 1))
                q = min(max(q, np.float32(0)), np.float32(rows - 1))
                t = min(max(t, np.float32(0)), np.float32(columns - 1))
                z0, y0, x0 = int(p), int(q), int(t)
                z1, y1, x1 = min(z0 + 1, depth - 1), min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
                fz, fy, fx = p - np.float32(z0), q - np.float32(y0), t - np.float32(x0)
                ez, ey, ex = one - fz, one - fy, one - fx
                a000, a001 = moving[z0, y0, x0], moving[z0, y0, x1]
                a010, a011 = moving[z0, y1, x0], moving[z0, y1, x1]
                a100, a101 = moving[z1, y0, x0], moving[z1, y0, x1]
                a110, a111 = moving[z1, y1, x0], moving[z1, y1, x1]
                here = fixed[z, y, x]
                cost, gz, gy, gx = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for c in range(channels):
                    b00 = a000[c] * ex + a001[c] * fx
                    b01 = a010[c] * ex + a011[c] * fx
                    b10 = a100[c] * ex + a101[c] * fx
                    b11 = a110[c] * ex + a111[c] * fx
                    c0 = b00 * ey + b01 * fy
                    c1 = b10 * ey + b11 * fy
                    difference = c0 * ez + c1 * fz - here[c]
                    cost += difference * difference
                    gz += difference * (c1 - c0)
                    gy += difference * ((b01 - b00) * ez + (b11 - b10) * fz)
                    gx += difference * (
                        ((a001[c] - a000[c]) * ey + (a011[c] - a010[c]) * fy) * ez
                        + ((a101[c] - a100[c]) * ey + (a111[c] - a110[c]) * fy) * fz
                    )
                factor = np.float32(scale) * weights[z, y, x]
                total += factor * cost
                gradient[0, z, y, x] = 2 * factor * gz * inside_z
                gradient[1, z, y, x] = 2 * factor * gy * inside_y
                gradient[2, z, y, x] = 2 * factor * gx * inside_x
        costs[z] = total


@jit(fastmath={"contract", "reassoc"})
def _along_axes(field, along_z, along_y, along_x, scratch):
    """A volume (Z, Y, X) through one band matrix (side, taps) per axis; in place."""
    depth, rows, columns = field.shape
    reach = along_x.shape[1] // 2
    wide = np.zeros(columns + 2 * reach, np.float32)
    plane = np.empty((rows, columns), np.float32)
    for z in range(depth):
        for y in range(rows):
            line = plane[y]
            wide[reach : reach + columns] = field[z, y]
            for x in range(columns):
                line[x] = 0
            for k in range(2 * reach + 1):
                weight = along_x[columns // 2, k]
                for x in range(columns):
                    line[x] += weight * wide[x + k]
            for side in range(min(2 * reach, columns)):
                x = side if side < reach else columns - 1 - (side - reach)
                value = np.float32(0)
                for k in range(2 * reach + 1):
                    value += along_x[x, k] * wide[x + k]
                line[x] = value
        for y in range(rows):
            line = scratch[z, y]
            for x in range(columns):
                line[x] = 0
            for k in range(max(y - reach, 0), min(y + reach + 1, rows)):
                weight, here = along_y[y, k - y + reach], plane[k]
                for x in range(columns):
                    line[x] += weight * here[x]
    for z in range(depth):
        for y in range(rows):
            line = field[z, y]
            for x in range(columns):
                line[x] = 0
            for k in range(max(z - reach, 0), min(z + reach + 1, depth)):
                weight, here = along_z[z, k - z + reach], scratch[k, y]
                for x in range(columns):
                    line[x] += weight * here[x]


@jit
def smoothed(fields, along_z, along_y, along_x, first, last):
    """Volumes (N, Z, Y, X) through a band matrix per axis, from `bands`; in place."""
    scratch = np.empty(fields.shape[1:], np.float32)
    for number in range(first, last):
        _along_axes(fields[number], along_z, along_y, along_x, scratch)


@jit(fastmath={"contract", "reassoc"})
def _add_roughness(field, sz, sy, sx, weight, gradient):
    """The sum over axes of s times squared differences of neighbours; adds its gradient."""
    depth, rows, columns = field.shape
    twice, total = np.float32(2 * weight), 0.0
    for z in range(depth):
        for y in range(rows):
            here, out = field[z, y], gradient[z, y]
            before_z, after_z = field[max(z - 1, 0), y], field[min(z + 1, depth - 1), y]
            before_y, after_y = field[z, max(y - 1, 0)], field[z, min(y + 1, rows - 1)]
            cost = np.float32(0)
            for x in range(columns):
                dz, dy = here[x] - before_z[x], here[x] - before_y[x]
                cost += sz * dz * dz + sy * dy * dy
                out[x] += twice * (
                    sz * (dz + here[x] - after_z[x]) + sy * (dy + here[x] - after_y[x])
                )
            for x in range(1, columns):
                dx = here[x] - here[x - 1]
                cost += sx * dx * dx
                out[x] += twice * sx * dx
            for x in range(columns - 1):
                out[x] -= twice * sx * (here[x + 1] - here[x])
            total += cost
    return total


@jit(fastmath={"contract", "reassoc"})
def adam_steps(
    parameters, field, gradient, means, squares, along_z, along_y, along_x, scales, weight,
    rate, correction, moving, totals, first, last,
):  # fmt: skip
    """One step of Adam, of components `first` to `last` of (3, Z, Y, X) parameters and fields.

    `gradient` holds that of the data term at the field; `totals` gets the roughness of the field
    by component. Unless `moving`, nothing else is done. `rate` is the step over 1 - beta1^t and
    `correction` the root of 1 - beta2^t.
    """
    scratch = np.empty(field.shape[1:], np.float32)
    kept, new = np.float32(0.9), np.float32(0.1)
    kept_square, new_square = np.float32(0.999), np.float32(0.001)
    rate, correction = np.float32(rate), np.float32(1 / correction)
    tiny = np.float32(1e-8)
    for c in range(first, last):
        slope = gradient[c]
        totals[c] = _add_roughness(field[c], scales[0], scales[1], scales[2], weight, slope)
        if not moving:
            continue
        # The smoothing is its own adjoint.
        _along_axes(slope, along_z, along_y, along_x, scratch)
        for z in range(slope.shape[0]):
            for y in range(slope.shape[1]):
                here, mean, square = slope[z, y], means[c, z, y], squares[c, z, y]
                values, out = parameters[c, z, y], field[c, z, y]
                for x in range(len(here)):
                    g = here[x]
                    mean[x] = kept * mean[x] + new * g
                    square[x] = kept_square * square[x] + new_square * g * g
                    values[x] -= rate * mean[x] / (math.sqrt(square[x]) * correction + tiny)
                    out[x] = values[x]
        _along_axes(field[c], along_z, along_y, along_x, scratch)
