"""Clicks into the main view in 2D as places in RAS mm; drags still move the view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_mrissl.ui.navigator.main_view import CLICK_PIXELS
from napari_mrissl.ui.navigator.units import world_of

if TYPE_CHECKING:
    from napari.components import ViewerModel


class MainViewClicks(QObject):
    """Listens to clicks while it is on.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    in_3d
        What is said of a click in 3D, which has no depth.

    Attributes
    ----------
    picked : Signal(tuple)
        World RAS mm of a click.
    refused : Signal(str)
        Why a click counts for nothing.
    """

    picked = Signal(tuple)
    refused = Signal(str)

    def __init__(self, viewer: ViewerModel, in_3d: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._in_3d = in_3d
        self._on = False

    @property
    def on(self) -> bool:
        """Whether clicks count."""
        return self._on

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

    def emit_place(self, world: Any) -> None:
        """Tell of a click at a place (3,) in RAS mm."""
        x, y, z = (float(value) for value in world)
        self.picked.emit((x, y, z))

    def _on_press(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1 or event.modifiers or len(event.position) < 3:
            return
        clicked = was_click(event)
        yield
        while event.type == "mouse_move":
            yield
        if not clicked():
            return
        if len(event.dims_displayed) == 3:
            self.refused.emit(self._in_3d)
            return
        self.emit_place(world_of(viewer, event.position))


def was_click(event: Any) -> Any:
    """A function that says, of the press that is going on, whether the mouse stayed in place."""
    pressed = np.array(event.pos)
    return lambda: bool(np.abs(np.array(event.pos) - pressed).max() <= CLICK_PIXELS)
