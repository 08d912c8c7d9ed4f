"""How far an imagined flight has come away from the scan, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_mrissl.ui.plot_box import PlotBox

_MISSING = "Curves need pyqtgraph, which is not installed: install napari-mrissl[app]."
_COLORS = {"imagined": "#e8590c", "first slice kept": "#2f9e44"}
_DARK_COLORS = {"imagined": "#ff922b", "first slice kept": "#51cf66"}
_TIP = (
    "Mean absolute difference of layer-normed latents from those of the true slice, over the "
    "steps: imagined, and if the first slice were simply kept"
)


class DriftPlot(PlotBox):
    """Two curves over steps.

    Attributes
    ----------
    lines : dict
        pyqtgraph's lines by name; empty until the first flight.
    """

    def __init__(self) -> None:
        super().__init__(_MISSING, _TIP, _TIP, 110, grows=True)
        self.lines: dict[str, Any] = {}

    def show_drift(self, imagined: Sequence[float], kept: Sequence[float]) -> None:
        """Draw the errors of steps 0 and on."""
        if not self.prepared():
            return
        steps = list(range(len(imagined)))
        self.lines["imagined"].setData(steps, list(imagined))
        self.lines["first slice kept"].setData(steps, list(kept))

    def clear(self) -> None:
        """Draw nothing."""
        for line in self.lines.values():
            line.setData([], [])

    def prepared(self) -> bool:
        """Whether there is a plot, with its lines."""
        if not super().prepared():
            return False
        if not self.lines:
            self.lines = {name: self.canvas.plot([], []) for name in _COLORS}
            self.paint()
        return True

    def paint(self) -> None:
        """Draw in the theme's colours."""
        super().paint()
        colors = _DARK_COLORS if self.look.dark else _COLORS
        named = [(color, name) for name, color in colors.items()]
        self.show_legend(named, "Latent error over steps:")
        for name, line in self.lines.items():
            line.setPen(self.drawing.mkPen(colors[name], width=1.8))

    def shut_down(self) -> None:
        """End the plot; the widget is of no more use."""
        super().shut_down()
        self.lines.clear()
