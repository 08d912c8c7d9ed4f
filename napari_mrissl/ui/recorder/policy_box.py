"""Flights by a navigation policy."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.maker import POLICIES, FlightMaker
from napari_mrissl.ui.recorder.parts import (
    button,
    column,
    label_of,
    row,
    show_part,
    thin_bar,
    whole_number,
)


class PolicyBox(QWidget):
    """Policy, frames and seed; a flight to look at, or an episode.

    Parameters
    ----------
    deck
        Over whose scan is flown.
    maker
        Makes the flight.
    """

    def __init__(self, deck: FlightDeck, maker: FlightMaker, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck, self._maker = deck, maker
        self.policy = QComboBox()
        for number, (name, meaning) in enumerate(POLICIES.items()):
            self.policy.addItem(name)
            self.policy.setItemData(number, meaning, Qt.ItemDataRole.ToolTipRole)
        self.policy.setToolTip("How the slice moves by itself")
        self.frames = whole_number(2, 100_000, 200, "Poses in the flight, at the dataset's rate")
        self.seed = whole_number(0, 2**31 - 1, 0, "The same seed gives the same flight")
        self.generate = button("Generate", "Make a flight to look at; it is not kept")
        self.keep = button("Record as episode", "Make a flight and put it into the dataset")
        self.progress = thin_bar("How much of the flight is made")
        self.cancel = button("Cancel", "Stop making the flight; nothing of it is kept")
        outer = column(self)
        outer.addLayout(row(label_of("Policy", self.policy), (self.policy, 1)))
        outer.addLayout(
            row(
                label_of("Poses", self.frames),
                (self.frames, 1),
                label_of("Seed", self.seed),
                (self.seed, 1),
            )
        )
        outer.addLayout(row((self.generate, 1), (self.keep, 1)))
        outer.addLayout(row((self.progress, 1), self.cancel))
        self.generate.clicked.connect(self._on_generate)
        self.keep.clicked.connect(self._on_keep)
        self.cancel.clicked.connect(maker.cancel)
        maker.progressed.connect(self._on_progress)
        self.refresh()

    def refresh(self) -> None:
        """Allow what can be done."""
        busy = self._maker.busy
        can = self._deck.volume is not None and not self._deck.recording and not busy
        self.generate.setEnabled(can)
        self.keep.setEnabled(can)
        self.cancel.setEnabled(busy)
        if not busy:
            self.progress.setValue(0)

    def _on_progress(self, part: float) -> None:
        show_part(self.progress, part)

    def _on_generate(self) -> None:
        self._make(keep=False)

    def _on_keep(self) -> None:
        self._make(keep=True)

    def _make(self, *, keep: bool) -> None:
        self._maker.by_policy(
            self.policy.currentText(), self.frames.value(), self.seed.value(), keep=keep
        )
