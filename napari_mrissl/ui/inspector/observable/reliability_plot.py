"""Predicted over true distances: dots, their means by distance, and the line where they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_mrissl.pretext.observable.consistency import Bin
from napari_mrissl.ui.plots import plot_widget
from napari_mrissl.ui.pretraining.curves import Look

_MISSING = "The plot needs pyqtgraph, which is not installed: install napari-mrissl[app]."
_COLORS = {"pairs": "#868e96", "mean": "#c2359f", "exact": "#2f9e44"}
_DARK_COLORS = {"pairs": "#adb5bd", "mean": "#f06fd8", "exact": "#51cf66"}
_TIP = (
    "Predicted over true distances in mm: every pair of views, the means by true distance with "
    "their mean errors, and the line of exact answers"
)


class ReliabilityPlot(QWidget):
    """A plot that ends whole with the window it is in.

    Attributes
    ----------
    items : dict
        pyqtgraph's items by name; empty until the first prediction.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.items: dict[str, Any] = {}
        self._canvas: Any = None
        self._drawing: Any = None
        self._look = Look("#262930", "#f0f1f2")
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setToolTip(_TIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.legend)
        self._show_legend()

    def present(
        self, true: NDArray[np.float64], predicted: NDArray[np.float64], bins: tuple[Bin, ...]
    ) -> None:
        """Draw distances (N,) of pairs, and their means."""
        if not self._prepared():
            return
        x = np.array([one.true_mm for one in bins])
        y = np.array([one.predicted_mm for one in bins])
        highest = float(max(true.max(initial=1.0), predicted.max(initial=1.0)))
        self.items["pairs"].setData(true, predicted)
        self.items["mean"].setData(x, y)
        errors = np.array([one.error_mm for one in bins])
        self.items["errors"].setData(x=x, y=y, height=2 * errors)
        self.items["exact"].setData([0, highest], [0, highest])

    def clear(self) -> None:
        """Draw nothing."""
        for name in ("pairs", "mean", "exact"):
            if name in self.items:
                self.items[name].setData([], [])
        if "errors" in self.items:
            self.items["errors"].setData(x=np.zeros(0), y=np.zeros(0), height=np.zeros(0))

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        self._look = look
        self._show_legend()
        if self._canvas is None:
            return
        pen = self._drawing.mkPen
        self._canvas.setBackground(look.background)
        for side in ("left", "bottom"):
            axis = self._canvas.getAxis(side)
            axis.setPen(pen(look.text))
            axis.setTextPen(pen(look.text))
        colors = self._palette
        faint = QColor(colors["pairs"])
        faint.setAlpha(150)
        self.items["pairs"].setBrush(faint)
        self.items["mean"].setPen(pen(colors["mean"], width=1.8))
        self.items["errors"].setData(pen=pen(colors["mean"], width=1.2))
        self.items["exact"].setPen(pen(colors["exact"], width=1.4))

    def shut_down(self) -> None:
        """End the canvas; the plot is of no more use."""
        if self._canvas is not None:
            self._canvas.close()
        self._canvas = self._drawing = None
        self.items.clear()

    @property
    def _palette(self) -> dict[str, str]:
        return _DARK_COLORS if self._look.dark else _COLORS

    def _prepared(self) -> bool:
        """Whether there is pyqtgraph; looked for when the first dot is to be drawn."""
        if self._canvas is not None:
            return True
        try:
            import pyqtgraph
        except ImportError:
            self.legend.setText(_MISSING)
            return False
        self._drawing = pyqtgraph
        canvas = plot_widget(pyqtgraph)
        canvas.setToolTip(_TIP)
        canvas.setMouseEnabled(x=False, y=False)
        canvas.hideButtons()
        canvas.setMinimumHeight(170)
        canvas.setLabel("bottom", "true distance (mm)")
        canvas.setLabel("left", "predicted (mm)")
        # Its own hint is larger than a dock.
        canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        dots = pyqtgraph.ScatterPlotItem(size=4, pen=None)
        errors = pyqtgraph.ErrorBarItem(beam=0)
        for item in (dots, errors):
            canvas.addItem(item)
        self.items = {
            "pairs": dots,
            "errors": errors,
            "exact": canvas.plot([], []),
            "mean": canvas.plot([], []),
        }
        self._canvas = canvas
        self.layout().addWidget(canvas, 1)
        self.set_look(self._look)
        return True

    def _show_legend(self) -> None:
        words = (("pairs", "● pairs"), ("mean", "━ mean ± mean error"), ("exact", "━ exact"))
        self.legend.setText(
            "&nbsp;&nbsp;".join(
                f'<span style="color:{self._palette[name]}">{text}</span>' for name, text in words
            )
        )
