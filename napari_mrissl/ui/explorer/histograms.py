"""Histograms of cosines: the same place, the same label, and others."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_mrissl.features.invariance import BINS, Invariance
from napari_mrissl.ui.plots import plot_widget
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import sentence

_MISSING = "Histograms need pyqtgraph, which is not installed: install napari-mrissl[app]."
_HEIGHT = 140
# Distinct for colour-blind readers (Okabe-Ito), on dark and on light ground.
_COLORS = {"same place": "#0072b2", "same label": "#009e73", "other": "#d55e00"}
_DARK_COLORS = {"same place": "#56b4e9", "same label": "#f0e442", "other": "#e06c2b"}


class Histograms(QWidget):
    """Three lines over the cosine from -1 to 1, each as high as 1 at its peak.

    Attributes
    ----------
    lines : dict
        What is drawn, by name.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._drawing: Any = None
        self._canvas: Any = None
        self._look = Look("#262930", "#f0f1f2")
        self.lines: dict[str, Any] = {}
        self.missing = sentence("What the histograms are drawn with")
        self.missing.hide()
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setToolTip("How alike features are: cosines, each line scaled to its peak")
        self.legend.hide()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addWidget(self.missing)
        self._column.addWidget(self.legend)

    def present(self, found: Invariance | None) -> None:
        """Draw what was measured, or nothing."""
        if found is None:
            for line in self.lines.values():
                line.setData([], [])
            return
        if not self._prepared():
            return
        middles = (BINS[:-1] + BINS[1:]) / 2
        shares = {
            "same place": found.same_place,
            "same label": found.same_label,
            "other": found.other,
        }
        for name, values in shares.items():
            if values is None:
                self.lines[name].setData([], [])
            else:
                self.lines[name].setData(middles, values / max(float(np.max(values)), 1e-12))
        self.legend.show()

    def set_look(self, look: Look) -> None:
        """Take a theme's colours."""
        self._look = look
        self._paint()

    def shut_down(self) -> None:
        """End the plot; the widget is of no more use."""
        if self._canvas is not None:
            self._canvas.close()
            self._canvas.setParent(None)
            self._canvas.deleteLater()
            self._canvas = None
        self.lines.clear()

    def _prepared(self) -> bool:
        """Whether there is a plot; made when the first numbers come."""
        if self._canvas is not None:
            return True
        if self.missing.text():
            return False
        try:
            import pyqtgraph
        except ImportError:
            self.missing.setText(_MISSING)
            self.missing.show()
            return False
        self._drawing = pyqtgraph
        self._canvas = plot_widget(pyqtgraph)
        self._canvas.setFixedHeight(_HEIGHT)
        self._canvas.setMouseEnabled(x=False, y=False)
        self._canvas.hideButtons()
        self._canvas.setToolTip(
            "Cosines between the two images: of a place with itself, of other places with its "
            "label, and of all others; the further apart, the better"
        )
        self._canvas.setXRange(-1, 1, padding=0.01)
        self._canvas.setYRange(0, 1, padding=0.02)
        self._canvas.getAxis("left").setStyle(showValues=False)
        self.lines = {name: self._canvas.plot([], []) for name in _COLORS}
        self._column.addWidget(self._canvas)
        self._paint()
        return True

    def _paint(self) -> None:
        colors = _DARK_COLORS if self._look.dark else _COLORS
        words = {"same place": "same place", "same label": "same label", "other": "other places"}
        self.legend.setText(
            "&nbsp;&nbsp;".join(
                f'<span style="color:{colors[name]}">━ {text}</span>'
                for name, text in words.items()
            )
        )
        if self._canvas is None:
            return
        pen = self._drawing.mkPen
        self._canvas.setBackground(self._look.background)
        for side in ("left", "bottom"):
            axis = self._canvas.getAxis(side)
            axis.setPen(pen(self._look.text))
            axis.setTextPen(pen(self._look.text))
        for name, line in self.lines.items():
            line.setPen(pen(colors[name], width=2))
