"""The tab "Position": the centre arrow while the crop slides through the scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QWidget

from napari_mrissl.pretext.vectorpose.views import DIRECTIONS, Direction, Sweep
from napari_mrissl.ui.plots import plot_widget
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import column, label_of, row, sentence

PLOTS = ("r", "theta", "phi", "error (mm)")
_LIMITS = {"r": (0.0, 1.0), "theta": (0.0, 1.0), "phi": (-1.0, 1.0)}
_WORDS = {
    "S": "Along S the true curves are flat: arrows end at the axis at the crop's own depth, so "
    "depth is not in the centre arrow.",
    "A": "Along A the arrow shortens up to the axis, and turns round beyond it.",
    "R": "Along R the arrow shortens up to the axis, and turns round beyond it.",
}
_COLORS = {"true": "#2f9e44", "predicted": "#c2359f"}
_DARK_COLORS = {"true": "#51cf66", "predicted": "#f06fd8"}
_MISSING = "Curves need pyqtgraph, which is not installed: install napari-mrissl[app]."


class PositionTab(QWidget):
    """Four curves along one axis.

    Attributes
    ----------
    direction_changed : Signal()
        Another axis was chosen.
    curves : dict of dict
        pyqtgraph's lines by plot, then by ``true`` and ``predicted``; empty until the
        first sweep.
    """

    direction_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves: dict[str, dict[str, Any]] = {}
        self._canvases: dict[str, Any] = {}
        self._titles: dict[str, QLabel] = {}
        self._marks: list[Any] = []
        self._drawing: Any = None
        self._look = Look("#262930", "#f0f1f2")
        self.direction = QComboBox()
        self.direction.addItems([f"along {name}" for name in DIRECTIONS])
        self.direction.setToolTip("The axis of the scan along which the crop slides, face to face")
        self.legend = QLabel()
        self.legend.setToolTip("How the lines are drawn; the dotted one is where the crop is now")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.facts = sentence("What to expect of the true curves, or why there are none")
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(label_of("Slide", self.direction), self.direction, (self.legend, 1)))
        layout.addLayout(self._grid, 1)
        layout.addWidget(self.facts)
        self.direction.currentIndexChanged.connect(lambda _: self.direction_changed.emit())
        self._show_legend()

    @property
    def chosen(self) -> Direction:
        """Along which axis."""
        return DIRECTIONS[self.direction.currentIndex()]

    def show_sweep(self, sweep: Sweep, at_mm: float) -> None:
        """Draw a sweep; the crop itself is at a position of it."""
        if not self._prepared():
            return
        for number, name in enumerate(PLOTS[:3]):
            self._draw(name, sweep.positions_mm, sweep.true[:, number], sweep.predicted[:, number])
        self._draw(PLOTS[3], sweep.positions_mm, None, sweep.position_errors_mm)
        highest = float(np.nanmax(sweep.position_errors_mm))
        self._canvases[PLOTS[3]].setYRange(0, max(1.0, 1.1 * highest))
        for mark in self._marks:
            mark.setValue(at_mm)
        self.facts.setText(_WORDS[sweep.direction])

    def clear(self, words: str = "") -> None:
        """Draw no curve, and say why."""
        for lines in self.curves.values():
            for line in lines.values():
                line.setData([], [])
        self.facts.setText(words)

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        self._look = look
        self._show_legend()
        if self._drawing is None:
            return
        pen = self._drawing.mkPen
        for name, canvas in self._canvases.items():
            canvas.setBackground(look.background)
            for side in ("left", "bottom"):
                axis = canvas.getAxis(side)
                axis.setPen(pen(look.text))
                axis.setTextPen(pen(look.text))
            for kind, line in self.curves[name].items():
                line.setPen(pen(self._palette[kind], width=1.8))
        for mark in self._marks:
            mark.setPen(pen(look.text, style=Qt.PenStyle.DotLine))

    def shut_down(self) -> None:
        """End the canvases; the tab is of no more use."""
        for canvas in self._canvases.values():
            canvas.close()
        self._canvases.clear()
        self.curves.clear()
        self._marks.clear()

    @property
    def _palette(self) -> dict[str, str]:
        return _DARK_COLORS if self._look.dark else _COLORS

    def _draw(self, name: str, x: NDArray[np.float64], true: NDArray[np.float64] | None,
              predicted: NDArray[np.float64]) -> None:  # fmt: skip
        lines = self.curves[name]
        if true is not None:
            lines["true"].setData(x, true)
        lines["predicted"].setData(x, predicted)

    def _prepared(self) -> bool:
        """Whether there is pyqtgraph; looked for when the first curve is to be drawn."""
        if self._drawing is not None:
            return True
        try:
            import pyqtgraph
        except ImportError:
            self.facts.setText(_MISSING)
            return False
        self._drawing = pyqtgraph
        for number, name in enumerate(PLOTS):
            title = QLabel(name)
            title.setToolTip(f"{name} over the position of the crop, mm from the scan's middle")
            canvas = plot_widget(pyqtgraph)
            canvas.setToolTip(title.toolTip())
            canvas.setMouseEnabled(x=False, y=False)
            canvas.hideButtons()
            canvas.setMinimumHeight(90)
            # Its own hint is larger than a dock.
            canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
            if name in _LIMITS:
                canvas.setYRange(*_LIMITS[name])
            kinds = ("true", "predicted") if name in _LIMITS else ("predicted",)
            self.curves[name] = {kind: canvas.plot([], []) for kind in kinds}
            mark = pyqtgraph.InfiniteLine(angle=90, movable=False)
            canvas.addItem(mark, ignoreBounds=True)
            self._marks.append(mark)
            self._canvases[name] = canvas
            line, place = divmod(number, 2)
            self._grid.addWidget(title, 2 * line, place)
            self._grid.addWidget(canvas, 2 * line + 1, place)
            self._grid.setRowStretch(2 * line + 1, 1)
            self._grid.setColumnStretch(place, 1)
        self.set_look(self._look)
        return True

    def _show_legend(self) -> None:
        self.legend.setText(
            "&nbsp;&nbsp;".join(
                f'<span style="color:{color}">━ {name}</span>'
                for name, color in self._palette.items()
            )
        )
