"""What a session keeps of the explorer, as plain data, and taking it up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mrissl.ui.explorer.explored import Place

if TYPE_CHECKING:
    from napari_mrissl.ui.explorer.widget import FeatureExplorer

_FARTHEST = 1e6


def state_of(panel: FeatureExplorer) -> dict[str, Any]:
    """Scans, features, click and tabs; no features, which are in the cache."""
    place = panel.exploration.place
    return {
        "scans": [layer.name for layer in panel.scans.ticked],
        "source": panel.scans.choice.key,
        "tap": panel.scans.chosen_tap,
        "comparison": panel.scans.chosen_comparison,
        "truth": panel.match_tab.truth.isChecked(),
        "click": None if place is None else [place.scan, *place.world],
        "tab": panel.tabs.currentIndex(),
        "channel": panel.colour_tab.slider.value(),
        "meter": panel.meter_tab.state(),
    }


def take_up(panel: FeatureExplorer, state: dict[str, Any]) -> list[str]:
    """Show what `state_of` gave; names of what is not usable."""
    wrong = _take_choices(panel, state)
    tab, place = state.get("tab"), _place(state.get("click"))
    if type(tab) is int and 0 <= tab < panel.tabs.count():
        panel.tabs.setCurrentIndex(tab)
    elif tab is not None:
        wrong.append("tab")
    if place is not None:
        panel.exploration.history.change(place)
    elif state.get("click") is not None:
        wrong.append("click")
    panel.match_tab.truth.setChecked(state.get("truth") is True)
    channel = state.get("channel")
    if type(channel) is int and channel >= 0:
        panel.colour_tab.set_channel(channel)
    elif channel is not None:
        wrong.append("channel")
    if "meter" in state and not panel.meter_tab.take_state(state["meter"]):
        wrong.append("meter")
    return wrong


def _take_choices(panel: FeatureExplorer, state: dict[str, Any]) -> list[str]:
    wrong = []
    scans, names, source = panel.scans, state.get("scans"), state.get("source")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        wrong += ["scan"] if scans.choose_scans(names) else []
    elif names is not None:
        wrong.append("scans")
    known = isinstance(source, str) and "\0" not in source and scans.choose_source(source)
    if source is not None and not known:
        wrong.append("source")
    comparison, tap = state.get("comparison"), state.get("tap")
    if comparison is not None and not (
        isinstance(comparison, str) and scans.choose_comparison(comparison)
    ):
        wrong.append("comparison")
    if tap is not None and not (type(tap) is int and scans.choose_tap(tap)):
        wrong.append("tap")
    return wrong


def _place(plain: object) -> Place | None:
    if not isinstance(plain, list) or len(plain) != 4 or not isinstance(plain[0], str):
        return None
    numbers = plain[1:]
    if not all(isinstance(n, int | float) and abs(n) < _FARTHEST for n in numbers):
        return None
    return Place(plain[0], (float(numbers[0]), float(numbers[1]), float(numbers[2])))
