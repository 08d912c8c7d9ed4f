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


def _unit(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = quaternion / np.linalg.norm(quaternion)
    return -unit if unit[0] < 0 else unit
