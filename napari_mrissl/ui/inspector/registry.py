"""Which panel inspects which method; a later method joins by one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.inspector.method_panel import MethodPanel

PANELS: Mapping[str, str] = {
    "coordinates": "napari_mrissl.ui.inspector.coordinates.panel:CoordinatesPanel",
    "diffusion": "napari_mrissl.ui.inspector.diffusion.panel:DiffusionPanel",
    "vectorpose": "napari_mrissl.ui.inspector.vectorpose.panel:VectorPosePanel",
    "dynamics": "napari_mrissl.ui.inspector.navigation.panel:NavigationPanel",
    "observable": "napari_mrissl.ui.inspector.observable.panel:ObservablePanel",
    "tokenizer": "napari_mrissl.ui.inspector.navigation.panel:NavigationPanel",
}
"""By the task's name: module and class, imported when a run of the method is opened."""


def panel_class(method: str) -> type[MethodPanel]:
    """The panel of a method.

    Raises
    ------
    MrisslError
        If there is none.
    """
    if method not in PANELS:
        raise MrisslError(
            f"no panel inspects the method {method!r}",
            expected="a run of " + " or ".join(PANELS),
        )
    module, _, name = PANELS[method].partition(":")
    found: type[MethodPanel] = getattr(import_module(module), name)
    return found
