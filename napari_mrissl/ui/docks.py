"""Our docks share one place: side by side or stacked, both would be too small to use."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

_OURS = "mrissl_panel"


def tab_with_others(panel: QWidget) -> None:
    """Put a panel's dock into one stack of tabs with our other docks, once it is shown."""
    panel.setProperty(_OURS, True)
    # A child, so that it ends with the panel.
    timer = QTimer(panel)
    timer.setSingleShot(True)
    timer.timeout.connect(lambda: _join(panel))
    timer.timeout.connect(timer.deleteLater)
    timer.start(0)


def _join(panel: QWidget) -> None:
    dock, window = _dock_of(panel), panel.window()
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        is_ours = any(child.property(_OURS) for child in other.findChildren(QWidget))
        if other is dock or not is_ours or other.isFloating() or other.isHidden():
            continue
        if window.dockWidgetArea(other) == area and dock not in window.tabifiedDockWidgets(other):
            window.tabifyDockWidget(other, dock)
            dock.raise_()


def _dock_of(widget: QWidget | None) -> QDockWidget | None:
    while widget is not None and not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget
