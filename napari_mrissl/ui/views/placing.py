"""Where the views' dock goes: wide, beside our other docks and not in their stack of tabs."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_mrissl.ui.docks import keep_session

_SHARE = 0.66
"""Of the width that dock and main canvas have together."""
_PLACED = "mrissl_placed"
"""Set on a panel for which a workspace or the session found a place."""


def give_room(panel: QWidget) -> None:
    """Once the panel is docked, split it off our other docks and make it wide."""
    _soon(panel, lambda: _place(panel))
    _soon(panel, lambda: keep_session(panel))


def _soon(panel: QWidget, what: Callable[[], None]) -> None:
    # A child, so that it ends with the panel.
    timer = QTimer(panel)
    timer.setSingleShot(True)
    timer.timeout.connect(what)
    timer.timeout.connect(timer.deleteLater)
    timer.start(0)


def _place(panel: QWidget) -> None:
    if panel.property(_PLACED):
        return
    dock, window = panel.parentWidget(), panel.window()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    area = window.dockWidgetArea(dock)
    sides = (Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea)
    if area not in sides:
        return
    above = [
        other
        for other in window.findChildren(QDockWidget)
        if other is not dock
        and not other.isFloating()
        and other.isVisible()
        and window.dockWidgetArea(other) == area
        and dock not in window.tabifiedDockWidgets(other)
        # Stacked over or under this one: both would be too low.
        and other.geometry().left() == dock.geometry().left()
    ]
    if above and area == Qt.DockWidgetArea.RightDockWidgetArea:
        window.splitDockWidget(dock, above[0], Qt.Orientation.Horizontal)
    # Widths are known once Qt has laid out what was split.
    _soon(panel, lambda: _widen(window, dock))


def _widen(window: QMainWindow, dock: QDockWidget) -> None:
    canvas = window.centralWidget()
    room = dock.width() + (canvas.width() if canvas is not None else 0)
    window.resizeDocks([dock], [round(_SHARE * room)], Qt.Orientation.Horizontal)
