"""Notices that the window around a panel goes: a canvas in it must end before Qt does."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

_watching: weakref.WeakSet[WindowWatch] = weakref.WeakSet()


@atexit.register
def _end_before_qt() -> None:
    """A script may end with its viewer open."""
    for watch in list(_watching):
        watch.end()


class WindowWatch(QObject):
    """Watches the outermost widget around a panel, without holding it.

    Parameters
    ----------
    panel
        Contains a canvas.
    ended
        A method that is called when the window goes, and before the program ends.
    """

    def __init__(self, panel: QWidget, ended: Callable[[], None]) -> None:
        super().__init__(panel)
        self._panel = weakref.ref(panel)
        self._ended = weakref.WeakMethod(ended)
        self._watched: Callable[[], QWidget | None] = _nothing
        self._left = False
        _watching.add(self)

    def look(self) -> None:
        """Watch whatever is outermost now."""
        panel = self._panel()
        top = None if self._left or panel is None else panel.parentWidget()
        while top is not None and top.parentWidget() is not None:
            top = top.parentWidget()
        watched = self._watched()
        if top is watched:
            return
        if watched is not None:
            watched.removeEventFilter(self)
        self._watched = _nothing if top is None else weakref.ref(top)
        if top is not None:
            top.installEventFilter(self)

    def leave(self) -> None:
        """Watch nothing any more."""
        self._left = True
        _watching.discard(self)
        self.look()

    def end(self) -> None:
        """Tell that the window goes."""
        ended = self._ended()
        if ended is not None:
            ended()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice that the dock enters a window, and that the window goes away."""
        kind = event.type()
        if kind == QEvent.Type.ParentChange:
            self.look()
        # A close that the user asked for may still be refused in a dialog.
        elif kind == QEvent.Type.DeferredDelete or (
            kind == QEvent.Type.Close and not event.spontaneous()
        ):
            self.end()
        return False


def _nothing() -> None:
    return None
