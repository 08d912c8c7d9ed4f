"""Feature drift: which change of a scan grows, and how far features move with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QGridLayout, QWidget

from napari_mrissl.features.drift import CHANGES, STRONGEST, Change, Series, drift_table
from napari_mrissl.ui.explorer.measure_work import Drifted
from napari_mrissl.ui.inspector.vectorpose.parts import NumberSlider
from napari_mrissl.ui.plot_box import PlotBox
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence, whole_number

_TITLES: dict[Change, tuple[str, str]] = {
    "bias": ("Bias field", "bias: largest change of brightness, as a logarithm"),
    "noise": ("Noise", "noise: spread, 1 is from black to white"),
    "gamma": ("Gamma", "gamma: exponent of the grey values"),
    "blur": ("Blur", "blur: standard deviation, mm"),
}
_FIRST: dict[Change, float] = {"bias": 1.0, "noise": 0.2, "gamma": 2.5, "blur": 3.0}
_LEAST: dict[Change, float] = {"bias": 0.05, "noise": 0.01, "gamma": 1.05, "blur": 0.1}
_MISSING = "Curves need pyqtgraph, which is not installed: install napari-mrissl[app]."
_TIP = (
    "One less the mean cosine of features with those of the unchanged scan, over its tissue: 0 "
    "has not moved. Dashed: voxels drawn at random, as far as features that know no place"
)
_KEPT = 12
# Distinct for colour-blind readers (Okabe-Ito), on dark and on light ground.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8a6d00", "#444444")
_DARK_COLORS = ("#56b4e9", "#e06c2b", "#2fc79a", "#e08fc0", "#f0e442", "#cccccc")


class DriftInputs(QWidget):
    """Which change, up to which strength, in how many steps."""

    def __init__(self) -> None:
        super().__init__()
        self.change = QComboBox()
        self.change.setToolTip("What of the scan's appearance changes step by step")
        for change in CHANGES:
            self.change.addItem(_TITLES[change][0], change)
        self.change.setCurrentIndex(CHANGES.index("noise"))
        self.strongest = NumberSlider(
            0, 1, 1, "The strongest change, at the end of the curve", "", 2
        )
        self.steps = whole_number(1, 20, 5, "Strengths besides none; each computes features once")
        self.cost = sentence("What measuring takes; features of changed scans are not kept")
        self._seconds: float | None = None
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        grid.addWidget(label_of("Change", self.change), 0, 0)
        grid.addLayout(
            row((self.change, 2), label_of("in steps", self.steps), (self.steps, 1)), 0, 1
        )
        grid.addWidget(label_of("Up to", self.strongest), 1, 0)
        grid.addWidget(self.strongest, 1, 1)
        grid.addWidget(self.cost, 2, 0, 1, 2)
        self.change.currentIndexChanged.connect(lambda _: self._offer())
        self.steps.valueChanged.connect(lambda _: self._show_cost())
        self._offer()
        self._show_cost()

    @property
    def chosen(self) -> Change:
        """The change."""
        return CHANGES[self.change.currentIndex()]

    @property
    def series(self) -> Series:
        """What is to be measured."""
        return Series(change=self.chosen, strongest=self.strongest.value, steps=self.steps.value())

    def take(self, series: Series) -> None:
        """Show what is to be measured."""
        self.change.setCurrentIndex(CHANGES.index(series.change))
        self.strongest.set_value(series.strongest)
        with QSignalBlocker(self.steps):
            self.steps.setValue(series.steps)
        self._show_cost()

    def show_seconds(self, seconds: float | None) -> None:
        """Say what measuring takes where features of the scan take so long; None is unknown."""
        self._seconds = seconds
        self._show_cost()

    def _show_cost(self) -> None:
        # The unchanged scan, as stored and clipped to what is displayed, and each strength.
        times = self.steps.value() + 2
        known = self._seconds is not None
        about = f": about {max(times * self._seconds, 1):.0f} s" if known else ""
        self.cost.setText(f"Features are computed {times} times{about}.")

    def _offer(self) -> None:
        change = self.chosen
        self.strongest.set_range(_LEAST[change], STRONGEST[change])
        self.strongest.set_value(_FIRST[change])
        self.strongest.box.setSuffix(" mm" if change == "blur" else "")


class DriftPage(QWidget):
    """Curves of one change, one for each scan and source of features that was measured.

    Attributes
    ----------
    export_wanted : Signal(object, str)
        A file, and the CSV text to be written to it.
    curves : list of Drifted
        All that were measured, of any change, the newest last.
    """

    export_wanted = Signal(object, str)

    def __init__(self, inputs: DriftInputs) -> None:
        super().__init__()
        self._inputs = inputs
        self._cleared: list[Drifted] = []
        self.curves: list[Drifted] = []
        self.plot = PlotBox(_MISSING, _TIP, "Features and scan of each curve", 170)
        self.facts = sentence("How far features moved")
        self.copy = button("Copy", "Copy all curves as CSV, of other changes too")
        self.export = button("Export CSV...", "Write all curves to a file, of other changes too")
        self.clear = button("Clear", "Take all curves away, or bring them back")
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        layout.addWidget(self.facts)
        layout.addLayout(row((self.copy, 1), (self.export, 1), (self.clear, 1)))
        self.copy.clicked.connect(self._on_copy)
        self.export.clicked.connect(self._on_export)
        self.clear.clicked.connect(self._on_clear)
        inputs.change.currentIndexChanged.connect(lambda _: self.present())
        self.present()

    @property
    def shown(self) -> list[Drifted]:
        """The curves of the chosen change."""
        return [one for one in self.curves if one.result.change == self._inputs.chosen]

    @property
    def table(self) -> str:
        """All curves as CSV; scans go by no name."""
        # By number, in the order in which the scans came.
        scans = list(dict.fromkeys(one.called.scan for one in self.curves))
        return drift_table(
            [
                (called.title, called.comparison, 1 + scans.index(called.scan), result)
                for called, result in self.curves
            ]
        )

    def add(self, one: Drifted) -> None:
        """Show a curve; it takes the place of one of the same features, scan and change."""
        key = (one.called, one.result.change)
        kept = [c for c in self.curves if (c.called, c.result.change) != key]
        self.curves = [*kept, one][-_KEPT:]
        self._cleared = []
        self.present()

    def present(self) -> None:
        """Draw the curves of the chosen change."""
        shown = self.shown
        for one in (self.copy, self.export):
            one.setEnabled(bool(self.curves))
        self.clear.setEnabled(bool(self.curves or self._cleared))
        self.clear.setText("Bring back" if self._cleared else "Clear")
        self.facts.setText(_words(shown[-1]) if shown else _begin(self._inputs.chosen))
        self.plot.setVisible(bool(shown))
        if not shown or not self.plot.prepared():
            return
        canvas, mark = self.plot.canvas, self.plot.drawing.mkPen
        canvas.clear()
        colors = _DARK_COLORS if self.plot.look.dark else _COLORS
        top, named = 0.05, []
        for number, one in enumerate(shown):
            found, color = one.result, colors[number % len(colors)]
            canvas.plot(
                found.strengths, found.drift, pen=mark(color, width=2), symbol="o",
                symbolSize=5, symbolBrush=color, symbolPen=None,
            )  # fmt: skip
            dashed = mark(color, width=1, style=Qt.PenStyle.DashLine)
            canvas.plot(found.strengths[[0, -1]], [found.chance] * 2, pen=dashed)
            top = max(top, found.chance, float(found.drift.max()))
            named.append((color, _named(one)))
        canvas.setYRange(0, 1.08 * top, padding=0.02)
        canvas.setXRange(
            min(float(one.result.strengths[0]) for one in shown),
            max(float(one.result.strengths[-1]) for one in shown),
            padding=0.03,
        )
        canvas.setLabel("bottom", _TITLES[self._inputs.chosen][1])
        canvas.setLabel("left", "drift")
        self.plot.show_legend(named)
        self.plot.paint()

    def set_look(self, look: Any) -> None:
        """Take a theme's colours."""
        self.plot.set_look(look)
        self.present()

    def shut_down(self) -> None:
        """End the plot."""
        self.curves, self._cleared = [], []
        self.plot.shut_down()

    def _on_copy(self) -> None:
        QApplication.clipboard().setText(self.table)

    def _on_export(self) -> None:
        found, _ = QFileDialog.getSaveFileName(
            self, "Export curves", "feature_drift.csv", "CSV (*.csv)"
        )
        if found:
            path = Path(found)
            self.export_wanted.emit(path if path.suffix else path.with_suffix(".csv"), self.table)

    def _on_clear(self) -> None:
        self.curves, self._cleared = self._cleared, self.curves
        self.present()


def _words(one: Drifted) -> str:
    found, scan = one.result, one.called.scan
    return (
        f"At {_TITLES[found.change][0].lower()} {found.strengths[-1]:.3g} features of {scan} "
        f"have drifted by {found.drift[-1]:.2f}; voxels drawn at random are {found.chance:.2f} "
        f"apart (dashed). {found.voxels} voxels of tissue."
    )


def _named(one: Drifted) -> str:
    title, scan, standardised = one.called
    return f"{title}{', standardised' if standardised else ''}: {scan}"


def _begin(change: Change) -> str:
    return f"Measure to see how far features move as {_TITLES[change][0].lower()} grows."
