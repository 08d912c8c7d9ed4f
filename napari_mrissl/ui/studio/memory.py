"""What a session keeps of the studio, and taking it up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.ui.studio.sample import STAGES
from napari_mrissl.ui.studio.sample_bar import SIDES

if TYPE_CHECKING:
    from napari_mrissl.ui.studio.widget import DataEngineStudio

_LARGEST = 2**31 - 1


def state_of(studio: DataEngineStudio) -> dict[str, Any]:
    """Plain data."""
    bar, source = studio.sample_bar, studio.sampler.source
    return {
        "settings": studio.settings.model_dump(mode="json"),
        "seed": bar.seed.value(),
        "index": bar.index.value(),
        "side": bar.side.currentData(),
        "stage": studio.stage_bar.stage,
        "planes": bar.planes.currentIndex(),
        "overlay": bar.overlay.isChecked(),
        "source": source.kind,
        "folder": str(source.folder) if source.folder is not None else None,
    }


def take_state(studio: DataEngineStudio, state: object) -> list[str]:
    """Take up what `state_of` gave; names of what is not usable."""
    if not isinstance(state, dict):
        return ["state"]
    return [name for name in _TAKEN if name in state and not _take(studio, name, state)]


def _take(studio: DataEngineStudio, name: str, state: dict[str, Any]) -> bool:
    """Take up one value; False if it is not usable."""
    value, bar = state[name], studio.sample_bar
    if name == "settings":
        try:
            studio.use_settings(EngineSettings.model_validate(value))
        except ValidationError:
            return False
    elif name in ("seed", "index"):
        if type(value) is not int or not 0 <= value <= _LARGEST:
            return False
        (bar.seed if name == "seed" else bar.index).setValue(value)
    elif name == "side":
        if value not in SIDES:
            return False
        bar.side.setCurrentIndex(SIDES.index(value))
    elif name == "stage":
        if value not in STAGES:
            return False
        studio.stage_bar.choose(value)
    elif name == "planes":
        if type(value) is not int or not 0 <= value < bar.planes.count():
            return False
        bar.planes.setCurrentIndex(value)
    elif name == "overlay":
        if type(value) is not bool:
            return False
        bar.overlay.setChecked(value)
    else:
        return _take_source(studio, value, state.get("folder"))
    return True


def _take_source(studio: DataEngineStudio, kind: object, folder: object) -> bool:
    if kind == "folder":
        if not isinstance(folder, str) or not folder or "\0" in folder:
            return False
        studio.use_folder(folder)
    elif kind == "layers":
        # Layers come back before docks do; without them it is said.
        studio.use_layers()
    elif kind != "procedural":
        return False
    return True


_TAKEN = ("settings", "seed", "index", "side", "stage", "planes", "overlay", "source")
