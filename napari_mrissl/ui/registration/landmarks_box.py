"""Buttons that place landmarks in two scans, and how many pairs there are."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QPushButton, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.registration.landmark_fit import FEWEST
from napari_mrissl.ui.recorder.parts import button, column, row, sentence
from napari_mrissl.ui.registration.landmark_layers import SIDES, LandmarkLayers

_TIP = (
    "Click the same places in both scans, in the same order: the number beside a point says "
    "which belong together. Only this scan is shown meanwhile; press again to end"
)


class LandmarksBox(QWidget):
    """Places landmarks, and says what is missing.

    Parameters
    ----------
    layers
        The layers of points.

    Attributes
    ----------
    refused : Signal(str)
        Why none can be placed.
    buttons : dict of QPushButton
        By side.
    """

    refused = Signal(str)

    def __init__(self, layers: LandmarkLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self.buttons: dict[str, QPushButton] = {}
        for side in SIDES:
            made = button(f"Place in {side}", _TIP)
            made.setCheckable(True)
            made.toggled.connect(lambda on, side=side: self._on_toggled(side, on))
            self.buttons[side] = made
        self.said = sentence("How many landmarks there are in both scans")
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 2)
        layout.addLayout(row(*((one, 1) for one in self.buttons.values())))
        layout.addWidget(self.said)
        layers.changed.connect(self._present)
        self._present()

    def _on_toggled(self, side: str, on: bool) -> None:
        if not on:
            self._layers.stop()
            return
        try:
            self._layers.place(side)
        except MrisslError as error:
            self.refused.emit(str(error))
            self._present()

    def _present(self) -> None:
        for side, one in self.buttons.items():
            with QSignalBlocker(one):
                one.setChecked(side == self._layers.placing)
        self.said.setText(words_of(self._layers.counts, self._layers.placing))
        self.said.setVisible(bool(self.said.text()))


def words_of(counts: tuple[int, int] | None, placing: str = "") -> str:
    """How many pairs of landmarks there are, and which is to be placed next."""
    if counts is None:
        return ""
    fixed, moving = counts
    pairs = min(counts)
    said = f"{pairs} pair{'s' * (pairs != 1)} of landmarks"
    if fixed != moving:
        more, less = SIDES if fixed > moving else SIDES[::-1]
        said += (
            f", but {max(counts)} in the {more} and {pairs} in the {less} scan: "
            f"number {pairs + 1} is missing in the {less} one"
        )
    elif not pairs or (placing and pairs < FEWEST):
        said += f"; to begin with them takes {FEWEST}"
    if placing:
        said += f". A click places number {counts[SIDES.index(placing)] + 1} in the {placing} scan"
    return said + "."
