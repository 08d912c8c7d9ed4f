"""A labelled bar of colours: what the colours of arrows and of a map stand for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_mrissl.ui.recorder.parts import sentence

_STEPS, _HEIGHT = 256, 10


class Scale(NamedTuple):
    """What a bar of colours says.

    Attributes
    ----------
    title
        What is measured, and in which unit.
    colormap
        By napari's name.
    marks
        Left, middle and right.
    """

    title: str
    colormap: str
    marks: tuple[str, str, str]


class ColourScale(QWidget):
    """Shows a `Scale`; hidden without one.

    Parameters
    ----------
    tip
        What the colours are of.
    """

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = sentence(tip)
        self.bar = QLabel()
        self.bar.setToolTip(tip)
        self.bar.setScaledContents(True)
        self.bar.setFixedHeight(_HEIGHT)
        self.bar.setMinimumWidth(40)
        self.marks = tuple(QLabel() for _ in range(3))
        grid = QGridLayout(self)
        grid.setContentsMargins(18, 0, 4, 4)
        grid.setSpacing(1)
        grid.addWidget(self.title, 0, 0, 1, 3)
        grid.addWidget(self.bar, 1, 0, 1, 3)
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter)
        for place, (mark, side) in enumerate(
            zip(self.marks, (*sides, Qt.AlignmentFlag.AlignRight), strict=True)
        ):
            grid.addWidget(mark, 2, place, side)
            grid.setColumnStretch(place, 1)
        self.present(None)

    def present(self, scale: Scale | None) -> None:
        """Show what the colours stand for; None for nothing."""
        self.setVisible(scale is not None)
        if scale is None:
            return
        self.title.setText(scale.title)
        self.bar.setAccessibleName(f"{scale.title}: {' to '.join(scale.marks)}")
        self.bar.setPixmap(_strip(scale.colormap))
        for label, words in zip(self.marks, scale.marks, strict=True):
            label.setText(words)


def _strip(name: str) -> QPixmap:
    colours = ensure_colormap(name).map(np.linspace(0, 1, _STEPS))
    pixels = np.ascontiguousarray((255 * colours[None]).round().astype(np.uint8))
    picture = QImage(pixels.data, _STEPS, 1, 4 * _STEPS, QImage.Format.Format_RGBA8888)
    return QPixmap.fromImage(picture)
