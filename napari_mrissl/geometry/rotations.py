"""Rotation matrices, unit quaternions (w, x, y, z; w >= 0) and axis-angle vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def quaternion_from_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    """Unit quaternion (w, x, y, z) with w >= 0 of a rotation matrix (Shepperd)."""
    m = np.asarray(matrix, np.float64)
    four_squares = np.array(
        [
            1 + m[0, 0] + m[1, 1] + m[2, 2],
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
        ]
    )
    largest = int(np.argmax(four_squares))
    products = np.array(
        [
            [0, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], 0, m[1, 0] + m[0, 1], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[1, 0] + m[0, 1], 0, m[2, 1] + m[1, 2]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2], 0],
        ]
    )
    quaternion = products[largest]
    quaternion[largest] = four_squares[largest]
    return _unit(quaternion)


def matrix_from_quaternion(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrix of a quaternion (w, x, y, z), which is normalised first."""
    w, x, y, z = _unit(np.asarray(quaternion, np.float64))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix_from_axis_angle(vector: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrix of an axis-angle vector in radians: ``exp([w]_x)``."""
    w = np.asarray(vector, np.float64)
    half = float(np.linalg.norm(w)) / 2
    # sinc keeps the small-angle limit exact.
    return matrix_from_quaternion([np.cos(half), *(w / 2 * np.sinc(half / np.pi))])


def axis_angle_from_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    """Axis-angle vector in radians, angle in [0, pi], of a rotation matrix."""
    quaternion = quaternion_from_matrix(matrix)
    sine = float(np.linalg.norm(quaternion[1:]))
    if sine < 1e-12:
        small: NDArray[np.float64] = 2 * quaternion[1:]
        return small
    vector: NDArray[np.float64] = quaternion[1:] * (2 * np.arctan2(sine, quaternion[0]) / sine)
    return vector


def matrices_from_axis_angles(vectors: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices (K, 3, 3) of axis-angle vectors (K, 3) in radians (Rodrigues)."""
    w = np.asarray(vectors, np.float64)
    angles = np.linalg.norm(w, axis=1)[:, None, None]
    x, y, z = w.T
    zero = np.zeros(len(w))
    cross = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    sine = np.sinc(angles / np.pi)
    half = np.sinc(angles / (2 * np.pi))
    turned: NDArray[np.float64] = np.eye(3) + sine * cross + 0.5 * half**2 * (cross @ cross)
    return turned


def quaternions_from_matrices(matrices: ArrayLike) -> NDArray[np.float64]:
    """Unit quaternions (K, 4) with w >= 0 of rotation matrices (K, 3, 3) (Shepperd)."""
    m = np.moveaxis(np.asarray(matrices, np.float64), 0, -1)
    (a, b, c), (d, e, f), (g, h, i) = m
    four = np.array(
        [
            [1 + a + e + i, h - f, c - g, d - b],
            [h - f, 1 + a - e - i, b + d, c + g],
            [c - g, b + d, 1 - a + e - i, f + h],
            [d - b, c + g, f + h, 1 - a - e + i],
        ]
    )
    largest = np.argmax(np.einsum("iik->ik", four), axis=0)
    found: NDArray[np.float64] = four[largest, :, np.arange(four.shape[2])]
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(found[:, :1] < 0, -found, found)


def _unit(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = quaternion / np.linalg.norm(quaternion)
    return -unit if unit[0] < 0 else unit
