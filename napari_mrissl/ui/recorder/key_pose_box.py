"""Key poses and the smooth flight through them."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QListWidget, QWidget

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.maker import FlightMaker
from napari_mrissl.ui.recorder.parts import button, column, decimal, label_of, row

_TIMINGS = {
    "Duration": (1.0, 3600.0, 10.0, " s", "Seconds from the first key pose to the last"),
    "Speed": (1.0, 1000.0, 20.0, " mm/s", "How fast the edge of the slice moves, on average"),
}


class KeyPoseBox(QWidget):
    """Collects key poses and flies through them.

    Parameters
    ----------
    deck
        Where the slice is, and what replays and keeps the flight.
    maker
        Holds the key poses and makes the flight.
    """

    def __init__(self, deck: FlightDeck, maker: FlightMaker, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck, self._maker = deck, maker
        self.add = button("Add key pose", "Let the flight pass through the slice as it is now")
        self.list = QListWidget()
        self.list.setToolTip("Key poses in their order: centre in RAS mm, and field of view")
        self.list.setMinimumHeight(72)
        self.list.setMaximumHeight(120)
        self.go = button("Go to", "Show the chosen key pose")
        self.remove = button("Remove", "Take the chosen key pose out")
        self.undo = button("Undo", "Take back the last change of the key poses")
        self.redo = button("Redo", "Do the taken-back change again")
        self.timing = QComboBox()
        self.timing.addItems(list(_TIMINGS))
        self.timing.setToolTip("Whether the flight gets a duration or a speed")
        self.amount = decimal(*_TIMINGS["Duration"])
        self.fly = button("Fly the spline", "Fly smoothly through the key poses, as a preview")
        self.keep = button("Record as episode", "Put the smooth flight into the dataset")
        self._arrange()
        self.add.clicked.connect(self._on_add)
        self.go.clicked.connect(self._on_go)
        self.list.itemDoubleClicked.connect(self._on_go)
        self.list.currentRowChanged.connect(self.refresh)
        self.remove.clicked.connect(self._on_remove)
        self.undo.clicked.connect(maker.key_poses.undo)
        self.redo.clicked.connect(maker.key_poses.redo)
        self.timing.currentTextChanged.connect(self._on_timing)
        self.fly.clicked.connect(self._on_fly)
        self.keep.clicked.connect(self._on_keep)
        maker.key_poses.changed.connect(self.show_poses)
        self.show_poses()

    def show_poses(self) -> None:
        """List the key poses as they are."""
        row_before = self.list.currentRow()
        self.list.blockSignals(True)
        self.list.clear()
        for number, pose in enumerate(self._maker.key_poses.poses):
            self.list.addItem(f"{number + 1}   {described(pose)}")
        self.list.setCurrentRow(min(row_before, self.list.count() - 1))
        self.list.blockSignals(False)
        self.refresh()

    def refresh(self) -> None:
        """Allow what can be done."""
        deck, poses = self._deck, self._maker.key_poses
        has_scan, chosen = deck.volume is not None, self.list.currentRow() >= 0
        self.add.setEnabled(has_scan)
        self.go.setEnabled(has_scan and chosen and not deck.recording)
        self.remove.setEnabled(chosen)
        self.undo.setEnabled(poses.can_undo)
        self.redo.setEnabled(poses.can_redo)
        can = has_scan and len(poses) > 1 and not deck.recording and not self._maker.busy
        self.fly.setEnabled(can)
        self.keep.setEnabled(can)

    def _on_add(self) -> None:
        if not self._maker.key_poses.add(self._deck.state.pose):
            self._deck.said.emit("The slice has not moved since the last key pose.")
            return
        self.list.setCurrentRow(self.list.count() - 1)
        self.list.scrollToBottom()

    def _on_go(self) -> None:
        number = self.list.currentRow()
        if number >= 0 and not self._deck.recording:
            self._deck.state.set_pose(self._maker.key_poses[number])

    def _on_remove(self) -> None:
        if self.list.currentRow() >= 0:
            self._maker.key_poses.remove(self.list.currentRow())

    def _on_timing(self, name: str) -> None:
        low, high, value, suffix, tip = _TIMINGS[name]
        self.amount.setRange(low, high)
        self.amount.setValue(value)
        self.amount.setSuffix(suffix)
        self.amount.setToolTip(tip)

    def _on_fly(self) -> None:
        self._make(keep=False)

    def _on_keep(self) -> None:
        self._make(keep=True)

    def _make(self, *, keep: bool) -> None:
        amount = self.amount.value()
        if self.timing.currentText() == "Duration":
            self._maker.through_key_poses(seconds=amount, keep=keep)
        else:
            self._maker.through_key_poses(speed=amount, keep=keep)

    def _arrange(self) -> None:
        outer = column(self)
        outer.addWidget(self.add)
        outer.addWidget(self.list)
        outer.addLayout(row((self.go, 1), (self.remove, 1), (self.undo, 1), (self.redo, 1)))
        outer.addLayout(row(label_of("Timing", self.timing), self.timing, (self.amount, 1)))
        outer.addLayout(row((self.fly, 1), (self.keep, 1)))


def described(pose: Pose) -> str:
    """A pose in a line: centre and field of view."""
    r, a, s = pose.center
    return f"R {r:+.1f}  A {a:+.1f}  S {s:+.1f} mm,  fov {pose.fov:.0f} mm"
