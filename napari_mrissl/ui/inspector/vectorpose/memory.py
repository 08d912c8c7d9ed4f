"""What a session keeps of the VectorPOSE panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mrissl.pretext.vectorpose.views import DIRECTIONS
from napari_mrissl.ui.inspector.vectorpose.choice import CropChoice

if TYPE_CHECKING:
    from napari_mrissl.ui.inspector.vectorpose.panel import VectorPosePanel


def state_of(panel: VectorPosePanel) -> dict[str, Any]:
    """Crop, tab and settings of the tabs, as plain data."""
    crop = panel.chosen.present
    return {
        "crop": None if crop is None else crop.plain(),
        "tab": panel.tabs.currentIndex(),
        "direction": panel.position_tab.chosen,
        "count": panel.control_tab.count.value(),
    }


def take_state(panel: VectorPosePanel, state: dict[str, Any]) -> list[str]:
    """Take up what `state_of` gave; names of what is not usable."""
    wrong = []
    if state.get("crop") is not None:
        choice = CropChoice.from_plain(state["crop"])
        if choice is None:
            wrong.append("crop")
        else:
            panel.chosen.begin(choice)
    tab, direction, count = (state.get(name) for name in ("tab", "direction", "count"))
    if type(tab) is int and 0 <= tab < panel.tabs.count():
        panel.tabs.setCurrentIndex(tab)
    elif tab is not None:
        wrong.append("tab")
    if direction in DIRECTIONS:
        panel.position_tab.direction.setCurrentIndex(DIRECTIONS.index(direction))
    elif direction is not None:
        wrong.append("direction")
    if type(count) is int and 1 <= count <= panel.control_tab.count.maximum():
        panel.control_tab.count.setValue(count)
    elif count is not None:
        wrong.append("count")
    return wrong
