"""Histograms of cosines: the same place, the same label, and others."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_mrissl.features.invariance import BINS, Invariance
from napari_mrissl.ui.plot_box import PlotBox

_MISSING = "Histograms need pyqtgraph, which is not installed: install napari-mrissl[app]."
_TIP = (
    "Cosines between the two images: of a place with itself, of other places with its "
    "label, and of all others; the further apart, the better"
)
# Distinct for colour-blind readers (Okabe-Ito), on dark and on light ground.
_COLORS = {"same place": "#0072b2", "same label": "#009e73", "other": "#d55e00"}
_DARK_COLORS = {"same place": "#56b4e9", "same label": "#f0e442", "other": "#e06c2b"}
_WORDS = {"same place": "same place", "same label": "same label", "other": "other places"}


class Histograms(PlotBox):
    """Three lines over the cosine from -1 to 1, each as high as 1 at its peak.

    Attributes
    ----------
    lines : dict
        What is drawn, by name.
    """

    def __init__(self) -> None:
        super().__init__(
            _MISSING, _TIP, "How alike features are: cosines, each line scaled to its peak"
        )
        self.lines: dict[str, Any] = {}
        self._known: set[str] = set()

    def present(self, found: Invariance | None) -> None:
        """Draw what was measured, or nothing."""
        if found is None:
            for line in self.lines.values():
                line.setData([], [])
            return
        if not self.prepared():
            return
        middles = (BINS[:-1] + BINS[1:]) / 2
        shares = {
            "same place": found.same_place,
            "same label": found.same_label,
            "other": found.other,
        }
        self._known = {name for name, values in shares.items() if values is not None}
        for name, values in shares.items():
            if values is None:
                self.lines[name].setData([], [])
            else:
                self.lines[name].setData(middles, values / max(float(np.max(values)), 1e-12))
        self.paint()

    def prepared(self) -> bool:
        """Whether there is a plot, with its lines."""
        if not super().prepared():
            return False
        if not self.lines:
            self.canvas.setXRange(-1, 1, padding=0.01)
            self.canvas.setYRange(0, 1, padding=0.02)
            self.canvas.setLabel("bottom", "cosine between the two images")
            self.canvas.getAxis("left").setStyle(showValues=False)
            self.lines = {name: self.canvas.plot([], []) for name in _COLORS}
        return True

    def paint(self) -> None:
        """Draw in the theme's colours; only lines that are there are named."""
        super().paint()
        if self.canvas is None:
            return
        colors = _DARK_COLORS if self.look.dark else _COLORS
        self.show_legend([(colors[name], _WORDS[name]) for name in _COLORS if name in self._known])
        for name, line in self.lines.items():
            line.setPen(self.drawing.mkPen(colors[name], width=2))

    def shut_down(self) -> None:
        """End the plot; the widget is of no more use."""
        super().shut_down()
        self.lines.clear()
