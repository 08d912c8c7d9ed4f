"""From one pose to another in actions of the size that a network was trained on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from napari_mrissl.pretext.navigation.settings import FlightSettings
from napari_mrissl.slicing.policies import PolicySettings

_NARROWEST = 0.4
"""A scan's width along a normal, as a part of the largest field of view, where it is small."""

_ROUNDING = 1e-6


class Apart(NamedTuple):
    """How far one pose is from another.

    Attributes
    ----------
    mm
        Between the centres.
    degrees
        Of the rotation that leads from one to the other.
    zoom
        Field of view of the second over that of the first.
    """

    mm: float
    degrees: float
    zoom: float


def apart(first: Pose, second: Pose) -> Apart:
    """How far two poses are from each other."""
    turn = axis_angle_from_matrix(first.rotation.T @ second.rotation)
    return Apart(
        float(np.linalg.norm(second.center - first.center)),
        math.degrees(float(np.linalg.norm(turn))),
        second.fov / first.fov,
    )


def same_place(first: Pose, second: Pose) -> bool:
    """Whether two poses differ by rounding alone."""
    return bool(np.abs(relative_action(first, second)).max() < _ROUNDING)


def reach_of(settings: FlightSettings) -> NDArray[np.float64]:
    """The largest size (7,) of each number of an action that training flights have for sure.

    Along the normal it is the step of a scroll through all of a narrow scan, in the plane the
    longest one of a pan; turns about axes in the plane are those of rotations, about the
    normal twice a walk's spread. A zoom doubles within a flight. The ranges are inferred, as
    those of the policies are.
    """
    steps = max(1, settings.frames - 1)
    policy = PolicySettings()
    along = min(0.25, max(policy.pan_fov[1], _NARROWEST * policy.scroll_extents[1] / steps))
    turn = math.radians(policy.rotate_degrees[1])
    zoom = math.log(policy.zoom_factor[1]) / steps
    pan = policy.pan_fov[1]
    return np.array([pan, pan, along, turn, turn, 2 * policy.walk_spread[5], zoom])


def effort(start: Pose, end: Pose, reach: ArrayLike) -> float:
    """The way between two poses in full steps: its largest number over that number's reach."""
    return float((np.abs(relative_action(start, end)) / np.asarray(reach, np.float64)).max())


def between(start: Pose, end: Pose, part: float) -> Pose:
    """The pose a part of the way along: straight, about one axis, zooming evenly."""
    turn = axis_angle_from_matrix(start.rotation.T @ end.rotation)
    return Pose(
        start.center + part * (end.center - start.center),
        start.rotation @ matrix_from_axis_angle(part * turn),
        start.fov * (end.fov / start.fov) ** part,
    )


def next_pose(start: Pose, end: Pose, reach: ArrayLike) -> Pose:
    """The farthest pose on the way to another that one action within reach leads to."""
    whole = effort(start, end, reach)
    if whole <= 1:
        return end
    part = 1 / whole
    # The way is bent in the slice's own frame: the first guess may be a little too far.
    for _ in range(8):
        found = between(start, end, part)
        now = effort(start, found, reach)
        if now <= 1:
            return found
        part *= 0.999 / now
    return found


def within(action: ArrayLike, reach: ArrayLike) -> NDArray[np.float64]:
    """An action (7,), shortened as a whole until none of its numbers is beyond reach."""
    given = np.asarray(action, np.float64)
    return given / max(1.0, float((np.abs(given) / np.asarray(reach, np.float64)).max()))
