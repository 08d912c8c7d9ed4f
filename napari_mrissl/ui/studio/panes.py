"""Pictures above or beside what is set, and the line below that says what goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QProgressBar,
    QScrollArea,
    QSplitter,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.recorder.parts import button, row, sentence

_ERROR = "color: #e5484d; font-weight: bold;"
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


class StatusLine(QWidget):
    """What was done last or went wrong, how far the work is, and a way to stop it.

    Attributes
    ----------
    stop_wanted : Signal()
        Cancel was pressed.
    """

    stop_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._failure = False
        self.message = sentence("What was done last, or what went wrong")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedSize(90, 6)
        self.progress.setToolTip("How much of the sample is made")
        self.cancel = button("Cancel", "Stop; the sample shown and the templates stay")
        self.cancel.clicked.connect(self.stop_wanted)
        line = row((self.message, 1), self.progress, self.cancel)
        line.setContentsMargins(6, 0, 6, 4)
        self.setLayout(line)
        self.show_busy(busy=False)

    def say(self, text: str) -> None:
        """What was done."""
        self._failure = False
        self.message.setStyleSheet("")
        self.message.setText(text)

    def say_failure(self, text: str) -> None:
        """What went wrong, in one sentence."""
        self._failure = True
        self.message.setStyleSheet(_ERROR)
        self.message.setText(text)

    def show_progress(self, part: float, words: str) -> None:
        """How far the work is; a sentence about what went wrong stays until something is done."""
        self.progress.setValue(round(1000 * part))
        if words and not self._failure:
            self.say(f"{words}...")

    def show_busy(self, *, busy: bool) -> None:
        """Allow to cancel while something is made."""
        self.cancel.setEnabled(busy)
        if not busy:
            self.progress.setValue(0)
            if self.message.text().endswith("..."):
                self.say("")
