"""From mouse movements on the slice to actions; plain arithmetic, no Qt.

Positions are millimetres (row, column) from the middle of the slice, rows downwards,
as the slice viewer's world has them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose

ZOOM_PER_NOTCH = 1.12
FAST_NOTCHES = 5
"""Wheel notches that one notch with Shift is worth."""


def pan(pose: Pose, start: ArrayLike, end: ArrayLike) -> NDArray[np.float64]:
    """The action (7,) of a drag: what is under the mouse stays under it."""
    rows, columns = (np.asarray(end, float) - np.asarray(start, float)) / pose.fov
    return np.array([-columns, rows, 0, 0, 0, 0, 0], np.float64)


def tilt(pose: Pose, start: ArrayLike, end: ArrayLike) -> NDArray[np.float64]:
    """The action (7,) of a Shift-drag: a drag over the whole slice turns it by 180 degrees.

    Sideways turns about the slice's up axis, up and down about its right axis.
    """
    rows, columns = np.pi * (np.asarray(end, float) - np.asarray(start, float)) / pose.fov
    return np.array([0, 0, 0, rows, columns, 0, 0], np.float64)


def spin(start: ArrayLike, end: ArrayLike) -> NDArray[np.float64]:
    """The action (7,) of a Ctrl-drag: the picture follows the mouse around the middle."""
    (row0, column0), (row1, column1) = np.asarray(start, float), np.asarray(end, float)
    angle = np.arctan2(-row1, column1) - np.arctan2(-row0, column0)
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    return np.array([0, 0, 0, 0, 0, -angle, 0], np.float64)


def through(pose: Pose, notches: float, step: float) -> NDArray[np.float64]:
    """The action (7,) of wheel notches: along the normal by ``step`` mm each."""
    return np.array([0, 0, notches * step / pose.fov, 0, 0, 0, 0], np.float64)


def zoom(notches: float) -> NDArray[np.float64]:
    """The action (7,) of Ctrl-wheel notches: forwards comes closer."""
    return np.array([0, 0, 0, 0, 0, 0, -notches * np.log(ZOOM_PER_NOTCH)], np.float64)


def point_at(pose: Pose, position: ArrayLike) -> NDArray[np.float64]:
    """World mm (3,) of a position on the slice."""
    row, column = np.asarray(position, float)
    return pose.center + column * pose.right - row * pose.up
