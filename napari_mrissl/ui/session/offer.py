"""Offers the last session in a dock of ours, as long as nothing else was opened."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.ui.session.keeper import SessionKeeper
from napari_mrissl.ui.session.strip import reopen


def offer_in(panel: QWidget, keeper: SessionKeeper | None) -> None:
    """Put the offer on top of a docked panel, once; it shows itself when there is something."""
    holder = panel.widget() if isinstance(panel, QScrollArea) else panel
    column = holder.layout() if holder is not None else None
    if keeper is None or panel.findChild(OfferRow) is not None:
        return
    vertical = (QBoxLayout.Direction.TopToBottom, QBoxLayout.Direction.Down)
    if isinstance(column, QBoxLayout) and column.direction() in vertical:
        column.insertWidget(0, OfferRow(keeper))


class OfferRow(QFrame):
    """What the last session held, and a button that brings it back; nothing has to be answered."""

    def __init__(self, keeper: SessionKeeper) -> None:
        super().__init__()
        self._keeper = keeper
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setToolTip("What was open when napari was left last, or broke down")
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.reopen = QPushButton("Reopen")
        self.reopen.setToolTip(
            "Open its scans again, with labels, marks, views and docks as they were"
        )
        self.dismiss = QPushButton("Not now")
        self.dismiss.setToolTip("Hide this; File > IO Utilities > Reopen last session stays")
        buttons = QHBoxLayout()
        buttons.addWidget(self.reopen, 1)
        buttons.addWidget(self.dismiss)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(4)
        column.addWidget(self.text)
        column.addLayout(buttons)
        self.reopen.clicked.connect(self._reopen)
        self.dismiss.clicked.connect(keeper.forget_earlier)
        keeper.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show or hide, by what there is to offer."""
        earlier, viewer = self._keeper.earlier, self._keeper.viewer
        self.setVisible(earlier is not None and viewer is not None and not len(viewer.layers))
        if earlier is not None:
            self.text.setText(f"Last session: {earlier.record.describe()}")

    def _reopen(self) -> None:
        if self._keeper.earlier is not None:
            reopen(self._keeper, self._keeper.earlier)
