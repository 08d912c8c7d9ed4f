"""A number with a slider, and images side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRect, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QSizePolicy,
    QSlider,
    QTableWidget,
    QWidget,
)

_STEPS = 1000
_CAPTION = 16
_GAP = 4


class NumberSlider(QWidget):
    """A slider with the number beside it.

    Attributes
    ----------
    changed : Signal()
        By the user.
    """

    changed = Signal()

    def __init__(
        self, low: float, high: float, value: float, tip: str, suffix: str = "", decimals: int = 1
    ) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setMinimumWidth(60)
        self.box = QDoubleSpinBox()
        self.box.setDecimals(decimals)
        self.box.setSuffix(suffix)
        self.box.setKeyboardTracking(False)
        self.box.setSingleStep(max(10.0**-decimals, (high - low) / 100))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.box)
        self.setToolTip(tip)
        for one in (self.slider, self.box):
            one.setToolTip(tip)
        self.set_range(low, high)
        self.set_value(value)
        self.slider.valueChanged.connect(self._on_slider)
        self.box.valueChanged.connect(self._on_box)

    @property
    def value(self) -> float:
        """The number."""
        return float(self.box.value())

    def set_range(self, low: float, high: float) -> None:
        """Take other limits."""
        with QSignalBlocker(self.box):
            self.box.setRange(low, high)
        self._follow()

    def set_value(self, value: float) -> None:
        """Show a number, without a signal."""
        with QSignalBlocker(self.box):
            self.box.setValue(value)
        self._follow()

    def _follow(self) -> None:
        low, high = self.box.minimum(), self.box.maximum()
        share = (self.value - low) / (high - low) if high > low else 0.0
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(_STEPS * share))

    def _on_slider(self, place: int) -> None:
        low, high = self.box.minimum(), self.box.maximum()
        with QSignalBlocker(self.box):
            self.box.setValue(low + (high - low) * place / _STEPS)
        self.changed.emit()

    def _on_box(self, _: float) -> None:
        self._follow()
        self.changed.emit()


class ImageStrip(QWidget):
    """Grey images with captions, as many in a row as find room.

    Parameters
    ----------
    least
        Smallest width of an image in pixels.
    most
        Largest width of an image in pixels.
    """

    def __init__(self, least: int = 92, most: int = 170) -> None:
        super().__init__()
        self._least, self._most = least, most
        self.images: dict[str, QImage] = {}
        self._aspect = 1.0
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def present(
        self, images: Sequence[tuple[str, NDArray[np.floating]]], aspect: float = 1.0
    ) -> None:
        """Show images (H, W) in [0, 1] under their captions, of this height over width."""
        self._aspect = aspect
        self.images = {caption: _image(one) for caption, one in images}
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        """The images keep their form."""
        return True

    def heightForWidth(self, width: int) -> int:
        """As high as all rows."""
        columns, side = self._fitted(width)
        rows = -(-len(self.images) // columns)
        return rows * (side + _CAPTION + _GAP)

    def sizeHint(self) -> QSize:
        """At the present width."""
        width = max(self.width(), 3 * self._least)
        return QSize(3 * self._least + 2 * _GAP, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        """Two images wide."""
        return QSize(2 * self._least + _GAP, self.heightForWidth(max(self.width(), 1)))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the images in rows."""
        columns, side = self._fitted(self.width())
        painter = QPainter(self)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(self.palette().color(self.foregroundRole()))
        for number, (caption, image) in enumerate(self.images.items()):
            across, down = number % columns, number // columns
            left, top = across * (side + _GAP), down * (side + _CAPTION + _GAP)
            # Names of channels differ at their ends.
            text = painter.fontMetrics().elidedText(caption, Qt.TextElideMode.ElideMiddle, side)
            painter.drawText(QRect(left, top, side, _CAPTION), Qt.AlignmentFlag.AlignLeft, text)
            wide = max(1, round(side / max(self._aspect, 1)))
            high = max(1, round(side * min(self._aspect, 1)))
            painter.drawImage(QRect(left, top + _CAPTION, wide, high), image)
        painter.end()

    def _fitted(self, width: int) -> tuple[int, int]:
        columns = max(1, (width + _GAP) // (self._least + _GAP))
        columns = min(columns, max(1, len(self.images)))
        return columns, min(self._most, (width + _GAP) // columns - _GAP)


def fit_height(table: QTableWidget) -> None:
    """Make a table as high as its rows, so that no empty ground is left below them."""
    rows = sum(table.rowHeight(number) for number in range(table.rowCount()))
    header = max(22, table.horizontalHeader().sizeHint().height())
    table.setFixedHeight(rows + header + 2 * table.frameWidth() + 2)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)


def _image(values: NDArray[np.floating]) -> QImage:
    grey = np.rint(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)
    grey = np.ascontiguousarray(grey)
    height, width = grey.shape
    return QImage(grey.data, width, height, width, QImage.Format.Format_Grayscale8).copy()
