"""The tab "Layout": where the network thinks that the views are."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.pretext.observable.layout import Layout, Source
from napari_mrissl.pretext.observable.observations import GapMatrix
from napari_mrissl.ui.inspector.observable import boxes
from napari_mrissl.ui.inspector.observable.hints import ZERO
from napari_mrissl.ui.inspector.observable.legend import legend
from napari_mrissl.ui.inspector.observable.tables import fill, number_table
from napari_mrissl.ui.recorder.parts import column, label_of, row, sentence

SOURCES: tuple[Source, ...] = ("vectors", "norm")
_WORDS = ("vectors, least squares", "distances, scaling (MDS)")
_ABOUT = {
    "vectors": "Moved onto the true places, not turned, not scaled.",
    "norm": "Distances leave open how the views are turned: they are moved, turned and mirrored "
    "onto the true places, never scaled.",
}
_CHANCE = {
    "vectors": "all views in one point",
    "norm": "true places dealt out at random, or all in one point",
}


class LayoutTab(QWidget):
    """Places rebuilt from the predicted matrix, beside the true ones.

    Attributes
    ----------
    source_changed : Signal()
        Another way to rebuild them.
    view_chosen : Signal(int)
        A line of the table.
    found : Layout or None
        What is shown.
    """

    source_changed = Signal()
    view_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.found: Layout | None = None
        self.source = QComboBox()
        self.source.addItems(list(_WORDS))
        self.source.setToolTip(
            "What the places are rebuilt from: predicted vectors, or predicted distances alone"
        )
        self.legend = legend(
            (boxes.TRUE_VIEWS, "true boxes"),
            (boxes.PREDICTED_VIEWS, "where the network has them"),
            (boxes.SHIFTS, "from one to the other"),
            (boxes.CHOSEN, "chosen line"),
        )
        self.facts = sentence("How far off the rebuilt places are, and how badly they fit")
        self.table = number_table(
            (
                ("R", "Rebuilt minus true place along R, in mm"),
                ("A", "Rebuilt minus true place along A, in mm"),
                ("S", "Rebuilt minus true place along S, in mm"),
                ("off", "Distance of the rebuilt and the true place, in mm"),
            ),
            "How far each view is from where it is, in mm; choose a line to look at the view",
            chosen=True,
        )
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(label_of("From", self.source), (self.source, 1)))
        layout.addWidget(self.legend)
        layout.addWidget(self.facts)
        layout.addWidget(self.table, 1)
        self.source.currentIndexChanged.connect(lambda _: self.source_changed.emit())
        self.table.itemSelectionChanged.connect(self._on_line)

    @property
    def chosen(self) -> Source:
        """What places are rebuilt from."""
        return SOURCES[self.source.currentIndex()]

    def show_layout(self, matrix: GapMatrix, found: Layout, head: str) -> None:
        """Show places rebuilt from the answers of a head."""
        self.found = found
        true = matrix.views.centers_mm
        stress = f"{found.stress:.2f}: 0 where places explain all predictions"
        self.facts.setText(
            f"By the {head}: off by {found.error_mm:.1f} mm (root mean square; "
            f"{_CHANCE[found.source]}: {found.chance_mm:.1f} mm). "
            f"Stress {ZERO if matrix.closed else stress}. {_ABOUT[found.source]}"
        )
        away = found.points_mm - true
        fill(
            self.table,
            [
                [*(f"{value:+.1f}" for value in line), f"{error:.1f}"]
                for line, error in zip(away, found.errors_mm, strict=True)
            ],
            [f"view {number}" for number in range(len(true))],
        )

    def clear(self, words: str = "") -> None:
        """Show nothing, and why."""
        self.found = None
        self.table.setRowCount(0)
        self.facts.setText(words)

    def _on_line(self) -> None:
        line = self.table.currentRow()
        if self.found is not None and line >= 0 and self.table.selectedItems():
            self.view_chosen.emit(line)
