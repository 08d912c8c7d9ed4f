"""What the session keeps of a slice navigator, and how it is taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.ui.navigator.anatomy import CONVENTIONS, PLANES

if TYPE_CHECKING:
    from napari_mrissl.ui.navigator.widget import SliceNavigator

_INTERPOLATIONS = ("linear", "nearest")


def remembered(navigator: SliceNavigator) -> dict[str, Any]:
    """Scan by its layer's name, pose, and how the slice is shown, as JSON has it."""
    state, layer = navigator.state, navigator.source.layer
    return {
        "scan": layer.name if layer is not None else None,
        "pose": state.pose.to_row().tolist() if state.volume is not None else None,
        "plane": state.plane,
        "convention": state.convention,
        "interpolation": state.interpolation,
        "plane_shown": navigator.pose_panel.show_plane.isChecked(),
        "linked": navigator.pose_panel.follow.isChecked(),
        "position_open": navigator.position_box.isExpanded(),
        "flight_open": navigator.flight_box.isExpanded(),
    }


def take_up(navigator: SliceNavigator, kept: Any) -> str:
    """Set what is usable; one sentence if something was not. Unknown keys are ignored."""
    if not isinstance(kept, dict):
        return "What was kept of the navigator is unreadable."
    state, panel = navigator.state, navigator.pose_panel
    listed = navigator.source.findText(str(kept.get("scan")), Qt.MatchFlag.MatchExactly)
    if listed >= 0:
        navigator.source.setCurrentIndex(listed)
    if kept.get("convention") in CONVENTIONS:
        state.set_convention(kept["convention"])
    if kept.get("plane") in PLANES:
        state.go_to_plane(kept["plane"])
    if kept.get("interpolation") in _INTERPOLATIONS:
        state.interpolation = kept["interpolation"]
    for key, box in (("plane_shown", panel.show_plane), ("linked", panel.follow)):
        if isinstance(kept.get(key), bool):
            box.setChecked(kept[key])
    for key, box in (
        ("position_open", navigator.position_box),
        ("flight_open", navigator.flight_box),
    ):
        if isinstance(kept.get(key), bool):
            (box.expand if kept[key] else box.collapse)(animate=False)
    if kept.get("pose") is not None and state.volume is not None:
        try:
            state.set_pose(Pose.from_row(kept["pose"]))
        except (MrisslError, TypeError, ValueError):
            return "The kept place of the slice is unreadable; it starts in the middle."
    return ""
