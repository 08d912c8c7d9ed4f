"""The tab "Crop": where the crop is, how it is turned, and what the network makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QWidget

from napari_mrissl.pretext import cube
from napari_mrissl.pretext.vectorpose.decode import Summary
from napari_mrissl.ui.inspector.vectorpose.choice import SCALES
from napari_mrissl.ui.inspector.vectorpose.crop_view import LinkedCrop
from napari_mrissl.ui.inspector.vectorpose.hints import NO_VECTORS
from napari_mrissl.ui.inspector.vectorpose.parts import NumberSlider
from napari_mrissl.ui.inspector.vectorpose.work import CropSeen
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

AXES = ("S", "A", "R")
_ORDERS = tuple(itertools.permutations(range(3)))
_RIGHT, _WRONG = "#2f9e44", "#e5484d"


class CropTab(QWidget):
    """Controls of the crop, the crop itself and the errors beside chance.

    Parameters
    ----------
    viewer
        That the view of the crop is linked with.

    Attributes
    ----------
    edited : Signal()
        Place, scale or orientation were changed by the user.
    pick_toggled : Signal(bool)
        Clicks in the viewer are to move the crop, or no longer.
    resample_wanted, show_wanted, back_wanted, forward_wanted : Signal()
        Buttons.
    """

    edited = Signal()
    pick_toggled = Signal(bool)
    resample_wanted = Signal()
    show_wanted = Signal()
    back_wanted = Signal()
    forward_wanted = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pick = button("Pick in viewer", "Click in a 2D view of the scan to place the crop")
        self.pick.setCheckable(True)
        self.resample = button("Resample", "Another random crop, drawn as in training")
        self.show_crop = button("Go to crop", "Bring the main view to the middle of the crop")
        self.back = button("Back", "Take back the last change of the crop")
        self.forward = button("Forward", "Do the change again that was taken back")
        self.places = {
            name: NumberSlider(
                -100, 100, 0, f"Middle of the crop along the scan's {name} axis, from its middle",
                " mm",
            )
            for name in AXES
        }  # fmt: skip
        self.scale = NumberSlider(
            *SCALES, 1.0, "Edge of the crop: a factor on the edge of the run", "", 2
        )
        self.order = QComboBox()
        for order in _ORDERS:
            self.order.addItem(" ".join(AXES[axis] for axis in order), order)
        self.order.setToolTip("Which axes of the scan become the axes of the crop: a turn")
        self.flips = [QCheckBox(f"{number}.") for number in (1, 2, 3)]
        for number, flip in enumerate(self.flips, 1):
            flip.setText(f"flip {number}")
            flip.setToolTip(f"Mirror the crop along its axis {number}")
        self.view = LinkedCrop(viewer)
        self.position = sentence("Distance of the predicted and the true centre of the crop")
        self.size = sentence("Predicted over true edge of the crop")
        self.turned = sentence("Whether the nearest of the 48 orientations is the true one")
        self.hints = sentence("Known failures of the method that apply here")
        self.hints.setStyleSheet("font-size: 11px;")
        self._arrange()
        for one in (*self.places.values(), self.scale):
            one.changed.connect(self.edited)
        self.order.currentIndexChanged.connect(lambda _: self.edited.emit())
        for flip in self.flips:
            flip.toggled.connect(lambda _: self.edited.emit())
        self.pick.toggled.connect(self.pick_toggled)
        self.resample.clicked.connect(self.resample_wanted)
        self.show_crop.clicked.connect(self.show_wanted)
        self.back.clicked.connect(self.back_wanted)
        self.forward.clicked.connect(self.forward_wanted)

    @property
    def offsets(self) -> NDArray[np.float64]:
        """(3,) mm along the scan's axes from its middle."""
        return np.array([one.value for one in self.places.values()])

    @property
    def element(self) -> int:
        """The orientation, of `cube.ELEMENTS`."""
        matrix = np.zeros((3, 3))
        for new, old in enumerate(self.order.currentData()):
            matrix[new, old] = -1 if self.flips[new].isChecked() else 1
        return cube.nearest(matrix)

    def set_extent(self, half: NDArray[np.float64]) -> None:
        """Let the sliders reach from face to face of a scan, half its lengths in mm."""
        for one, reach in zip(self.places.values(), half, strict=True):
            one.set_range(-float(reach), float(reach))

    def show_choice(self, offsets: NDArray[np.float64], scale: float, element: int) -> None:
        """Show a crop's place, scale and orientation, without a signal."""
        for one, value in zip(self.places.values(), offsets, strict=True):
            one.set_value(float(value))
        self.scale.set_value(scale)
        axes, signs = cube.signed_axes(element)
        with QSignalBlocker(self.order):
            self.order.setCurrentIndex(_ORDERS.index(axes))
        for flip, sign in zip(self.flips, signs, strict=True):
            with QSignalBlocker(flip):
                flip.setChecked(sign < 0)

    def show_history(self, *, back: bool, forward: bool) -> None:
        """Whether there is something to take back, or to do again."""
        self.back.setEnabled(back)
        self.forward.setEnabled(forward)

    def show_seen(self, seen: CropSeen, chance: Summary | None, hints: Sequence[str]) -> None:
        """Show a crop and what the network says of it."""
        self.view.present(seen.image, seen.record)
        self.hints.setText("\n".join(f"• {hint}" for hint in hints))
        view = seen.view
        if view is None or chance is None:
            self.position.setText(NO_VECTORS)
            self.size.setText("")
            self.turned.setText("")
            return
        reading = view.reading
        self.position.setText(
            f"Position off by {reading.position_error_mm:.1f} mm "
            f"(chance {chance.position_error_mm:.1f} mm)"
        )
        self.size.setText(
            f"Scale ratio {reading.scale_ratio:.2f} (chance off by "
            f"{100 * chance.scale_error:.0f} %)"
        )
        right = reading.orientation_right
        self.turned.setText(
            f"Orientation {'right ✔' if right else 'wrong ✘'} "
            f"(chance right {100 * chance.orientation_accuracy:.0f} %)"
        )
        self.turned.setStyleSheet(f"color: {_RIGHT if right else _WRONG};")

    def clear(self) -> None:
        """Show no crop."""
        self.view.clear()
        for one in (self.position, self.size, self.turned, self.hints):
            one.setText("")

    def _arrange(self) -> None:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        fields = {**self.places, "Scale": self.scale}
        for number, (name, field) in enumerate(fields.items()):
            grid.addWidget(label_of(name, field), number, 0)
            grid.addWidget(field, number, 1)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row((self.pick, 1), (self.resample, 1), (self.show_crop, 1)))
        layout.addLayout(grid)
        layout.addLayout(row(label_of("Axes", self.order), (self.order, 1), *self.flips))
        layout.addLayout(row((self.back, 1), (self.forward, 1)))
        layout.addWidget(self.view, 1)
        for one in (self.position, self.size, self.turned, self.hints):
            layout.addWidget(one)
