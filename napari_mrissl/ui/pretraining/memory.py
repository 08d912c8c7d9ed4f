"""What a session keeps of the panel, and taking it up again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.ui.pretraining.data_box import Sources
from napari_mrissl.ui.pretraining.draft import usable

if TYPE_CHECKING:
    from napari_mrissl.ui.pretraining.widget import Pretraining

_MOST_PATHS = 1000


def state_of(panel: Pretraining) -> dict[str, Any]:
    """Plain data."""
    draft = panel.form.draft
    followed = panel.follower.folder
    return {
        "preset": draft.preset,
        "settings": draft.settings.model_dump(mode="json"),
        "paths": list(panel.data_box.paths)[:_MOST_PATHS],
        "label_maps": panel.data_box.label_maps,
        "initial": panel.start_box.initial.text(),
        "folder": str(followed) if followed is not None else None,
        "tab": panel.tabs.currentIndex(),
    }


def take_state(panel: Pretraining, state: object) -> list[str]:
    """Take up what `state_of` gave; names of what is not usable."""
    if not isinstance(state, dict):
        return ["state"]
    wrong = []
    if "settings" in state:
        draft = usable(state.get("preset"), state["settings"], panel.form.tasks)
        if draft is None:
            wrong.append("settings")
        else:
            panel.form.use(draft)
    paths, label_maps = state.get("paths", []), state.get("label_maps", "")
    if isinstance(paths, list) and all(map(_is_path, paths)) and _is_path(label_maps or "-"):
        sources = Sources(panel.form.draft.kind, tuple(paths), label_maps or "")
        panel.data_box.show_sources(sources)
    else:
        wrong.append("paths")
    initial = state.get("initial") or ""
    if initial == "" or _is_path(initial):
        panel.start_box.initial.setText(initial)
    else:
        wrong.append("initial")
    folder = state.get("folder")
    if folder is not None:
        if not _is_path(folder):
            wrong.append("folder")
        elif Path(folder).is_dir():
            panel.open_run(folder)
        else:
            wrong.append(f"run {Path(folder).name}")
    tab = state.get("tab", 0)
    if type(tab) is int and 0 <= tab < panel.tabs.count():
        panel.tabs.setCurrentIndex(tab)
    else:
        wrong.append("tab")
    return wrong


def _is_path(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value
