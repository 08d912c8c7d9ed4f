"""The tab "Same place": a click, its coordinate, and where that is in another scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.ui.inspector.coordinates.work import Aligned, Found
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

TEMPLATE = "MNI152 template"
"""What is offered beside the scans that are open."""

_FAR_MM = 10.0


class PlaceTab(QWidget):
    """Picks a place, and goes to the same one in another scan.

    Attributes
    ----------
    pick_toggled : Signal(bool)
        Clicks in the viewer are to count, or no longer.
    other_changed, go_wanted, back_wanted, clear_wanted : Signal()
        Another scan, and buttons.
    """

    pick_toggled = Signal(bool)
    other_changed = Signal()
    go_wanted = Signal()
    back_wanted = Signal()
    clear_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pick = button("Pick in viewer", "Click in a 2D view of the scan")
        self.pick.setCheckable(True)
        self.other = QComboBox()
        self.other.addItem(TEMPLATE)
        self.other.setToolTip("In which scan the same coordinate is sought")
        self.other.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.other.setMinimumContentsLength(10)
        self.go = button("Go there", "Fly the navigator and the main view to the place found")
        self.back = button("Go to click", "Bring them back to the place that was clicked")
        self.remove = button("Clear", "Take both points away")
        self.clicked = sentence("The place that was clicked, and its coordinate")
        self.found = sentence("Where that coordinate is in the other scan")
        self.error = sentence("How far that is from where an affine alignment puts the click")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(self.pick, label_of("Find in", self.other), (self.other, 1)))
        layout.addWidget(self.clicked)
        layout.addWidget(self.found)
        layout.addWidget(self.error)
        layout.addLayout(row((self.go, 1), (self.back, 1), (self.remove, 1)))
        layout.addStretch(1)
        self.pick.toggled.connect(self.pick_toggled)
        self.other.currentIndexChanged.connect(lambda _: self.other_changed.emit())
        self.go.clicked.connect(self.go_wanted)
        self.back.clicked.connect(self.back_wanted)
        self.remove.clicked.connect(self.clear_wanted)
        self.clear()

    def offer(self, names: Sequence[str]) -> None:
        """Offer these scans, and the template last; what was chosen stays if it is there."""
        before = self.other.currentText()
        wanted = [*names, TEMPLATE]
        with QSignalBlocker(self.other):
            self.other.clear()
            self.other.addItems(wanted)
            self.other.setCurrentIndex(wanted.index(before) if before in wanted[:-1] else 0)

    def show_click(
        self, world: NDArray[np.float64], mm: NDArray[np.float64], in_body: bool
    ) -> None:
        """Say where was clicked and what its coordinate is."""
        place = ", ".join(f"{one:.0f}" for one in world)
        air = "" if in_body else " It is in air: its coordinate means little."
        self.clicked.setText(
            f"Clicked R, A, S = {place} mm. Its coordinate: {_side(mm[0], 'right', 'left')}, "
            f"{_side(mm[1], 'anterior', 'posterior')}, {_side(mm[2], 'superior', 'inferior')} of "
            f"the body's middle.{air}"
        )
        self.found.setText("")
        self.error.setText("")
        self._allow(clicked=True, found=False)

    def show_found(self, found: Found) -> None:
        """Say where the same coordinate is."""
        place = ", ".join(f"{one:.0f}" for one in found.world)
        far = " The scan has no such coordinate." if found.off_mm > _FAR_MM else ""
        self.found.setText(
            f"In {found.name}: R, A, S = {place} mm, where the coordinate differs by "
            f"{found.off_mm:.1f} mm.{far}"
        )
        self._allow(clicked=True, found=True)

    def show_error(self, found: Found, clicked: NDArray[np.float64], aligned: Aligned) -> None:
        """Say how far what was found is from where the alignment puts the click (3,)."""
        true = apply_affine(aligned.matrix, clicked)
        off, header = (float(np.linalg.norm(one - true)) for one in (found.world, clicked))
        outside = (
            ""
            if found.field.contains(found.field.lattice.from_world(true))
            else (" That place is not in this scan's body.")
        )
        self.error.setText(
            f"Error: {off:.1f} mm from where an affine alignment of the scans (the reference; it "
            f"errs too) puts the click. The same R, A, S is {header:.1f} mm from there."
            f"{outside}"
        )

    def clear(self, words: str = "Pick a place in the viewer to see its coordinate.") -> None:
        """Show no place."""
        self.clicked.setText(words)
        self.found.setText("")
        self.error.setText("")
        self._allow(clicked=False, found=False)

    def _allow(self, *, clicked: bool, found: bool) -> None:
        self.go.setEnabled(found)
        self.back.setEnabled(clicked)
        self.remove.setEnabled(clicked)


def _side(mm: float, more: str, less: str) -> str:
    return f"{abs(mm):.0f} mm {more if mm >= 0 else less}"
