"""Affines, orientations, plane poses and actions; numpy only, world = RAS+ mm."""

from napari_mrissl.geometry.actions import (
    ACTION_NAMES,
    apply_action,
    chained,
    invert_action,
    relative_action,
)
from napari_mrissl.geometry.affines import (
    apply_affine,
    axis_codes,
    is_oblique,
    lps_to_ras,
    spacing,
)
from napari_mrissl.geometry.letters import LETTERS, letters
from napari_mrissl.geometry.orientation import Reorientation
from napari_mrissl.geometry.pose import POSE_COLUMNS, Pose
from napari_mrissl.geometry.poses import Poses

__all__ = [
    "ACTION_NAMES",
    "LETTERS",
    "POSE_COLUMNS",
    "Pose",
    "Poses",
    "Reorientation",
    "apply_action",
    "apply_affine",
    "axis_codes",
    "chained",
    "invert_action",
    "is_oblique",
    "letters",
    "lps_to_ras",
    "relative_action",
    "spacing",
]
