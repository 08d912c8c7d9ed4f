"""The explorer's tool: clicks in the main view in 2D and on the navigator's slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.navigator.gestures import point_at
from napari_mrissl.ui.navigator.main_view import CLICK_PIXELS
from napari_mrissl.ui.navigator.units import world_of
from napari_mrissl.ui.segmenter.slice_link import find_navigator

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_mrissl.ui.navigator import SliceNavigator

# How often to look whether a navigator was opened or closed: napari does not say.
_LOOK_MS = 500
_CURSOR, _PLAIN = "crosshair", "standard"


class Picking(QObject):
    """Listens to clicks while it is on, which the cross-hair cursor shows; drags still navigate.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    panel
        A widget of the window in which a navigator may be docked.

    Attributes
    ----------
    picked : Signal(tuple)
        World RAS mm of a click.
    refused : Signal(str)
        Why a click asks for nothing.
    """

    picked = Signal(tuple)
    refused = Signal(str)

    def __init__(self, viewer: ViewerModel, panel: QWidget) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._panel = panel
        self._navigator: SliceNavigator | None = None
        self._on = False
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._find)

    @property
    def on(self) -> bool:
        """Whether clicks count."""
        return self._on

    def set_on(self, wanted: bool) -> None:
        """Listen to clicks, or no longer."""
        if wanted == self._on:
            return
        self._on = wanted
        callbacks = self._viewer.mouse_drag_callbacks
        if wanted:
            callbacks.append(self._on_press)
            self._viewer.cursor.events.style.connect(self._keep_cursor)
            self._look.start()
            self._find()
        else:
            self._viewer.cursor.events.style.disconnect(self._keep_cursor)
            if self._on_press in callbacks:
                callbacks.remove(self._on_press)
            self._look.stop()
            self._leave()
        self._viewer.cursor.style = _CURSOR if wanted else _PLAIN

    def shut_down(self) -> None:
        """Leave the viewers as they were found."""
        self.set_on(False)

    def _keep_cursor(self, _: Any = None) -> None:
        """Another active layer brings its own cursor; the tool is still on."""
        if self._on and str(self._viewer.cursor.style) != _CURSOR:
            self._viewer.cursor.style = _CURSOR

    def _find(self) -> None:
        found = find_navigator(self._panel)
        if found is self._navigator:
            return
        self._leave()
        self._navigator = found
        if found is not None:
            found.slice_viewer.mouse_drag_callbacks.append(self._on_slice_press)

    def _leave(self) -> None:
        navigator, self._navigator = self._navigator, None
        if navigator is None or navigator.closed:
            return
        callbacks = navigator.slice_viewer.mouse_drag_callbacks
        if self._on_slice_press in callbacks:
            callbacks.remove(self._on_slice_press)

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
            self.refused.emit(
                "A click in 3D has no depth: switch to 2D, or click on the navigator's slice."
            )
            return
        self._emit(world_of(viewer, event.position))

    def _on_slice_press(self, viewer: Any, event: Any) -> Iterator[None]:
        navigator = self._navigator
        if navigator is None or event.button != 1 or event.modifiers or navigator.volume is None:
            return
        pressed, place = np.array(event.pos), tuple(event.position[-2:])
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - pressed).max() <= CLICK_PIXELS:
            self._emit(point_at(navigator.pose, place))

    def _emit(self, world: Any) -> None:
        x, y, z = (float(value) for value in world)
        self.picked.emit((x, y, z))
