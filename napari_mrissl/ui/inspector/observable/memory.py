"""What a session keeps of the panel of the observable tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mrissl.ui.inspector.observable.choice import Choice

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox

    from napari_mrissl.ui.inspector.observable.panel import ObservablePanel


def state_of(panel: ObservablePanel) -> dict[str, Any]:
    """Views, cell, tab and settings of the tabs, as plain data."""
    return {
        "choice": panel.choice.plain(),
        "tab": panel.tabs.currentIndex(),
        "slices": panel.slices_tab.count.value(),
        "camera": panel.matrix_tab.camera.isChecked(),
        **{name: box.currentIndex() for name, box in _boxes(panel).items()},
    }


def take_state(panel: ObservablePanel, state: dict[str, Any]) -> list[str]:
    """Take up what `state_of` gave; names of what is not usable."""
    wrong = []
    if state.get("choice") is not None:
        choice = Choice.from_plain(state["choice"])
        if choice is None:
            wrong.append("choice")
        else:
            panel.begin(choice)
    for name, box in _boxes(panel).items():
        number = state.get(name)
        if type(number) is int and 0 <= number < box.count():
            box.setCurrentIndex(number)
        elif number is not None:
            wrong.append(name)
    slices, camera, tab = (state.get(name) for name in ("slices", "camera", "tab"))
    count = panel.slices_tab.count
    if type(slices) is int and count.minimum() <= slices <= count.maximum():
        count.setValue(slices)
    elif slices is not None:
        wrong.append("slices")
    if type(camera) is bool:
        panel.matrix_tab.camera.setChecked(camera)
    elif camera is not None:
        wrong.append("camera")
    if type(tab) is int and 0 <= tab < panel.tabs.count():
        panel.tabs.setCurrentIndex(tab)
    elif tab is not None:
        wrong.append("tab")
    return wrong


def _boxes(panel: ObservablePanel) -> dict[str, QComboBox]:
    return {
        "channel": panel.matrix_tab.channel,
        "head": panel.matrix_tab.head,
        "axis": panel.slices_tab.axis,
        "source": panel.layout_tab.source,
    }
