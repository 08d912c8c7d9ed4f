"""Compiled loops of registration; each call fills some slices of its output.

Arrays are (S, A, R)-ordered, vectors and feature channels run last. Importing this imports numba.
"""

from __future__ import annotations

import math

import numpy as np

from napari_mrissl.slicing.jit import jit


@jit
def _component_at(nodes, z0, y0, x0, z1, y1, x1, fz, fy, fx, c):
    low = (nodes[z0, y0, x0, c] * (1 - fx) + nodes[z0, y0, x1, c] * fx) * (1 - fy) + (
        nodes[z0, y1, x0, c] * (1 - fx) + nodes[z0, y1, x1, c] * fx
    ) * fy
    high = (nodes[z1, y0, x0, c] * (1 - fx) + nodes[z1, y0, x1, c] * fx) * (1 - fy) + (
        nodes[z1, y1, x0, c] * (1 - fx) + nodes[z1, y1, x1, c] * fx
    ) * fy
    return low * (1 - fz) + high * fz


@jit
def _nodes_at(nodes, z, y, x):
    """Trilinear value of a vector field (Z, Y, X, 3) at an index; the border's beyond it."""
    z = min(max(z, 0.0), nodes.shape[0] - 1.0)
    y = min(max(y, 0.0), nodes.shape[1] - 1.0)
    x = min(max(x, 0.0), nodes.shape[2] - 1.0)
    z0, y0, x0 = int(z), int(y), int(x)
    z1 = min(z0 + 1, nodes.shape[0] - 1)
    y1 = min(y0 + 1, nodes.shape[1] - 1)
    x1 = min(x0 + 1, nodes.shape[2] - 1)
    fz, fy, fx = z - z0, y - y0, x - x0
    return (
        _component_at(nodes, z0, y0, x0, z1, y1, x1, fz, fy, fx, 0),
        _component_at(nodes, z0, y0, x0, z1, y1, x1, fz, fy, fx, 1),
        _component_at(nodes, z0, y0, x0, z1, y1, x1, fz, fy, fx, 2),
    )


@jit
def _moved(matrix, z, y, x):
    """A point through the upper rows of a 4x4 matrix."""
    return (
        matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 2] * x + matrix[0, 3],
        matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 2] * x + matrix[1, 3],
        matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 2] * x + matrix[2, 3],
    )


@jit
def displacements(affine, to_node, linear, nodes, out, first, last):
    """linear(x + nodes(x)) - x in mm at every voxel's place x."""
    for s in range(first, last):
        for a in range(out.shape[1]):
            for r in range(out.shape[2]):
                x, y, z = _moved(affine, s, a, r)
                i, j, k = _moved(to_node, x, y, z)
                u, v, w = _nodes_at(nodes, i, j, k)
                p, q, t = _moved(linear, x + u, y + v, z + w)
                out[s, a, r, 0] = p - x
                out[s, a, r, 1] = q - y
                out[s, a, r, 2] = t - z


@jit
def inverse_displacements(affine, to_node, back, nodes, tolerance, most, out, errors, first, last):
    """x - y in mm at every voxel's place y, where y = linear(x + nodes(x)); by fixed points.

    `back` is the inverse of linear; `errors[s]` gets the largest length of the last correction.
    """
    for s in range(first, last):
        worst = 0.0
        for a in range(out.shape[1]):
            for r in range(out.shape[2]):
                px, py, pz = _moved(affine, s, a, r)
                gx, gy, gz = _moved(back, px, py, pz)
                x, y, z = gx, gy, gz
                step = 0.0
                for _ in range(most):
                    i, j, k = _moved(to_node, x, y, z)
                    u, v, w = _nodes_at(nodes, i, j, k)
                    dx, dy, dz = gx - u - x, gy - v - y, gz - w - z
                    x, y, z = x + dx, y + dy, z + dz
                    step = math.sqrt(dx * dx + dy * dy + dz * dz)
                    if step < tolerance:
                        break
                worst = max(worst, step)
                out[s, a, r, 0] = x - px
                out[s, a, r, 1] = y - py
                out[s, a, r, 2] = z - pz
        errors[s] = worst


@jit
def warp_linear(
    source, slope, intercept, to_source, field, affine, outside, edge, out, first, last
):
    """Trilinear values of a scan at x + field(x); `outside` beyond its voxels, unless `edge`."""
    slices, rows, columns = source.shape
    for s in range(first, last):
        for a in range(out.shape[1]):
            for r in range(out.shape[2]):
                x, y, z = _moved(affine, s, a, r)
                i, j, k = _moved(
                    to_source, x + field[s, a, r, 0], y + field[s, a, r, 1], z + field[s, a, r, 2]
                )
                inside = (
                    -0.5 <= i <= slices - 0.5 and -0.5 <= j <= rows - 0.5
                    and -0.5 <= k <= columns - 0.5
                )  # fmt: skip
                if not (inside or edge):
                    out[s, a, r] = outside
                    continue
                i = min(max(i, 0.0), slices - 1.0)
                j = min(max(j, 0.0), rows - 1.0)
                k = min(max(k, 0.0), columns - 1.0)
                i0, j0, k0 = int(i), int(j), int(k)
                i1, j1, k1 = (
                    min(i0 + 1, slices - 1),
                    min(j0 + 1, rows - 1),
                    min(k0 + 1, columns - 1),
                )
                fi, fj, fk = i - i0, j - j0, k - k0
                low = (source[i0, j0, k0] * (1 - fk) + source[i0, j0, k1] * fk) * (1 - fj) + (
                    source[i0, j1, k0] * (1 - fk) + source[i0, j1, k1] * fk
                ) * fj
                high = (source[i1, j0, k0] * (1 - fk) + source[i1, j0, k1] * fk) * (1 - fj) + (
                    source[i1, j1, k0] * (1 - fk) + source[i1, j1, k1] * fk
                ) * fj
                # Without a fraction nothing is interpolated, so that NaN beside it stays there.
                value = low if fi == 0 else low * (1 - fi) + high * fi
                out[s, a, r] = slope * value + intercept


