"""The tab "Chunks": which parts of two views face each other, by their features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.pretext.observable import chunks
from napari_mrissl.ui.inspector.observable import boxes
from napari_mrissl.ui.inspector.observable.heat_map import HeatMap
from napari_mrissl.ui.inspector.observable.legend import legend
from napari_mrissl.ui.inspector.observable.pair_pictures import PairPictures
from napari_mrissl.ui.inspector.observable.work import ChunkSeen, ChunksSeen
from napari_mrissl.ui.recorder.parts import column, label_of, row, sentence

if TYPE_CHECKING:
    from napari.components import ViewerModel

LABELS = ("i", "j", "i'", "j'")
_TIP = (
    "How alike the four chunks are, -1 to 1; click a cell to see its two chunks. i and j face "
    "each other, i' and j' are on the far sides."
)
_NONE = "All pairs of views are too near to each other: their chunks would cross. Draw other views."


class ChunksTab(QWidget):
    """One pair's four chunks, and how often controls find those that face each other.

    Parameters
    ----------
    viewer
        That the slices of two chunks are linked with.

    Attributes
    ----------
    pair_changed : Signal()
        Another pair of views.
    cell_changed : Signal()
        Other two of the chunks.
    """

    pair_changed = Signal()
    cell_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.seen: ChunksSeen | None = None
        self.pair = QComboBox()
        self.pair.setToolTip("Two views that are far enough apart for their chunks not to cross")
        self.legend = legend(
            (boxes.ADJACENT, "facing"), (boxes.DISTANT, "far"), (boxes.CHOSEN, "chosen")
        )
        self.maps = (
            HeatMap("by the network", _TIP, 190),
            HeatMap("by grey values", f"Needs no network. {_TIP}", 190),
        )
        self.verdict = sentence("Whether the right chunks are most and least alike")
        self.pictures = PairPictures(viewer)
        self.facts = sentence("How often the chunks that face each other were found, and by whom")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(label_of("Pair", self.pair), (self.pair, 1), self.legend))
        layout.addLayout(row(*((one, 1) for one in self.maps)))
        layout.addWidget(self.verdict)
        layout.addWidget(self.facts)
        layout.addWidget(self.pictures)
        layout.addStretch(1)
        self.pair.currentIndexChanged.connect(self._on_pair)
        for one in self.maps:
            one.cell_chosen.connect(self._on_cell)

    @property
    def chosen(self) -> ChunkSeen | None:
        """The pair that is shown."""
        number = self.pair.currentIndex()
        return None if self.seen is None or number < 0 else self.seen.pairs[number]

    @property
    def cell(self) -> tuple[int, int]:
        """Which two of the four chunks are looked at."""
        return self.maps[0].cell or chunks.ADJACENT

    def show_chunks(self, seen: ChunksSeen) -> None:
        """Show the pairs of some views, the first one in detail."""
        self.seen = seen
        with QSignalBlocker(self.pair):
            before = self.pair.currentText()
            self.pair.clear()
            for one in seen.pairs:
                mark = "✔" if one.view.adjacent_right else "✘"
                self.pair.addItem(f"views {one.view.i} and {one.view.j}  {mark}")
            self.pair.setCurrentIndex(max(0, self.pair.findText(before)) if seen.pairs else -1)
        self.pair.setEnabled(bool(seen.pairs))
        if not seen.pairs:
            self._show_nothing(_NONE)
            return
        shares = ", ".join(f"{who} {100 * value:.0f} %" for who, value in seen.accuracy.items())
        dropped = f" {seen.dropped} pairs are too near and left out." if seen.dropped else ""
        self.facts.setText(f"Facing chunks found in {len(seen.pairs)} pairs: {shares}.{dropped}")
        self._on_pair()

    def clear(self, words: str = "") -> None:
        """Show nothing, and why."""
        self.seen = None
        with QSignalBlocker(self.pair):
            self.pair.clear()
        self.pair.setEnabled(False)
        self._show_nothing(words)

    def _show_nothing(self, words: str) -> None:
        for one in self.maps:
            one.clear()
        self.verdict.setText("")
        self.pictures.clear()
        self.facts.setText(words)

    def _on_pair(self, _: object = None) -> None:
        one = self.chosen
        if one is None:
            return
        view, cell = one.view, self.cell
        for values, shown in zip((view.similarity, view.raw), self.maps, strict=True):
            shown.present(values, (-1.0, 1.0), "", LABELS, written=True)
            shown.mark(cell)
        self.verdict.setText(
            f"Facing chunks most alike: {_mark(view.adjacent_right)}   far sides least alike: "
            f"{_mark(view.distant_right)}   (among chunks of two views; also among those of one, "
            f"as published: {_mark(view.adjacent_right_of_six)})"
        )
        self.pair_changed.emit()

    def _on_cell(self, row: int, column: int) -> None:
        for one in self.maps:
            one.mark((row, column))
        self.cell_changed.emit()


def _mark(right: bool) -> str:
    return "✔" if right else "✘"
