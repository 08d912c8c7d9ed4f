"""A matrix in colours, whose cells are chosen by mouse and arrow keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_mrissl.ui.inspector.navigation.picture import heat

Floats = NDArray[np.float64]

SEQUENTIAL, DIVERGING = "viridis", "coolwarm"

_TITLE, _NUMBERS, _BAR, _TEXT = 16, 14, 7, 13
_LEFT = 15
_ABOVE, _BELOW, _BESIDE = _TITLE + _NUMBERS, _BAR + _TEXT + 6, _LEFT + 4
_LEAST = 84
_MOST_LABELLED = 12
_KEYS = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}


def limits_of(*given: Floats) -> tuple[float, float]:
    """One scale for some matrices: from 0, or as far to both sides where values have signs."""
    values = np.concatenate([one.ravel() for one in given])
    highest = max(float(np.abs(values).max()), 1e-9)
    return (-highest if values.min() < 0 else 0.0), highest


class HeatMap(QWidget):
    """One matrix under its title, with a scale of its own; rows are the first index.

    Arrow keys move the chosen cell, and T exchanges its row and column.

    Parameters
    ----------
    title
        What is shown.
    tip
        The tooltip.
    highest
        Of everything, in pixels; it is lower where it is narrow.

    Attributes
    ----------
    cell_chosen : Signal(int, int)
        Row and column, by the user.
    hovered : Signal(int, int)
        Where the mouse is; -1 and -1 once it has left.
    cell : tuple of int, or None
        What is marked.
    values : array or None
        What is shown.
    limits : tuple of float
        What the ends of the colour scale are.
    """

    cell_chosen = Signal(int, int)
    hovered = Signal(int, int)

    def __init__(self, title: str, tip: str, highest: int = 178) -> None:
        super().__init__()
        self.title = title
        self.values: Floats | None = None
        self.limits = (0.0, 1.0)
        self.cell: tuple[int, int] | None = None
        self._image = QImage()
        self._labels: tuple[str, ...] = ()
        self._unit = ""
        self._written = False
        self.setToolTip(tip)
        self.setAccessibleName(title)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._highest = highest
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(highest)
        self.setMinimumWidth(_LEAST)

    def present(
        self,
        values: Floats,
        limits: tuple[float, float],
        unit: str = "mm",
        labels: Sequence[str] = (),
        *,
        written: bool = False,
    ) -> None:
        """Show a square matrix.

        Parameters
        ----------
        values
            (N, N).
        limits
            Ends of the colour scale; below 0 there are two colours, and 0 is pale.
        unit
            Beside the ends of the scale.
        labels
            Of rows and columns; their numbers, if left out.
        written
            Write the numbers into the cells too.
        """
        self.values, self.limits, self._unit, self._written = values, limits, unit, written
        self._labels = tuple(labels) or tuple(str(n) for n in range(len(values)))
        self._image = heat(values, limits, DIVERGING if limits[0] < 0 else SEQUENTIAL)
        if self.cell is not None and max(self.cell) >= len(values):
            self.cell = None
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.values = self.cell = None
        self.update()

    def mark(self, cell: tuple[int, int] | None) -> None:
        """Mark a cell, without a signal."""
        self.cell = cell
        self.update()

    def rect_of(self, row: int, column: int) -> QRectF:
        """Where a cell is drawn, in pixels."""
        box, count = self._box(), 1 if self.values is None else len(self.values)
        width, height = box.width() / count, box.height() / count
        return QRectF(box.left() + column * width, box.top() + row * height, width, height)

    def cell_at(self, place: QPointF) -> tuple[int, int] | None:
        """The cell under a place in pixels."""
        box = QRectF(self._box())
        if self.values is None or not box.contains(place):
            return None
        count = len(self.values)
        row = int((place.y() - box.top()) / box.height() * count)
        column = int((place.x() - box.left()) / box.width() * count)
        return min(row, count - 1), min(column, count - 1)

    def sizeHint(self) -> QSize:
        """Three of them fit beside each other in a dock."""
        return QSize(128, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """No higher than the square that fits the width: a layout would leave the rest empty."""
        super().resizeEvent(event)
        wanted = self.width() - _BESIDE + _ABOVE + _BELOW
        self.setFixedHeight(max(_LEAST, min(self._highest, wanted)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose a cell."""
        cell = self.cell_at(event.position())
        if cell is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(cell)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell which cell the mouse is on."""
        self.hovered.emit(*(self.cell_at(event.position()) or (-1, -1)))

    def leaveEvent(self, event: QEvent) -> None:
        """The mouse is on no cell."""
        self.hovered.emit(-1, -1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Walk from cell to cell."""
        key = Qt.Key(event.key())
        if self.values is None or (key not in _KEYS and key != Qt.Key.Key_T):
            super().keyPressEvent(event)
            return
        row, column = self.cell or (0, 0)
        if key == Qt.Key.Key_T:
            self._choose((column, row))
            return
        down, across = _KEYS[key]
        last = len(self.values) - 1
        self._choose((min(max(row + down, 0), last), min(max(column + across, 0), last)))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw title, numbers of rows and columns, cells, and the scale below."""
        painter = QPainter(self)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        ink = self.palette().color(self.foregroundRole())
        painter.setPen(ink)
        box = self._box()
        room = QRect(box.left(), 0, self.width() - box.left(), _TITLE)
        elided = painter.fontMetrics().elidedText(
            self.title, Qt.TextElideMode.ElideRight, room.width()
        )
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, elided)
        if self.values is None:
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
            painter.drawRect(box.adjusted(0, 0, -1, -1))
            painter.end()
            return
        painter.drawImage(box, self._image)
        self._draw_labels(painter, ink)
        if self._written:
            self._draw_values(painter, font)
        self._draw_scale(painter, ink, box)
        if self.cell is not None:
            frame = self.rect_of(*self.cell)
            for color, width in (("#000000", 4), ("#ffffff", 2)):
                painter.setPen(QPen(QColor(color), width))
                painter.drawRect(frame)
        if self.hasFocus():
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
            painter.drawRect(box.adjusted(-2, -2, 1, 1))
        painter.end()

    def focusInEvent(self, event: QEvent) -> None:
        """Show that keys go here."""
        self.update()

    def focusOutEvent(self, event: QEvent) -> None:
        """Keys go elsewhere."""
        self.update()

    def _choose(self, cell: tuple[int, int]) -> None:
        self.mark(cell)
        self.cell_chosen.emit(*cell)

    def _box(self) -> QRect:
        side = max(8, min(self.width() - _BESIDE, self.height() - _ABOVE - _BELOW))
        return QRect(_LEFT, _ABOVE, side, side)

    def _draw_labels(self, painter: QPainter, ink: QColor) -> None:
        assert self.values is not None  # noqa: S101 - only called with a matrix
        count = len(self.values)
        font = QFont(painter.font())
        font.setPixelSize(9)
        painter.save()
        painter.setFont(font)
        painter.setPen(ink)
        shown = range(count) if count <= _MOST_LABELLED else (0, count // 2, count - 1)
        flags = Qt.AlignmentFlag
        for number in shown:
            cell = self.rect_of(number, number)
            room = max(cell.height(), 12)
            line = QRectF(0, cell.center().y() - room / 2, _LEFT - 3, room)
            painter.drawText(line, flags.AlignVCenter | flags.AlignRight, self._labels[number])
            wide = max(cell.width(), 18)
            head = QRectF(cell.center().x() - wide / 2, _TITLE - 2, wide, _NUMBERS)
            painter.drawText(head, flags.AlignCenter, self._labels[number])
        painter.restore()

    def _draw_values(self, painter: QPainter, font: QFont) -> None:
        assert self.values is not None  # noqa: S101 - only called with a matrix
        painter.setFont(font)
        for row, column in np.ndindex(*self.values.shape):
            cell = self.rect_of(row, column)
            color = QColor(self._image.pixel(column, row))
            painter.setPen(QColor("#000000" if color.lightnessF() > 0.45 else "#ffffff"))
            text = f"{self.values[row, column]:.2f}"
            painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, text)

    def _draw_scale(self, painter: QPainter, ink: QColor, box: QRect) -> None:
        low, high = self.limits
        bar = heat(np.linspace(low, high, 64)[None], self.limits,
                   DIVERGING if low < 0 else SEQUENTIAL)  # fmt: skip
        top = box.bottom() + 5
        painter.drawImage(QRect(box.left(), top, box.width(), _BAR), bar)
        painter.setPen(ink)
        room = QRect(QPoint(box.left(), top + _BAR), QSize(box.width(), _TEXT))
        flags = Qt.AlignmentFlag
        painter.drawText(room, flags.AlignLeft | flags.AlignVCenter, _short(low))
        painter.drawText(room, flags.AlignRight | flags.AlignVCenter,
                         f"{_short(high)} {self._unit}".strip())  # fmt: skip


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 or value == 0 else f"{value:.1f}"
