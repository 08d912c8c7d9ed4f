"""Four panes, two by two, or one of them alone."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import QGridLayout, QWidget

from napari_mrissl.ui.views.pane import PANE_KINDS, Pane

_PLACES = {"axial": (0, 0), "coronal": (0, 1), "sagittal": (1, 0), "free": (1, 1)}


class PaneGrid(QWidget):
    """Lays out the panes.

    Parameters
    ----------
    panes
        By kind.
    """

    def __init__(self, panes: Mapping[str, Pane], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._panes = panes
        self._alone: str | None = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        for kind in PANE_KINDS:
            self._grid.addWidget(panes[kind], *_PLACES[kind])
        self._stretch()

    @property
    def alone(self) -> str | None:
        """The kind of the pane that is shown alone, or None."""
        return self._alone

    def show_only(self, kind: str | None) -> None:
        """Show one pane alone, or with None all of them."""
        self._alone = kind
        for name, pane in self._panes.items():
            pane.setVisible(kind is None or name == kind)
        self._stretch()

    def _stretch(self) -> None:
        for row in (0, 1):
            for place, set_stretch in (
                (0, self._grid.setRowStretch),
                (1, self._grid.setColumnStretch),
            ):
                kinds = [kind for kind in PANE_KINDS if _PLACES[kind][place] == row]
                seen = self._alone is None or self._alone in kinds
                set_stretch(row, 1 if seen else 0)
