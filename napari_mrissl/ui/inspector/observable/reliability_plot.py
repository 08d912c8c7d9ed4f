"""Predicted over true distances: dots, their means by distance, and the line where they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QColor

from napari_mrissl.pretext.observable.consistency import Bin
from napari_mrissl.ui.plot_box import PlotBox

_MISSING = "The plot needs pyqtgraph, which is not installed: install napari-mrissl[app]."
_COLORS = {"pairs": "#868e96", "mean": "#c2359f", "exact": "#2f9e44"}
_DARK_COLORS = {"pairs": "#adb5bd", "mean": "#f06fd8", "exact": "#51cf66"}
_WORDS = {"pairs": "pairs (dots)", "mean": "mean ± mean error", "exact": "exact"}
_TIP = (
    "Predicted over true distances in mm: every pair of views, the means by true distance with "
    "their mean errors, and the line of exact answers"
)


class ReliabilityPlot(PlotBox):
    """Distances of pairs of views.

    Attributes
    ----------
    items : dict
        pyqtgraph's items by name; empty until the first prediction.
    """

    def __init__(self) -> None:
        super().__init__(_MISSING, _TIP, _TIP, 170, grows=True)
        self.items: dict[str, Any] = {}

    def present(
        self, true: NDArray[np.float64], predicted: NDArray[np.float64], bins: tuple[Bin, ...]
    ) -> None:
        """Draw distances (N,) of pairs, and their means."""
        if not self.prepared():
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

    def prepared(self) -> bool:
        """Whether there is a plot, with all that is drawn in it."""
        if not super().prepared():
            return False
        if not self.items:
            self.canvas.setLabel("bottom", "true distance (mm)")
            self.canvas.setLabel("left", "predicted (mm)")
            dots = self.drawing.ScatterPlotItem(size=4, pen=None)
            errors = self.drawing.ErrorBarItem(beam=0)
            for item in (dots, errors):
                self.canvas.addItem(item)
            self.items = {
                "pairs": dots,
                "errors": errors,
                "exact": self.canvas.plot([], []),
                "mean": self.canvas.plot([], []),
            }
            self.paint()
        return True

    def paint(self) -> None:
        """Draw in the theme's colours."""
        super().paint()
        colors = _DARK_COLORS if self.look.dark else _COLORS
        self.show_legend([(colors[name], text) for name, text in _WORDS.items()])
        if not self.items:
            return
        pen = self.drawing.mkPen
        faint = QColor(colors["pairs"])
        faint.setAlpha(150)
        self.items["pairs"].setBrush(faint)
        self.items["mean"].setPen(pen(colors["mean"], width=1.8))
        self.items["errors"].setData(pen=pen(colors["mean"], width=1.2))
        self.items["exact"].setPen(pen(colors["exact"], width=1.4))

    def shut_down(self) -> None:
        """End the plot; the widget is of no more use."""
        super().shut_down()
        self.items.clear()
