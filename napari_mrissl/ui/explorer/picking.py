"""The explorer's tool: clicks in the main view in 2D and on the navigator's slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.clicks import MainViewClicks, was_click
from napari_mrissl.ui.navigator.gestures import point_at
from napari_mrissl.ui.segmenter.slice_link import find_navigator

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_mrissl.ui.navigator import SliceNavigator

# How often to look whether a navigator was opened or closed: napari does not say.
_LOOK_MS = 500
_CURSOR, _PLAIN = "crosshair", "standard"
_IN_3D = "A click in 3D has no depth: switch to 2D, or click on the navigator's slice."


class Picking(MainViewClicks):
    """Listens to clicks while it is on, which the cross-hair cursor shows; drags still navigate.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    panel
        A widget of the window in which a navigator may be docked.
    """

    def __init__(self, viewer: ViewerModel, panel: QWidget) -> None:
        super().__init__(viewer, _IN_3D, panel)
        self._panel = panel
        self._navigator: SliceNavigator | None = None
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._find)

    def set_on(self, wanted: bool) -> None:
        """Listen to clicks, or no longer."""
        if wanted == self.on:
            return
        super().set_on(wanted)
        if wanted:
            self._viewer.cursor.events.style.connect(self._keep_cursor)
            self._look.start()
            self._find()
        else:
            self._viewer.cursor.events.style.disconnect(self._keep_cursor)
            self._look.stop()
            self._leave()
        self._viewer.cursor.style = _CURSOR if wanted else _PLAIN

    def _keep_cursor(self, _: Any = None) -> None:
        """Another active layer brings its own cursor; the tool is still on."""
        if self.on and str(self._viewer.cursor.style) != _CURSOR:
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

    def _on_slice_press(self, viewer: Any, event: Any) -> Iterator[None]:
        navigator = self._navigator
        if navigator is None or event.button != 1 or event.modifiers or navigator.volume is None:
            return
        clicked, place = was_click(event), tuple(event.position[-2:])
        yield
        while event.type == "mouse_move":
            yield
        if clicked():
            self.emit_place(point_at(navigator.pose, place))
