"""Anatomical planes, orientation letters and the two ways to look at a patient."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose
from napari_mrissl.geometry import letters as letters

Plane = Literal["axial", "coronal", "sagittal"]
Convention = Literal["neurological", "radiological"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
CONVENTIONS: tuple[Convention, ...] = ("neurological", "radiological")

_R, _A, _S = np.eye(3)
# Image right and up of each plane as a neurological reader sees it.
_NEUROLOGICAL = {"axial": (_R, _A), "coronal": (_R, _S), "sagittal": (_A, _S)}


def plane_rotation(plane: Plane, convention: Convention) -> NDArray[np.float64]:
    """Rotation (3, 3) with columns right, up, normal of an anatomical plane.

    Neurological: the patient's right (in sagittal planes: anterior) is on the image's
    right; radiological: on its left.
    """
    right, up = _NEUROLOGICAL[plane]
    if convention == "radiological":
        right = -right
    return np.stack([right, up, np.cross(right, up)], axis=1)


def mirrored(pose: Pose) -> Pose:
    """The same plane seen from its other side: left and right change places."""
    return Pose(pose.center, pose.rotation * np.array([-1.0, 1.0, -1.0]), pose.fov)


STATEMENTS = {
    "neurological": "Neurological: R is right",
    "radiological": "Radiological: R is left",
    "from right": "Seen from the right",
    "from left": "Seen from the left",
    "upright": "R is up or down",
}


def stated_convention(pose: Pose) -> str:
    """For the reader: on which side of the image the patient's right is."""
    if abs(pose.right[0]) >= 0.2:
        return STATEMENTS["neurological" if pose.right[0] > 0 else "radiological"]
    if abs(pose.normal[0]) >= 0.2:
        return STATEMENTS["from right" if pose.normal[0] > 0 else "from left"]
    return STATEMENTS["upright"]


def tilt_angles(pose: Pose, base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees (3,) about right, then up, then normal that lead from ``base`` to a pose.

    ``base`` (3, 3) is a rotation such as `plane_rotation` gives; tilt and spin lie in
    (-180, 180], turn in [-90, 90].
    """
    turned = base.T @ pose.rotation
    turn = np.arcsin(np.clip(turned[0, 2], -1, 1))
    if abs(turned[0, 2]) > 1 - 1e-9:
        # Tilt and spin share an axis here; give all of it to the spin.
        return np.degrees([0.0, turn, np.arctan2(turned[1, 0], turned[1, 1])])
    tilt = np.arctan2(-turned[1, 2], turned[2, 2])
    spin = np.arctan2(-turned[0, 1], turned[0, 0])
    return np.degrees([tilt, turn, spin])


def rotation_of_tilts(degrees: ArrayLike, base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) of three angles as `tilt_angles` gives them."""
    tilt, turn, spin = np.radians(np.asarray(degrees, np.float64))
    about_right = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    about_up = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    about_normal = np.array(
        [[np.cos(spin), -np.sin(spin), 0], [np.sin(spin), np.cos(spin), 0], [0, 0, 1]]
    )
    return base @ about_right @ about_up @ about_normal
