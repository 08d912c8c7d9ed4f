"""What the session keeps of the click panel, and how it is taken up again.

The marks themselves are in their layers, which the session keeps, and while they are unsaved
in a journal, which may be a second newer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.segmentation.suggestions import Place
from napari_mrissl.ui.segmenter.mouse_tool import CLICK, ERASE, LOOK, SCRIBBLE

if TYPE_CHECKING:
    from napari_mrissl.ui.segmenter.panel import PromptSegmenter
    from napari_mrissl.ui.segmenter.session import ScanSession

_TOOLS = (LOOK, CLICK, SCRIBBLE, ERASE)


def remembered(panel: PromptSegmenter) -> dict[str, Any]:
    """Settings, tool, and the classes of each scan, by its layer's name."""
    controller = panel.controller
    return {
        "scan": controller.session.layer.name if controller.session is not None else None,
        "settings": controller.settings.model_dump(mode="json"),
        "settings_open": panel.settings_box.fold.isExpanded(),
        "live": controller.live,
        "next_place": _of_next_place(panel),
        "tool": panel.mouse_tool.tool,
        "scans": {one.layer.name: _of_scan(one) for one in controller.sessions},
    }


def take_up(panel: PromptSegmenter, kept: Any) -> str:
    """Set what is usable; one sentence if something was not. Unknown keys are ignored."""
    if not isinstance(kept, dict):
        return "What was kept of the click panel is unreadable."
    problem = _take_settings(panel, kept)
    scans = kept.get("scans")
    scans = scans if isinstance(scans, dict) else {}
    controller = panel.controller
    controller.expected_journals = {
        name: one["journal"]
        for name, one in scans.items()
        if isinstance(one, dict) and isinstance(one.get("journal"), str)
    }
    controller.take_up_layers()
    panel.scan_box.refresh()
    # Each is opened in turn, so that its marks are taken up; the one that was chosen last.
    for name in (*scans, kept.get("scan")):
        panel.scan_box.choose(name)
    for session in controller.sessions:
        _take_scan(session, scans.get(session.layer.name))
    controller.prompts_changed.emit()
    controller.class_chosen.emit(controller.session.current if controller.session else 0)
    _take_next_place(panel, kept.get("next_place"))
    if kept.get("tool") in _TOOLS and controller.session is not None:
        panel.mouse_tool.use(kept["tool"])
    return problem


def _of_scan(session: ScanSession) -> dict[str, Any]:
    return {
        "class": session.current,
        "hidden": sorted(session.hidden),
        "classes": [one.model_dump(mode="json") for one in session.state.classes],
        "journal": session.journal_name,
    }


def _of_next_place(panel: PromptSegmenter) -> dict[str, Any]:
    return {
        "open": panel.next_place_box.fold.isExpanded(),
        "always": panel.next_place.always,
        "skipped": [list(place) for place in panel.next_place.skipped],
    }


def _take_next_place(panel: PromptSegmenter, kept: Any) -> None:
    if not isinstance(kept, dict):
        return
    if isinstance(kept.get("open"), bool):
        fold = panel.next_place_box.fold
        (fold.expand if kept["open"] else fold.collapse)(animate=False)
    skipped = kept.get("skipped")
    places = [_place(one) for one in skipped] if isinstance(skipped, list) else []
    always = kept.get("always")
    panel.next_place.take_up(
        always if isinstance(always, bool) else None, [one for one in places if one is not None]
    )


def _place(kept: Any) -> Place | None:
    if not isinstance(kept, list) or len(kept) != 4 or not isinstance(kept[0], str):
        return None
    numbers = [n for n in kept[1:] if isinstance(n, int | float) and math.isfinite(n)]
    return Place(kept[0], *numbers) if len(numbers) == 3 else None


def _take_settings(panel: PromptSegmenter, kept: dict[str, Any]) -> str:
    problem = ""
    if "settings" in kept:
        try:
            settings = SegmentSettings.model_validate(kept["settings"])
            panel.settings_box.show_settings(settings)
            panel.controller.take_settings(settings)
        except ValidationError:
            problem = "The kept settings are of another version; these are the usual ones."
    if isinstance(kept.get("settings_open"), bool):
        fold = panel.settings_box.fold
        (fold.expand if kept["settings_open"] else fold.collapse)(animate=False)
    if isinstance(kept.get("live"), bool):
        # Not through the box: switched on by hand it segments at once, features and all.
        panel.controller.live = kept["live"]
        panel.run_box.show_live(kept["live"])
    return problem


def _take_scan(session: ScanSession, kept: Any) -> None:
    if not isinstance(kept, dict):
        return
    session.take_classes(kept.get("classes"))
    labels = {one.label for one in session.state.classes}
    hidden = kept.get("hidden")
    if isinstance(hidden, list):
        session.hidden = {label for label in hidden if label in labels}
        session.results.recolor(session.state.classes, session.hidden)
    if kept.get("class") in labels:
        session.use_class(kept["class"])
