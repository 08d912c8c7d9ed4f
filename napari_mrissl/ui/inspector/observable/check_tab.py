"""The tab "Check": how far a matrix agrees with itself and with the truth, beside chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtWidgets import QWidget

from napari_mrissl.pretext.observable.gaps import CHANNELS, off_diagonal
from napari_mrissl.pretext.observable.observations import GapMatrix
from napari_mrissl.ui.inspector.observable.dealt import dealt
from napari_mrissl.ui.inspector.observable.hints import ZERO
from napari_mrissl.ui.inspector.observable.reliability_plot import ReliabilityPlot
from napari_mrissl.ui.inspector.observable.tables import fill, number_table
from napari_mrissl.ui.inspector.vectorpose.parts import fit_height
from napari_mrissl.ui.recorder.parts import column, sentence

_COLUMNS = tuple(
    (name, f"Along {name}" if len(name) == 1 else "Lengths of gaps") for name in CHANNELS
)
LINES = ("off, mm", "chance", "rank", "chance", "slope")
_ITSELF = ("this", "chance")


class CheckTab(QWidget):
    """Two tables, a plot, and the failures that these numbers show."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.facts = sentence("Whose answers these numbers are of")
        self.truth = number_table(
            _COLUMNS,
            "Against the truth: mean absolute errors in mm beside the best constant answer, rank "
            "correlations beside 0, and slopes, which are 1 where the scale is right",
            chosen=False,
        )
        self.itself = number_table(
            (
                ("diagonal", "Mean predicted gap of a view from itself, in mm; 0 is right"),
                ("there + back", "Mean length of a gap plus the one back, in mm; 0 is right"),
                ("triangles", "Share of triples whose longest side exceeds the other two; 0"),
            ),
            "Against itself; chance: the true gaps, dealt out to the cells at random. No chance is "
            "shown where a head cannot contradict itself",
            chosen=False,
        )
        self.plot = ReliabilityPlot()
        self.hints = sentence("Known failures of the method that these numbers show")
        self.hints.setStyleSheet("font-size: 11px;")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        for one in (self.facts, self.truth, self.itself):
            layout.addWidget(one)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.hints)
        self.clear()

    def show_matrix(self, matrix: GapMatrix, head: str, hints: Sequence[str]) -> None:
        """Show the numbers of the answers of a head."""
        found = matrix.consistency
        names = list(CHANNELS)
        fill(
            self.truth,
            [
                [f"{found.mae_mm[name]:.1f}" for name in names],
                [f"{found.chance_mae_mm[name]:.1f}" for name in names],
                [_known(found.spearman[name]) for name in names],
                ["0"] * len(names),
                [_known(found.slope[name]) for name in names],
            ],
            LINES,
        )
        if matrix.closed:
            # Beside chance these would look like something that was learned.
            fill(self.itself, [["0"] * 3], _ITSELF[:1])
            for place in range(3):
                self.itself.item(0, place).setToolTip(ZERO)
        else:
            fill(
                self.itself,
                [
                    _own(one.diagonal_mm, one.antisymmetry_mm, one.triangle_violations)
                    for one in (found, dealt(matrix))
                ],
                _ITSELF,
            )
        for table in (self.truth, self.itself):
            fit_height(table)
        others = off_diagonal(len(matrix))
        true, predicted, _ = matrix.channel("norm")
        self.plot.present(true[others], predicted[others], found.bins)
        zero = f" Against itself it is {ZERO}." if matrix.closed else ""
        self.facts.setText(f"By the {head}, {len(matrix)} views, {int(others.sum())} pairs.{zero}")
        self.hints.setText("\n".join(f"• {hint}" for hint in hints))

    def clear(self, words: str = "") -> None:
        """Show nothing, and why."""
        for table in (self.truth, self.itself):
            table.setRowCount(0)
            fit_height(table)
        self.plot.clear()
        self.facts.setText(words)
        self.hints.setText("")


def _own(diagonal: float, antisymmetry: float, triangles: float) -> list[str]:
    return [f"{diagonal:.1f} mm", f"{antisymmetry:.1f} mm", f"{100 * triangles:.0f} %"]


def _known(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
