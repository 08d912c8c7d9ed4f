"""A picture of a slice in a frame that says what it is, with the letters of its sides."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.navigator.anatomy import letters

Kind = Literal["imagined", "scan", "other", "goal"]
COLORS: dict[Kind, str] = {
    "imagined": "#ff922b",
    "scan": "#868e96",
    "other": "#868e96",
    "goal": "#4dabf7",
}
"""Of the frames: whatever no scanner has seen is orange."""

_CAPTION = 17
_BORDER = 3
_LEAST = 84
HEIGHT = 150
_LETTER_COLOR = "#ffd43b"


class Sides(NamedTuple):
    """Where the sides of a picture point in the patient."""

    top: str
    bottom: str
    left: str
    right: str

    @classmethod
    def of(cls, pose: Pose) -> Sides:
        """Of the slice at a pose."""
        up, right = pose.up, pose.right
        return cls(letters(up), letters(-up), letters(-right), letters(right))


class FramedPicture(QWidget):
    """One picture under its caption, as wide as high.

    Parameters
    ----------
    caption
        What is shown; in the frame's colour where it is imagined.
    tip
        The tooltip.
    kind
        Of the frame.
    height
        Of picture and caption together, in pixels.

    Attributes
    ----------
    clicked : Signal(float, float)
        A place in the picture, row and column, as parts of its sides.
    image : QImage or None
        What is shown.
    sides : Sides or None
        Its letters.
    """

    clicked = Signal(float, float)

    def __init__(self, caption: str, tip: str, kind: Kind = "scan", height: int = HEIGHT) -> None:
        super().__init__()
        self.caption, self.kind = caption, kind
        self.image: QImage | None = None
        self.sides: Sides | None = None
        self.mark: tuple[float, float] | None = None
        self._smooth = True
        self.setToolTip(tip)
        self.setAccessibleName(caption)
        # A height that depended on the width would be lost on what scrolls around it.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(height)
        self.setMinimumWidth(_LEAST)

    def present(
        self,
        image: QImage,
        sides: Sides | None = None,
        mark: tuple[float, float] | None = None,
        *,
        smooth: bool = True,
    ) -> None:
        """Show a picture, and a cross at a place (row, column) given in parts of its sides."""
        self.image, self.sides, self.mark, self._smooth = image, sides, mark, smooth
        self.update()

    def mark_at(self, place: tuple[float, float] | None) -> None:
        """Put the cross elsewhere, or take it away."""
        self.mark = place
        self.update()

    def rename(self, caption: str) -> None:
        """Take another caption."""
        self.caption = caption
        self.setAccessibleName(caption)
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.image = self.sides = self.mark = None
        self.update()

    def sizeHint(self) -> QSize:
        """Three of them fit beside each other in a dock."""
        return QSize(min(124, self.height()), self.height())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tell where the picture was clicked."""
        box = self._box()
        place = event.position()
        if self.image is None or not box.contains(place.toPoint()):
            return
        row, column = (place.y() - box.top()) / box.height(), (place.x() - box.left()) / box.width()
        self.clicked.emit(float(np.clip(row, 0, 1)), float(np.clip(column, 0, 1)))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw caption, frame, picture, letters and mark."""
        painter = QPainter(self)
        box, color = self._box(), QColor(COLORS[self.kind])
        font = painter.font()
        font.setPixelSize(11)
        font.setBold(self.kind == "imagined")
        painter.setFont(font)
        ink = color if self.kind == "imagined" else self.palette().color(self.foregroundRole())
        painter.setPen(ink)
        room = QRect(box.left(), 0, self.width() - box.left(), _CAPTION)
        text = painter.fontMetrics().elidedText(
            self.caption, Qt.TextElideMode.ElideRight, room.width()
        )
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, text)
        if self.image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self._smooth)
            painter.drawImage(box, self.image)
            self._draw_letters(painter, box)
            self._draw_mark(painter, box)
        dashed = Qt.PenStyle.DashLine if self.kind == "imagined" else Qt.PenStyle.SolidLine
        width = _BORDER if self.kind in ("imagined", "goal") else 1
        painter.setPen(QPen(color, width, dashed))
        painter.drawRect(box.adjusted(-1, -1, 0, 0))
        painter.end()

    def _box(self) -> QRect:
        side = max(8, min(self.width(), self.height() - _CAPTION) - 2 * _BORDER)
        return QRect((self.width() - side) // 2, _CAPTION + _BORDER, side, side)

    def _draw_letters(self, painter: QPainter, box: QRect) -> None:
        if self.sides is None:
            return
        inner, flags = box.adjusted(2, 0, -2, 0), Qt.AlignmentFlag
        for text, where in (
            (self.sides.top, flags.AlignTop | flags.AlignHCenter),
            (self.sides.bottom, flags.AlignBottom | flags.AlignHCenter),
            (self.sides.left, flags.AlignVCenter | flags.AlignLeft),
            (self.sides.right, flags.AlignVCenter | flags.AlignRight),
        ):
            # On bright colours a letter needs its shadow.
            for away, color in ((1, "#000000"), (0, _LETTER_COLOR)):
                painter.setPen(QColor(color))
                painter.drawText(inner.translated(away, away), where, text)

    def _draw_mark(self, painter: QPainter, box: QRect) -> None:
        if self.mark is None:
            return
        row, column = self.mark
        at = QPoint(box.left() + round(column * box.width()), box.top() + round(row * box.height()))
        for color, width in (("#000000", 4), ("#ffffff", 2)):
            painter.setPen(QPen(QColor(color), width))
            painter.drawLine(at - QPoint(6, 0), at + QPoint(6, 0))
            painter.drawLine(at - QPoint(0, 6), at + QPoint(0, 6))


def grey(
    values: NDArray[np.floating], limits: tuple[float, float] = (0.0, 1.0), *, flipped: bool = False
) -> QImage:
    """Values (H, W) with a contrast; flipped it is seen from the other side."""
    low, high = limits
    scaled = (np.nan_to_num(values) - low) / max(high - low, 1e-6)
    return _image(np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8), flipped)


def heat(
    values: NDArray[np.floating],
    limits: tuple[float, float],
    colormap: str = "inferno",
    *,
    flipped: bool = False,
) -> QImage:
    """Values (H, W) in colours."""
    low, high = limits
    scaled = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-6), 0, 1)
    colours = ensure_colormap(colormap).map(scaled.reshape(-1)).reshape(*scaled.shape, 4)
    return coloured(np.rint(255 * colours[..., :3]).astype(np.uint8), flipped=flipped)


def coloured(values: NDArray[np.uint8], *, flipped: bool = False) -> QImage:
    """Red, green and blue (H, W, 3)."""
    return _image(values, flipped)


def _image(values: NDArray[np.uint8], flipped: bool) -> QImage:
    seen = np.ascontiguousarray(values[:, ::-1] if flipped else values)
    height, width = seen.shape[:2]
    if seen.ndim == 2:
        kind, line = QImage.Format.Format_Grayscale8, width
    else:
        kind, line = QImage.Format.Format_RGB888, 3 * width
    return QImage(seen.data, width, height, line, kind).copy()
