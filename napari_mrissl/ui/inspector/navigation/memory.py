"""What a session keeps of the panel of slice navigation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose

if TYPE_CHECKING:
    from napari_mrissl.ui.inspector.navigation.panel import NavigationPanel


def state_of(panel: NavigationPanel) -> dict[str, Any]:
    """Tab, choices, compared token and goal, as plain data."""
    return {
        "tab": panel.tabs.currentIndex(),
        "also": panel.imagine_tab.also.currentText(),
        "ghost": panel.imagine_tab.ghost.isChecked(),
        "effort": panel.find_tab.effort.currentText(),
        "seed": panel.find_tab.seed.value(),
        "token": panel.look.state(),
        "goal": panel.goals.state(),
    }


def take_state(panel: NavigationPanel, state: dict[str, Any]) -> list[str]:
    """Take up what `state_of` gave; names of what is not usable."""
    wrong = []
    tab, ghost, seed = (state.get(name) for name in ("tab", "ghost", "seed"))
    if type(tab) is int and 0 <= tab < panel.tabs.count():
        panel.tabs.setCurrentIndex(tab)
    elif tab is not None:
        wrong.append("tab")
    for name, box in (("also", panel.imagine_tab.also), ("effort", panel.find_tab.effort)):
        word = state.get(name)
        if isinstance(word, str) and box.findText(word) >= 0:
            box.setCurrentText(word)
        elif word is not None:
            wrong.append(name)
    if isinstance(ghost, bool):
        panel.imagine_tab.ghost.setChecked(ghost)
    elif ghost is not None:
        wrong.append("ghost")
    if type(seed) is int and 0 <= seed <= panel.find_tab.seed.maximum():
        panel.find_tab.seed.setValue(seed)
    elif seed is not None:
        wrong.append("seed")
    if not panel.look.take_state(state.get("token")):
        wrong.append("token")
    if not panel.goals.take_state(state.get("goal")):
        wrong.append("goal")
    return wrong


def pose_of(row: object) -> Pose | None:
    """The pose of a row that a session kept, or None where it is none."""
    if not isinstance(row, list):
        return None
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in row):
        return None
    try:
        return Pose.from_row(row)
    except MrisslError:
        return None  # Said by the panel as not usable.
