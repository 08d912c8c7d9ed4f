"""What every panel in a dock shares: it notices its window, and ends with its dock."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent

from napari_mrissl.ui.docks import tab_with_others

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    _Widget = QWidget
else:
    _Widget = object


class DockPanel(_Widget):
    """A mixin, before the Qt class, of a widget that has ``shut_down``.

    napari gives a closed dock no close event: its panel only loses its parent.
    """

    _docked = False

    def event(self, event: QEvent) -> bool:
        """Notice being docked and being taken out of the window again."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
                self.on_docked()
            elif self._docked:
                self._docked = False
                self.on_undocked()
        return bool(super().event(event))

    def closeEvent(self, event: QEvent) -> None:
        """Closed on its own, outside a dock."""
        self.shut_down()
        super().closeEvent(event)

    def on_docked(self) -> None:
        """Get a place in the window."""
        tab_with_others(self)

    def on_undocked(self) -> None:
        """End, and be deleted: Python cannot collect what Qt's connections to functions hold."""
        self.shut_down()
        self.deleteLater()


def close_when_destroyed(panel: QWidget, *workers: Any) -> None:
    """Close runners of jobs with a window that is destroyed around its docks.

    Such a window takes its docks out of nothing first, so the panel itself does not hear.
    """
    panel.destroyed.connect(partial(_close, [weakref.ref(one) for one in workers]))


def _close(held: list[weakref.ref[Any]], _: object = None) -> None:
    for one in held:
        worker = one()
        if worker is not None:
            worker.close()
