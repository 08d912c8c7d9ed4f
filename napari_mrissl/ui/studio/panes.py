"""Pictures above or beside what is set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QEvent, QPoint, Qt, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QScrollArea,
    QSplitter,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.ui.navigator.bars import section

_SIDE_BY_SIDE = 820
"""Pixels of width from which the settings stand beside the pictures."""


class Panes(QSplitter):
    """Pictures and what belongs to them; foldable sections that scroll.

    Parameters
    ----------
    pictures
        From top to bottom; the first takes the room that is left.
    sections
        By title, from top to bottom.

    Attributes
    ----------
    sections : dict of QCollapsible
        By title.
    """

    def __init__(self, pictures: Sequence[QWidget], sections: Mapping[str, QWidget]) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self._upper, self._inner = QWidget(), QWidget()
        upper = QVBoxLayout(self._upper)
        upper.setContentsMargins(4, 2, 4, 0)
        upper.setSpacing(3)
        for number, part in enumerate(pictures):
            upper.addWidget(part, 0 if number else 1)
        inner = QVBoxLayout(self._inner)
        inner.setContentsMargins(6, 0, 6, 4)
        inner.setSpacing(2)
        self.sections = {title: section(title, box) for title, box in sections.items()}
        for folding in self.sections.values():
            inner.addWidget(folding)
        inner.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self._inner)
        self._scroll.setMinimumHeight(110)
        self.setChildrenCollapsible(False)
        self.setToolTip("Drag the border to give pictures or settings more room")
        self.addWidget(self._upper)
        self.addWidget(self._scroll)
        self.setStretchFactor(0, 3)
        self.setStretchFactor(1, 2)
        self._wanted: QWidget | None = None
        self._reveal = QTimer(self)
        self._reveal.setSingleShot(True)
        self._reveal.timeout.connect(self._show_wanted)

    @property
    def least_width(self) -> int:
        """Never narrower than the controls."""
        width = max(self._inner.minimumSizeHint().width(), self._upper.minimumSizeHint().width())
        return width + self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent) + 12

    def reveal(self, part: QWidget | None) -> None:
        """Scroll to a part of a section, once its place is known."""
        self._wanted = part
        self._reveal.start(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a wide dock the settings stand beside the pictures."""
        wide = event.size().width() >= _SIDE_BY_SIDE
        along = Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
        if self.orientation() != along:
            self.setOrientation(along)
        super().resizeEvent(event)

    def _show_wanted(self) -> None:
        # Sections that fold and unfold move the others only with these events.
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
        if self._wanted is not None and self._wanted.isVisibleTo(self._inner):
            place = self._wanted.mapTo(self._inner, QPoint(0, 0)).y()
            self._scroll.verticalScrollBar().setValue(place)
