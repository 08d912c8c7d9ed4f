"""A smooth flight through key poses: continuous in velocity and acceleration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.geometry.rotations import quaternion_from_matrix

DEFAULT_SPEED = 40.0
"""Millimetres a second of a plane's farthest point."""

_SHORTEST = 1e-9


def spline(
    key_poses: Sequence[Pose],
    hertz: float,
    seconds: float | None = None,
    speed: float | None = None,
) -> list[Pose]:
    """Poses at a steady rate along a smooth path through key poses, first and last included.

    Centre and logarithm of the fov follow a natural cubic spline, the rotation scipy's
    `RotationSpline`; both have continuous second derivatives. The time between two keys
    is in proportion to how far the plane moves, turns and zooms.

    Parameters
    ----------
    key_poses
        Two or more; equal neighbours count once.
    hertz
        Poses a second.
    seconds
        How long the whole flight takes.
    speed
        Instead: millimetres a second that the plane's edge moves on average; 40 if
        neither is given.

    Raises
    ------
    MrisslError
        If there are fewer than two different poses, or a number is not usable.
    """
    keys = [pose for n, pose in enumerate(key_poses) if not n or pose != key_poses[n - 1]]
    if len(keys) < 2:
        raise MrisslError("fewer than two different key poses", expected="two or more")
    if seconds is not None and speed is not None:
        raise MrisslError("both seconds and speed", expected="one of them")
    for name, value in (("hertz", hertz), ("seconds", seconds), ("speed", speed)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise MrisslError(f"{name} is {value}", expected="a number > 0")
    steps = np.array([_distance(a, b) for a, b in itertools.pairwise(keys)])
    steps = np.maximum(steps, _SHORTEST)
    whole = seconds if seconds is not None else float(steps.sum()) / (speed or DEFAULT_SPEED)
    frames = max(2, round(whole * hertz) + 1)
    if frames > 1_000_000:
        raise MrisslError(f"{frames} poses", expected="a shorter flight or a lower rate")
    knots = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    return _along(keys, knots, np.linspace(0.0, 1.0, frames))


def _along(keys: list[Pose], knots: NDArray[Any], at: NDArray[Any]) -> list[Pose]:
    from scipy.interpolate import CubicSpline
    from scipy.spatial.transform import Rotation, RotationSpline

    rows = np.array([[*pose.center, np.log(pose.fov)] for pose in keys])
    places = CubicSpline(knots, rows, bc_type="natural")(at)
    turns = Rotation.from_quat([np.roll(quaternion_from_matrix(p.rotation), -1) for p in keys])
    matrices = RotationSpline(knots, turns)(at).as_matrix()
    poses = [
        Pose(row[:3], matrix, float(np.exp(row[3])))
        for row, matrix in zip(places, matrices, strict=True)
    ]
    # The ends are the keys themselves, to the last bit.
    return [keys[0], *poses[1:-1], keys[-1]]


def _distance(start: Pose, end: Pose) -> float:
    """How far the farthest corner moves, in mm."""
    return float(np.linalg.norm(end.corners() - start.corners(), axis=1).max())
