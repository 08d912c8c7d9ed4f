"""Live curves of every loss term, each with the line of what chance is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QResizeEvent
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_mrissl.ui.plots import plot_widget
from napari_mrissl.ui.pretraining.history import Curve, History
from napari_mrissl.ui.recorder.parts import row, sentence

_MISSING = "Curves need pyqtgraph, which is not installed: install napari-mrissl[app]."
_HEIGHT = 150
_SIDE_BY_SIDE = 520
"""Pixels of width from which two plots stand beside each other."""

# Distinct for colour-blind readers (Okabe-Ito), on dark and on light ground.
_COLORS = {"training": "#0072b2", "validation": "#e69f00", "chance": "#d55e00"}
_DARK_COLORS = {"training": "#56b4e9", "validation": "#f0e442", "chance": "#e69f00"}


class Look(NamedTuple):
    """Colours of a theme: behind the plots, of their text."""

    background: str
    text: str

    @property
    def dark(self) -> bool:
        """Whether the ground is dark."""
        return QColor(self.background).lightness() < 128


class Curves(QWidget):
    """One plot for the total and one for each loss term.

    Attributes
    ----------
    plots : dict of Plot
        By the term's name; ``"total"`` is the weighted sum.
    missing : QLabel
        Says that pyqtgraph is not installed, where it is not.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plots: dict[str, Plot] = {}
        self._look = Look("#262930", "#f0f1f2")
        self._drawing: Any = None
        self.missing = sentence("What the curves are drawn with")
        self.missing.setVisible(False)
        self.logarithmic = QCheckBox("Logarithmic")
        self.logarithmic.setToolTip("Draw losses on a logarithmic axis")
        self.logarithmic.toggled.connect(self._on_logarithmic)
        self.legend = QLabel()
        self.legend.setToolTip("How the lines of every plot are drawn")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row((self.legend, 1), self.logarithmic))
        layout.addWidget(self.missing)
        layout.addLayout(self._grid)
        self._show_legend()

    def present(self, history: History) -> None:
        """Draw what there is; plots are made when the first of their values comes."""
        curves: dict[str, Curve] = {}
        if len(history.total.training):
            curves["total"] = history.total
        # A single term with weight 1 is the total.
        curves.update(history.curves)
        if not curves or not self._prepared():
            return
        for name, curve in curves.items():
            if name not in self.plots:
                self.plots[name] = Plot(self._drawing, name, self._look)
                self.plots[name].set_logarithmic(self.logarithmic.isChecked())
                self._place()
            self.plots[name].present(curve)

    def clear(self) -> None:
        """No plot at all, as for another run."""
        for plot in self.plots.values():
            self._grid.removeWidget(plot)
            plot.shut_down()
        self.plots.clear()

    def set_look(self, look: Look) -> None:
        """Take the colours of another theme."""
        if look == self._look:
            return
        self._look = look
        for plot in self.plots.values():
            plot.set_look(look)
        self._show_legend()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """One or two plots in a row."""
        super().resizeEvent(event)
        self._place()

    def _prepared(self) -> bool:
        """Whether there is pyqtgraph; looked for when the first curve is to be drawn."""
        if self._drawing is None and not self.missing.text():
            try:
                import pyqtgraph
            except ImportError:
                self.missing.setText(_MISSING)
                self.missing.setVisible(True)
            else:
                self._drawing = pyqtgraph
        return self._drawing is not None

    def _place(self) -> None:
        columns = 2 if self.width() >= _SIDE_BY_SIDE and len(self.plots) > 1 else 1
        for number, plot in enumerate(self.plots.values()):
            self._grid.addWidget(plot, *divmod(number, columns))

    def _on_logarithmic(self, wanted: bool) -> None:
        for plot in self.plots.values():
            plot.set_logarithmic(wanted)

    def _show_legend(self) -> None:
        colors = _DARK_COLORS if self._look.dark else _COLORS
        words = {"training": "━ training", "validation": "● held out", "chance": "┅ chance"}
        self.legend.setText(
            "&nbsp;&nbsp;".join(
                f'<span style="color:{colors[name]}">{text}</span>' for name, text in words.items()
            )
        )


