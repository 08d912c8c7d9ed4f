"""How far an imagined flight has come away from the scan, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_mrissl.ui.plots import plot_widget
from napari_mrissl.ui.pretraining.curves import Look

_MISSING = "Curves need pyqtgraph, which is not installed: install napari-mrissl[app]."
_COLORS = {"imagined": "#e8590c", "first slice kept": "#2f9e44"}
_DARK_COLORS = {"imagined": "#ff922b", "first slice kept": "#51cf66"}
_TIP = (
    "Mean absolute difference of layer-normed latents from those of the true slice, over the "
    "steps: imagined, and if the first slice were simply kept"
)


class DriftPlot(QWidget):
    """Two curves over steps.

    Attributes
    ----------
    lines : dict
        pyqtgraph's lines by name; empty until the first flight.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: dict[str, Any] = {}
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

    def show_drift(self, imagined: Sequence[float], kept: Sequence[float]) -> None:
        """Draw the errors of steps 0 and on."""
        if not self._prepared():
            return
        steps = list(range(len(imagined)))
        self.lines["imagined"].setData(steps, list(imagined))
        self.lines["first slice kept"].setData(steps, list(kept))

    def clear(self) -> None:
        """Draw nothing."""
        for line in self.lines.values():
            line.setData([], [])

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
        for name, line in self.lines.items():
            line.setPen(pen(self._palette[name], width=1.8))

    def shut_down(self) -> None:
        """End the canvas; the plot is of no more use."""
        if self._canvas is not None:
            self._canvas.close()
        self._canvas = self._drawing = None
        self.lines.clear()

    @property
    def _palette(self) -> dict[str, str]:
        return _DARK_COLORS if self._look.dark else _COLORS

    def _prepared(self) -> bool:
        """Whether there is pyqtgraph; looked for when the first curve is to be drawn."""
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
        canvas.setMinimumHeight(110)
        # Its own hint is larger than a dock.
        canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.lines = {name: canvas.plot([], []) for name in _COLORS}
        self._canvas = canvas
        self.layout().addWidget(canvas, 1)
        self.set_look(self._look)
        return True

    def _show_legend(self) -> None:
        names = "&nbsp;&nbsp;".join(
            f'<span style="color:{color}">━ {name}</span>' for name, color in self._palette.items()
        )
        self.legend.setText(f"Latent error over steps:&nbsp; {names}")
