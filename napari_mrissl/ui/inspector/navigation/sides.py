"""From which side the network sees a slice, and from which the navigator does.

Networks learn slices as a neurological reader sees them. In radiological convention the
network is given the same plane from its other side, and its pictures are mirrored for the
reader: so left stays where the navigator has it, and no slice is mirrored for the network.
"""

from __future__ import annotations

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.navigator.anatomy import mirrored
from napari_mrissl.ui.navigator.state import NavigatorState


def is_flipped(state: NavigatorState) -> bool:
    """Whether the navigator looks from the other side than the network."""
    return state.convention == "radiological"


def other_side(state: NavigatorState, pose: Pose) -> Pose:
    """The navigator's pose as the network has it, and the network's as the navigator has it."""
    return mirrored(pose) if is_flipped(state) else pose