class Plot(QWidget):
    """One term over the steps.

    Parameters
    ----------
    drawing
        The pyqtgraph module.
    name
        Of the term.
    look
        Colours to begin with.

    Attributes
    ----------
    values
        The newest training and validation value and the chance value, as shown in words.
    """

    def __init__(self, drawing: Any, name: str, look: Look) -> None:
        super().__init__()
        self._drawing = drawing
        self.values: Mapping[str, float] = {}
        self.title = QLabel(name)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setToolTip(f"{name}: newest training value, newest held-out value, chance")
        # In a narrow dock the three values of a long name take two lines.
        self.title.setWordWrap(True)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._name = name
        # A menu and its dialogs for each plot are a hundred widgets.
        self.canvas = plot_widget(drawing)
        self.canvas.setToolTip(
            f"{name} over the steps; drag to move, wheel over an axis to zoom, "
            "the A in the corner shows all"
        )
        self.canvas.setFixedHeight(_HEIGHT)
        self.canvas.setMouseEnabled(x=True, y=True)
        # The wheel scrolls the dock; over an axis it zooms along it.
        self.canvas.viewport().installEventFilter(_wheel_filter(self.canvas))
        item = self.canvas.getPlotItem()
        item.setDownsampling(auto=True)
        item.setClipToView(True)
        self.training = self.canvas.plot([], [])
        self.validation = self.canvas.plot([], [], pen=None, symbol="o", symbolSize=5)
        self.chance = drawing.InfiniteLine(angle=0, movable=False)
        self.chance.setVisible(False)
        self._chance_value: float | None = None
        self._logarithmic = False
        self.canvas.addItem(self.chance)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.title)
        layout.addWidget(self.canvas)
        self.set_look(look)

    def present(self, curve: Curve) -> None:
        """Draw a curve as it is now."""
        self.training.setData(*curve.training.points())
        self.validation.setData(*curve.validation.points())
        self._chance_value = curve.chance
        self._show_chance()
        self.values = {
            "training": curve.training.last,
            "validation": curve.validation.last,
            "chance": math.nan if curve.chance is None else curve.chance,
        }
        words = [f"{self._name}  {number(curve.training.last)}"]
        if not math.isnan(curve.validation.last):
            words.append(f"held out {number(curve.validation.last)}")
        if curve.chance is not None:
            words.append(f"chance {number(curve.chance)}")
        self.title.setText("   ".join(words))

    def set_logarithmic(self, wanted: bool) -> None:
        """Draw on a logarithmic axis or not."""
        self._logarithmic = wanted
        self.canvas.setLogMode(y=wanted)
        self._show_chance()

    def set_look(self, look: Look) -> None:
        """Take a theme's colours."""
        colors = _DARK_COLORS if look.dark else _COLORS
        pen = self._drawing.mkPen
        self.canvas.setBackground(look.background)
        for side in ("left", "bottom"):
            axis = self.canvas.getAxis(side)
            axis.setPen(pen(look.text))
            axis.setTextPen(pen(look.text))
        self.training.setPen(pen(colors["training"], width=1.5))
        self.validation.setSymbolBrush(colors["validation"])
        self.validation.setSymbolPen(colors["validation"])
        self.chance.setPen(pen(colors["chance"], width=1.5, style=Qt.PenStyle.DashLine))

    def shut_down(self) -> None:
        """End the canvas; the plot is of no more use."""
        self.canvas.close()
        self.setParent(None)
        self.deleteLater()

    def _show_chance(self) -> None:
        value = self._chance_value
        drawable = value is not None and (value > 0 or not self._logarithmic)
        self.chance.setVisible(drawable)
        if drawable:
            self.chance.setValue(math.log10(value) if self._logarithmic else value)


def number(value: float) -> str:
    """A loss with four digits; words for what is no number."""
    return f"{value:.4g}" if math.isfinite(value) else "not a number"


def _wheel_filter(canvas: Any) -> Any:
    """Sends the wheel past the inner part of a plot, to what scrolls around it."""
    from qtpy.QtCore import QEvent, QObject

    class Filter(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() != QEvent.Type.Wheel:
                return False
            inner = self.parent().getViewBox().sceneBoundingRect()
            if not inner.contains(event.position()):
                return False
            event.ignore()
            return True

    return Filter(canvas)
