"""A small plot under its legend, made when the first numbers come, in a theme's colours."""

from __future__ import annotations

from html import escape
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_mrissl.ui.plots import plot_widget
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import sentence

_HEIGHT = 140


class PlotBox(QWidget):
    """What small plots have in common; nothing in them moves with the mouse.

    Parameters
    ----------
    missing
        What is said where pyqtgraph is not installed.
    tip
        What the plot shows.
    legend_tip
        What the lines are.
    height
        Of the plot, in pixels.
    grows
        Whether that is the least height, and the plot takes what there is.
    """

    def __init__(
        self,
        missing: str,
        tip: str,
        legend_tip: str,
        height: int = _HEIGHT,
        *,
        grows: bool = False,
    ) -> None:
        super().__init__()
        self._missing, self._tip, self._height, self._grows = missing, tip, height, grows
        self.drawing: Any = None
        self.canvas: Any = None
        self.look = Look("#262930", "#f0f1f2")
        self.missing = sentence("What the plot is drawn with")
        self.missing.hide()
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setToolTip(legend_tip)
        self.legend.hide()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addWidget(self.missing)
        self._column.addWidget(self.legend)

    def set_look(self, look: Look) -> None:
        """Take a theme's colours."""
        self.look = look
        self.paint()

    def paint(self) -> None:
        """Draw frame and lines in the theme's colours."""
        if self.canvas is None:
            return
        pen = self.drawing.mkPen(self.look.text)
        self.canvas.setBackground(self.look.background)
        for side in ("left", "bottom"):
            axis = self.canvas.getAxis(side)
            axis.setPen(pen)
            axis.setTextPen(pen)

    def show_legend(self, lines: list[tuple[str, str]], before: str = "") -> None:
        """Name lines by their colours, after some words."""
        named = (f'<span style="color:{color}">━ {escape(text)}</span>' for color, text in lines)
        self.legend.setText("&nbsp;&nbsp; ".join([*([escape(before)] if before else []), *named]))
        self.legend.setVisible(bool(lines))

    def prepared(self) -> bool:
        """Whether there is a plot; made when this is asked first."""
        if self.canvas is not None:
            return True
        if self.missing.text():
            return False
        try:
            import pyqtgraph
        except ImportError:
            self.missing.setText(self._missing)
            self.missing.show()
            return False
        self.drawing = pyqtgraph
        self.canvas = plot_widget(pyqtgraph)
        if self._grows:
            self.canvas.setMinimumHeight(self._height)
            # Its own hint is larger than a dock.
            self.canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        else:
            self.canvas.setFixedHeight(self._height)
        self.canvas.setMouseEnabled(x=False, y=False)
        self.canvas.hideButtons()
        self.canvas.setToolTip(self._tip)
        for side in ("left", "bottom"):
            # No "x0.001" beside the label: the numbers are those of the fields.
            self.canvas.getAxis(side).enableAutoSIPrefix(False)
        self._column.addWidget(self.canvas, int(self._grows))
        return True

    def shut_down(self) -> None:
        """End the plot; the widget is of no more use."""
        if self.canvas is not None:
            self.canvas.close()
            self.canvas.setParent(None)
            self.canvas.deleteLater()
            self.canvas = None
