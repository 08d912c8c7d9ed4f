"""Clicks in the main view that place the crop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_mrissl.ui.navigator.main_view import CLICK_PIXELS
from napari_mrissl.ui.navigator.units import world_of

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Picking(QObject):
    """Listens to clicks while it is on; drags still move the view.

    Attributes
    ----------
    picked : Signal(tuple)
        World RAS mm of a click.
    refused : Signal(str)
        Why a click places nothing.
    """

    picked = Signal(tuple)
    refused = Signal(str)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._on = False

    def set_on(self, wanted: bool) -> None:
        """Listen to clicks, or no longer."""
        callbacks = self._viewer.mouse_drag_callbacks
        if wanted and not self._on:
            callbacks.append(self._on_press)
        elif self._on and not wanted and self._on_press in callbacks:
            callbacks.remove(self._on_press)
        self._on = wanted

    def shut_down(self) -> None:
        """Leave the viewer as it was found."""
        self.set_on(False)

    def _on_press(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1 or event.modifiers or len(event.position) < 3:
            return
        pressed = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - pressed).max() > CLICK_PIXELS:
            return
        if len(event.dims_displayed) == 3:
            self.refused.emit("A click in 3D has no depth: switch to 2D to place the crop.")
            return
        x, y, z = (float(value) for value in world_of(viewer, event.position))
        self.picked.emit((x, y, z))
