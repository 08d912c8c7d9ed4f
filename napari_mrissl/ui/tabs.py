"""Pages behind tabs, alike in all docks."""

from __future__ import annotations

from qtpy.QtWidgets import QTabWidget, QWidget


def tabbed(*pages: tuple[QWidget, str, str]) -> QTabWidget:
    """Tabs of pages, each with its title and tooltip."""
    tabs = QTabWidget()
    tabs.setDocumentMode(True)
    # Its line takes no colour of a dark theme.
    tabs.tabBar().setDrawBase(False)
    for page, title, tip in pages:
        tabs.setTabToolTip(tabs.addTab(page, title), tip)
    return tabs
