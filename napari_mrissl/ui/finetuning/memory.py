"""What a session keeps of the dock, and taking it up again; layers are kept by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_mrissl.segmentation.finetuning import FinetuneSettings
from napari_mrissl.segmentation.finetuning.task_settings import LabelClass
from napari_mrissl.ui.finetuning.choices import USES
from napari_mrissl.ui.finetuning.corrections import Corrections

if TYPE_CHECKING:
    from napari_mrissl.ui.finetuning.widget import Finetuning

_MOST = 1000


def state_of(panel: Finetuning) -> dict[str, Any]:
    """Plain data; scans and label layers by the names of their layers."""
    choices, results = panel.scene.choices, panel.scene.results
    scans = {}
    for one in panel.scene.scans[:_MOST]:
        chosen, held = choices.map_of(one), results.corrections.get(one.layer)
        scans[one.layer.name] = {
            "use": choices.chosen_use(one.layer),
            "map": chosen.layer.name if chosen is not None else None,
            "corrections": held.packed() if held is not None else None,
        }
    return {
        "settings": panel.start_box.settings.model_dump(mode="json"),
        "scans": scans,
        "classes": [one.model_dump(mode="json") for one in choices.classes.values()],
        "hidden": sorted(choices.hidden),
        "zero": panel.scene.zero_is_nothing,
        "by_itself": panel.results_box.by_itself.isChecked(),
        "model": str(results.model.folder) if results.model is not None else None,
        "run": str(panel.follower.folder) if panel.follower.folder is not None else None,
        "tab": panel.tabs.currentIndex(),
    }


def take_state(panel: Finetuning, state: object) -> list[str]:
    """Take up what `state_of` gave; names of what is not usable."""
    if not isinstance(state, dict):
        return ["state"]
    wrong = []
    try:
        panel.start_box.show_settings(FinetuneSettings.model_validate(state.get("settings", {})))
    except ValidationError:
        wrong.append("settings")
    try:
        classes = [LabelClass.model_validate(one) for one in state.get("classes", ())]
        panel.scene.choices.classes |= {one.label: one for one in classes}
    except (ValidationError, TypeError):
        wrong.append("classes")
    hidden = state.get("hidden", [])
    if isinstance(hidden, list) and all(type(one) is int for one in hidden):
        panel.scene.choices.hidden = set(hidden)
    else:
        wrong.append("hidden classes")
    zero, by_itself = state.get("zero", False), state.get("by_itself", True)
    if isinstance(zero, bool) and isinstance(by_itself, bool):
        panel.scene.zero_is_nothing = zero
        panel.results_box.by_itself.setChecked(by_itself)
    else:
        wrong.append("switches")
    wrong += _take_scans(panel, state.get("scans", {}))
    for key, take in (("model", panel.take_up_model), ("run", panel.open_run)):
        folder = state.get(key)
        if folder is None:
            continue
        if not isinstance(folder, str) or "\0" in folder or not Path(folder).is_dir():
            wrong.append(key)
        else:
            take(folder)
    tab = state.get("tab", 0)
    if type(tab) is int and 0 <= tab < panel.tabs.count():
        panel.tabs.setCurrentIndex(tab)
    else:
        wrong.append("tab")
    return wrong


def _take_scans(panel: Finetuning, kept: object) -> list[str]:
    if not isinstance(kept, dict):
        return ["scans"]
    layers = {layer.name: layer for layer in panel.viewer.layers}
    wrong = []
    for name, one in kept.items():
        layer = layers.get(name)
        if layer is None:
            continue  # The session itself says which scans are gone.
        if not isinstance(one, dict) or one.get("use") not in (None, *USES):
            wrong.append(str(name)[:80])
            continue
        if one.get("use") is not None:
            panel.scene.choices.set_use(layer, one["use"])
        if one.get("map") in layers:
            panel.scene.choices.set_map(layer, layers[one["map"]])
        held = Corrections.unpacked(one.get("corrections"))
        if held is not None and len(held):
            panel.scene.results.corrections[layer] = held
        elif one.get("corrections") is not None and held is None:
            wrong.append(f"corrections of {str(name)[:80]}")
    return wrong
