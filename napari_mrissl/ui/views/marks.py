"""What is drawn over a picture: crosshair, direction letters, scale bar, short texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QLineF, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from napari_mrissl.ui.navigator.anatomy import letters
from napari_mrissl.ui.pictures.rasters import Raster
from napari_mrissl.ui.views.cameras import bar_length

GAP = 9.0
"""Screen pixels around the crosshair's middle that stay free."""
PLANE_COLORS = {
    "axial": QColor("#ff8787"),
    "coronal": QColor("#69db7c"),
    "sagittal": QColor("#74c0fc"),
    "free": QColor("#ffd43b"),
}
_TEXT = QColor("#dee2e6")
_LETTER = QColor("#ffd43b")
_SHADE = QColor(0, 0, 0, 200)
_EDGE = 6.0


@dataclass(frozen=True, eq=False)
class Line:
    """A line through the crosshair, where another plane cuts this one.

    Attributes
    ----------
    direction
        Unit vector (x, y) on the screen, y downwards.
    half
        Half its length in screen pixels; may be infinite.
    color
        Of the other plane.
    dashed
        Whether it ends somewhere, as the free slice does.
    """

    direction: NDArray[np.float64]
    half: float
    color: QColor
    dashed: bool = False


def font_of(base: QFont, pixels: int, *, bold: bool = False) -> QFont:
    """A font of a height in pixels, which no theme changes."""
    font = QFont(base)
    font.setPixelSize(pixels)
    font.setBold(bold)
    return font


def draw_line(painter: QPainter, rect: QRectF, middle: QPointF, line: Line) -> None:
    """Draw one line of the crosshair, open in the middle, as far as the picture goes."""
    color = QColor(line.color)
    color.setAlpha(190)
    pen = QPen(color, 1.0)
    if line.dashed:
        pen.setDashPattern([5.0, 4.0])
    painter.setPen(pen)
    longest = rect.width() + rect.height()
    half = min(line.half, longest)
    dx, dy = (float(part) for part in line.direction)
    x, y = middle.x(), middle.y()
    # A straight line of one pixel is sharp only in the middle of a row or column.
    if abs(dx) < 1e-6 or abs(dy) < 1e-6:
        x, y = np.floor(x) + 0.5, np.floor(y) + 0.5
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, min(abs(dx), abs(dy)) > 1e-6)
    if half <= GAP:
        return
    for near, far in ((GAP, half), (-GAP, -half)):
        painter.drawLine(QLineF(x + near * dx, y + near * dy, x + far * dx, y + far * dy))


def draw_text(
    painter: QPainter,
    rect: QRectF,
    flags: Qt.AlignmentFlag,
    text: str,
    color: QColor = _TEXT,
) -> None:
    """Write a text that can be read on any picture."""
    painter.setPen(_SHADE)
    painter.drawText(rect.translated(1, 1), flags, text)
    painter.setPen(color)
    painter.drawText(rect, flags, text)


def draw_letters(painter: QPainter, rect: QRectF, raster: Raster) -> dict[str, str]:
    """Write where the patient's directions are, on four sides."""
    inner = rect.adjusted(_EDGE, _EDGE, -_EDGE, -_EDGE)
    sides = {
        "up": (raster.up, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter),
        "down": (-raster.up, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter),
        "left": (-raster.right, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
        "right": (raster.right, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter),
    }
    found = {}
    for side, (direction, flags) in sides.items():
        found[side] = letters(direction)
        draw_text(painter, inner, flags, found[side], _LETTER)
    return found


def draw_scale_bar(painter: QPainter, rect: QRectF, millimetres: float) -> float:
    """Draw a bar of a round length at the bottom right; its length in mm.

    Parameters
    ----------
    millimetres
        Per screen pixel.
    """
    length = bar_length(millimetres, rect.width() / 4)
    pixels = length / millimetres
    right, bottom = rect.right() - _EDGE - 2, rect.bottom() - _EDGE - 3
    for color, width in ((_SHADE, 4.0), (_TEXT, 2.0)):
        painter.setPen(QPen(color, width, cap=Qt.PenCapStyle.FlatCap))
        painter.drawLine(QLineF(right - pixels, bottom, right, bottom))
    place = QRectF(right - 100, bottom - 20, 100, 16)
    draw_text(painter, place, Qt.AlignmentFlag.AlignRight, f"{length:g} mm")
    return length


def draw_corner(
    painter: QPainter, rect: QRectF, corner: str, lines: list[tuple[str, QColor | None]]
) -> None:
    """Write short lines into the ``"top"`` or ``"bottom"`` left corner, cut to fit."""
    metrics = QFontMetricsF(painter.font())
    step = metrics.height()
    top = rect.top() + _EDGE
    if corner == "bottom":
        top = rect.bottom() - _EDGE - step * len(lines)
    room = rect.width() / 2 - 3 * _EDGE
    for number, (text, color) in enumerate(lines):
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
        place = QRectF(rect.left() + _EDGE, top + number * step, room + 1, step)
        draw_text(painter, place, Qt.AlignmentFlag.AlignLeft, shown, color or _TEXT)
