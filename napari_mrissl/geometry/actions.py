"""Actions: the seven numbers that take one pose to the next, in the slice's own frame.

Our definition, inferred: the method section of arXiv:2605.06487 is not public.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.pose import Pose
from napari_mrissl.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle

ACTION_NAMES = ("dr", "du", "dn", "wr", "wu", "wn", "ds")
"""Shifts along right, up, normal (fractions of fov), rotations (rad), log zoom."""


def apply_action(pose: Pose, action: ArrayLike) -> Pose:
    """The pose after an action (7,): c + fov R d, R exp([w]x), fov exp(ds)."""
    a = _checked(action)
    rotation = pose.rotation @ matrix_from_axis_angle(a[3:6])
    # Long flights must not drift away from orthonormal columns.
    left, _, right = np.linalg.svd(rotation)
    return Pose(
        pose.center + pose.fov * (pose.rotation @ a[:3]),
        left @ right,
        pose.fov * float(np.exp(a[6])),
    )


def relative_action(start: Pose, end: Pose) -> NDArray[np.float64]:
    """The action (7,) that takes ``start`` to ``end``; rotations up to pi."""
    return np.concatenate(
        [
            start.rotation.T @ (end.center - start.center) / start.fov,
            axis_angle_from_matrix(start.rotation.T @ end.rotation),
            [np.log(end.fov / start.fov)],
        ]
    )


def invert_action(action: ArrayLike) -> NDArray[np.float64]:
    """The action (7,) that undoes an action, whatever pose it started from."""
    a = _checked(action)
    rotation = matrix_from_axis_angle(a[3:6])
    return np.concatenate([-(rotation.T @ a[:3]) * np.exp(-a[6]), -a[3:6], [-a[6]]])


def chained(actions: ArrayLike) -> NDArray[np.float64]:
    """The actions (T, 7) from where the first of T actions starts to where each of them ends."""
    start = Pose(np.zeros(3), np.eye(3), 1.0)
    ends = list(itertools.accumulate(np.asarray(actions, np.float64), apply_action, initial=start))
    return np.array([relative_action(start, end) for end in ends[1:]]).reshape(-1, 7)


def _checked(action: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(action, np.float64)
    if numbers.shape != (7,) or not np.isfinite(numbers).all():
        raise MrisslError(
            f"action of shape {numbers.shape} or not finite",
            expected=f"seven finite numbers {', '.join(ACTION_NAMES)}",
        )
    return numbers