@jit
def warp_nearest(source, to_source, field, affine, outside, edge, out, first, last):
    """The nearest voxel of a scan at x + field(x); `outside` beyond its voxels, unless `edge`."""
    slices, rows, columns = source.shape
    for s in range(first, last):
        for a in range(out.shape[1]):
            for r in range(out.shape[2]):
                x, y, z = _moved(affine, s, a, r)
                i, j, k = _moved(
                    to_source, x + field[s, a, r, 0], y + field[s, a, r, 1], z + field[s, a, r, 2]
                )
                i0 = math.floor(i + 0.5)
                j0 = math.floor(j + 0.5)
                k0 = math.floor(k + 0.5)
                inside = 0 <= i0 < slices and 0 <= j0 < rows and 0 <= k0 < columns
                if not (inside or edge):
                    out[s, a, r] = outside
                    continue
                i0 = min(max(i0, 0), slices - 1)
                j0 = min(max(j0, 0), rows - 1)
                k0 = min(max(k0, 0), columns - 1)
                out[s, a, r] = source[i0, j0, k0]


@jit
def jacobian_determinants(field, to_index, out, first, last):
    """Determinant of the derivative of x + field(x); central differences, one-sided at borders."""
    slices, rows, columns = out.shape
    steps = np.empty((3, 3))
    jacobian = np.empty((3, 3))
    for s in range(first, last):
        s0, s1 = max(s - 1, 0), min(s + 1, slices - 1)
        for a in range(rows):
            a0, a1 = max(a - 1, 0), min(a + 1, rows - 1)
            for r in range(columns):
                r0, r1 = max(r - 1, 0), min(r + 1, columns - 1)
                for c in range(3):
                    steps[c, 0] = (field[s1, a, r, c] - field[s0, a, r, c]) / max(s1 - s0, 1)
                    steps[c, 1] = (field[s, a1, r, c] - field[s, a0, r, c]) / max(a1 - a0, 1)
                    steps[c, 2] = (field[s, a, r1, c] - field[s, a, r0, c]) / max(r1 - r0, 1)
                for c in range(3):
                    for d in range(3):
                        value = 1.0 if c == d else 0.0
                        for k in range(3):
                            value += steps[c, k] * to_index[k, d]
                        jacobian[c, d] = value
                out[s, a, r] = (
                    jacobian[0, 0]
                    * (jacobian[1, 1] * jacobian[2, 2] - jacobian[1, 2] * jacobian[2, 1])
                    - jacobian[0, 1]
                    * (jacobian[1, 0] * jacobian[2, 2] - jacobian[1, 2] * jacobian[2, 0])
                    + jacobian[0, 2]
                    * (jacobian[1, 0] * jacobian[2, 1] - jacobian[1, 1] * jacobian[2, 0])
                )


@jit(fastmath={"contract", "reassoc"})
def displaced_costs(fixed, around, weights, offsets, reach, out, first, last):
    """Weighted squared differences (K, Z, Y, X) for whole displacements.

    Features (C, Z, Y, X), those of `around` with `reach` more nodes at every side.
    """
    channels, depth, rows, columns = fixed.shape
    for k in range(first, last):
        dz, dy, dx = offsets[k, 0] + reach, offsets[k, 1] + reach, offsets[k, 2] + reach
        for z in range(depth):
            for y in range(rows):
                line = out[k, z, y]
                for x in range(columns):
                    line[x] = 0
                for c in range(channels):
                    here = fixed[c, z, y]
                    there = around[c, z + dz, y + dy, dx : dx + columns]
                    for x in range(columns):
                        difference = here[x] - there[x]
                        line[x] += difference * difference
                weight = weights[z, y]
                for x in range(columns):
                    line[x] *= weight[x]


@jit(fastmath={"contract", "reassoc"})
def best_displacements(costs, offsets, towards, weight, tie, out, first, last):
    """The displacement (3, N) with the least cost (K, N) plus weighted squared distance.

    Of nodes `first` to `last`, in pieces that stay in the cache.
    """
    piece = 512
    least = np.empty(piece, np.float32)
    chosen = np.empty(piece, np.int32)
    for begin in range(first, last, piece):
        count = min(piece, last - begin)
        for n in range(count):
            least[n] = np.inf
        one, two = towards[0, begin : begin + count], towards[1, begin : begin + count]
        three = towards[2, begin : begin + count]
        for k in range(len(offsets)):
            z, y, x = offsets[k, 0], offsets[k, 1], offsets[k, 2]
            away = tie * (z * z + y * y + x * x)
            row = costs[k, begin : begin + count]
            for n in range(count):
                p, q, t = z - one[n], y - two[n], x - three[n]
                cost = row[n] + away + weight * (p * p + q * q + t * t)
                better = cost < least[n]
                least[n] = cost if better else least[n]
                chosen[n] = k if better else chosen[n]
        for n in range(count):
            for c in range(3):
                out[c, begin + n] = offsets[chosen[n], c]
