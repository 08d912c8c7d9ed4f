"""What a session keeps of the registration panel, as plain data, and taking it up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_mrissl.registration import RegistrationSettings

if TYPE_CHECKING:
    from napari_mrissl.ui.registration.widget import RegistrationPanel


def state_of(panel: RegistrationPanel) -> dict[str, Any]:
    """Chosen layers by name, settings and tab; no result, whose layers the session keeps."""
    names = {
        f"{side} {row}": choice.layer.name
        for (side, row), choice in panel.pair.choices.items()
        if choice.layer is not None
    }
    return {
        "layers": names,
        "settings": panel.settings_box.settings.model_dump(mode="json"),
        "tab": panel.tabs.currentIndex(),
    }


def take_state(panel: RegistrationPanel, state: dict[str, Any]) -> list[str]:
    """Show what `state_of` gave; names of what is not usable."""
    wrong = []
    layers = state.get("layers", {})
    if isinstance(layers, dict):
        for (side, row), choice in panel.pair.choices.items():
            name = layers.get(f"{side} {row}")
            if name is not None and not (isinstance(name, str) and choice.choose_name(name)):
                wrong.append(f"{side} {row}")
    else:
        wrong.append("layers")
    if "settings" in state:
        try:
            settings = RegistrationSettings.model_validate(state["settings"])
        except ValidationError:
            wrong.append("settings")
        else:
            panel.settings_box.show_settings(settings)
    tab = state.get("tab")
    if type(tab) is int and 0 <= tab < panel.tabs.count():
        panel.tabs.setCurrentIndex(tab)
    elif tab is not None:
        wrong.append("tab")
    return wrong
