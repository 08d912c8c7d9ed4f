"""What a session keeps of the panel, and taking it up again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.ui.pretraining.data_box import Sources
from napari_mrissl.ui.pretraining.draft import KINDS, usable

if TYPE_CHECKING:
    from napari_mrissl.ui.pretraining.widget import Pretraining

_MOST_PATHS = 1000


def state_of(panel: Pretraining) -> dict[str, Any]:
    """Plain data."""
    draft, sources = panel.form.draft, panel.data_box.sources
    followed = panel.follower.folder
    return {
        "preset": draft.preset,
        "settings": draft.settings.model_dump(mode="json"),
        "paths": list(sources.paths)[:_MOST_PATHS],
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
    if "paths" in state:
        paths = state["paths"]
        if isinstance(paths, list) and all(map(_is_path, paths)):
            kind = panel.form.draft.kind
            panel.data_box.show_sources(Sources(kind if kind in KINDS else KINDS[0], tuple(paths)))
        else:
            wrong.append("paths")
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
