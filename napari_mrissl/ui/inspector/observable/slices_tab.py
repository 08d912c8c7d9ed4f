"""The tab "Slices": a row of views through the whole scan, each beside each."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.pretext.observable.gaps import AXES
from napari_mrissl.pretext.observable.observations import GapMatrix
from napari_mrissl.ui.inspector.observable.heat_map import HeatMap, limits_of
from napari_mrissl.ui.recorder.parts import (
    button,
    column,
    label_of,
    row,
    sentence,
    whole_number,
)

_MOST = 64
_KINDS = ("predicted", "true", "error")
_TIP = (
    "Gaps between views in a row, from row to column. Click a cell: the navigator flies to its "
    "row's slice; click it again: to its column's. Arrow keys and T walk."
)


class SlicesTab(QWidget):
    """One large matrix, and flights of the navigator to its slices.

    Attributes
    ----------
    wanted : Signal()
        Another axis or number of slices.
    fly_wanted : Signal(int)
        To the slice of this number.
    shown_changed : Signal()
        Another matrix of the same slices, or another cell.
    map : HeatMap
        The matrix.
    """

    wanted = Signal()
    fly_wanted = Signal(int)
    shown_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._matrix: GapMatrix | None = None
        self._shown: tuple[int, int] | None = None
        self._at_second = False
        self._last: tuple[int, int] | None = None
        self.axis = QComboBox()
        self.axis.addItems([f"along {name}" for name in AXES])
        self.axis.setCurrentIndex(2)
        self.axis.setToolTip("The axis of the scan along which the views follow each other")
        self.count = whole_number(4, _MOST, 32, "How many views, from end to end of the scan")
        self.kind = QComboBox()
        self.kind.addItems(list(_KINDS))
        self.kind.setToolTip("Which matrix: the predicted gaps, the true ones, or their difference")
        self.map = HeatMap("predicted gaps along S", _TIP, 300)
        self.to_first = button("Fly to row", "Fly the slice navigator to the row's slice")
        self.to_second = button("Fly to column", "Fly the slice navigator to the column's slice")
        self.hover = sentence("The cell under the mouse, or the chosen one")
        self.facts = sentence("How good the matrix is, beside the best constant answer")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(
            row(label_of("Slices", self.count), self.count, (self.axis, 1), (self.kind, 1))
        )
        layout.addWidget(self.map)
        layout.addWidget(self.hover)
        layout.addLayout(row((self.to_first, 1), (self.to_second, 1)))
        layout.addWidget(self.facts)
        layout.addStretch(1)
        self.axis.currentIndexChanged.connect(lambda _: self.wanted.emit())
        self.count.valueChanged.connect(lambda _: self.wanted.emit())
        self.kind.currentIndexChanged.connect(self._draw)
        self.map.cell_chosen.connect(self._on_cell)
        self.map.hovered.connect(self._on_hover)
        self.to_first.clicked.connect(lambda: self._fly(0))
        self.to_second.clicked.connect(lambda: self._fly(1))
        self._allow()

    @property
    def wish(self) -> tuple[int, int]:
        """How many views, and along which axis (0 R, 1 A, 2 S)."""
        return self.count.value(), self.axis.currentIndex()

    @property
    def cell(self) -> tuple[int, int] | None:
        """The chosen pair of slices."""
        return self.map.cell

    def only_axial(self) -> None:
        """Offer no axis but S: slabs are axial."""
        with QSignalBlocker(self.axis):
            self.axis.setCurrentIndex(2)
        self.axis.setEnabled(False)

    def show_matrix(self, matrix: GapMatrix) -> None:
        """Draw the matrix of a row of views."""
        self._matrix, self._shown = matrix, self.wish
        self._draw()
        found, axis = matrix.consistency, AXES[self.axis.currentIndex()]
        self.facts.setText(
            f"Off by {found.mae_mm[axis]:.1f} mm along {axis} on average; the best constant "
            f"answer by {found.chance_mae_mm[axis]:.1f} mm. Rank correlation "
            f"{found.spearman[axis]:.2f} (chance 0)."
        )

    def give_up(self) -> None:
        """Wish for what is shown: anything else was cancelled."""
        if self._shown is not None:
            with QSignalBlocker(self.count), QSignalBlocker(self.axis):
                self.count.setValue(self._shown[0])
                self.axis.setCurrentIndex(self._shown[1])

    def clear(self, words: str = "") -> None:
        """Show nothing, and why."""
        self._matrix = self._shown = None
        self.map.clear()
        self.hover.setText("")
        self.facts.setText(words)
        self._allow()

    def _draw(self, _: object = None) -> None:
        if self._matrix is None:
            return
        axis = AXES[self.axis.currentIndex()]
        true, predicted, error = self._matrix.channel(axis)
        kind = self.kind.currentText()
        values = {"true": true, "predicted": predicted, "error": error}[kind]
        self.map.title = f"{kind} gaps along {axis}" if kind != "error" else f"errors along {axis}"
        _, high = limits_of(error) if kind == "error" else limits_of(true, predicted)
        self.map.present(values, (-high, high))
        self._on_hover(-1, -1)
        self._allow()

    def _on_cell(self, i: int, j: int) -> None:
        """A second click on a cell goes to its column."""
        same = self._last == (i, j)
        self._last = (i, j)
        self._at_second = same and not self._at_second
        self._on_hover(-1, -1)
        self._allow()
        self.shown_changed.emit()
        self._fly(int(self._at_second))

    def _fly(self, which: int) -> None:
        if self.map.cell is not None:
            self._at_second = bool(which)
            self.fly_wanted.emit(self.map.cell[which])

    def _on_hover(self, i: int, j: int) -> None:
        if self._matrix is None:
            return
        if i < 0:
            if self.map.cell is None:
                self.hover.setText("Click a cell to fly to its slices.")
                return
            i, j = self.map.cell
        axis = AXES[self.axis.currentIndex()]
        true, predicted, error = (float(one[i, j]) for one in self._matrix.channel(axis))
        self.hover.setText(
            f"{i} → {j}: true {true:+.1f} mm, predicted {predicted:+.1f} mm, error {error:+.1f} mm"
        )

    def _allow(self) -> None:
        there = self._matrix is not None and self.map.cell is not None
        for one in (self.to_first, self.to_second):
            one.setEnabled(there)
