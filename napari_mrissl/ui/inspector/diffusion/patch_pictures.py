"""Slices of one patch side by side, all cut at the same depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QSlider, QVBoxLayout, QWidget

from napari_mrissl.pretext.observable.views import Views
from napari_mrissl.ui.inspector.navigation.picture import FramedPicture, grey, heat
from napari_mrissl.ui.inspector.observable import planes
from napari_mrissl.ui.inspector.observable.heat_map import DIVERGING
from napari_mrissl.ui.inspector.observable.planes import Block
from napari_mrissl.ui.navigator.anatomy import PLANES, Plane
from napari_mrissl.ui.recorder.parts import label_of, row

_STEPS = 100
_HEIGHT = 132


class Shown(NamedTuple):
    """What a picture shows: (Z, Y, X), its contrast, and whether values have signs."""

    values: NDArray[np.float32]
    limits: tuple[float, float] = (0.0, 1.0)
    signed: bool = False


class PatchPictures(QWidget):
    """Named pictures in rows, a plane and a depth.

    Parameters
    ----------
    rows
        Names of the pictures of each row, with what each is.

    Attributes
    ----------
    pictures : dict of FramedPicture
        By name.
    """

    def __init__(self, rows: Sequence[dict[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._views: Views | None = None
        self._shown: dict[str, Shown] = {}
        self.flipped = False
        self.pictures = {
            name: FramedPicture(name, tip, height=_HEIGHT)
            for line in rows
            for name, tip in line.items()
        }
        self.plane = QComboBox()
        self.plane.addItems(list(PLANES))
        self.plane.setToolTip("Along which plane of the scan the patch is cut")
        self.depth = QSlider(Qt.Orientation.Horizontal)
        self.depth.setRange(-_STEPS, _STEPS)
        self.depth.setMinimumWidth(60)
        self.depth.setToolTip("Step through the patch, from face to face")
        self.at = QLabel("0 mm")
        self.at.setMinimumWidth(48)
        self.at.setToolTip("How far from the middle of the patch the slices are")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row(label_of("Slices", self.plane), self.plane, (self.depth, 1), self.at))
        for line in rows:
            layout.addLayout(row(*((self.pictures[name], 1) for name in line)))
        self.plane.currentIndexChanged.connect(self._draw)
        self.depth.valueChanged.connect(self._draw)

    def present(self, views: Views, shown: dict[str, Shown]) -> None:
        """Show a patch by the names of the pictures; the others are cleared."""
        self._views, self._shown = views, shown
        self._draw()

    def clear(self) -> None:
        """Show nothing."""
        self._views, self._shown = None, {}
        for one in self.pictures.values():
            one.clear()

    def set_flipped(self, flipped: bool) -> None:
        """Show left on the right, or no longer."""
        self.flipped = flipped
        self._draw()

    def _draw(self, _: object = None) -> None:
        views = self._views
        if views is None:
            return
        plane: Plane = PLANES[self.plane.currentIndex()]
        mirrored = self.flipped and plane != "sagittal"
        for name, picture in self.pictures.items():
            if name not in self._shown:
                picture.clear()
                continue
            values, limits, signed = self._shown[name]
            block = Block(
                name, values, views.centers_world[0], views.edges_mm,
                views.vectors_to_world(np.eye(3)),
            )  # fmt: skip
            depth = self.depth.value() / _STEPS * block.edges_mm[planes.AXES[plane][2]] / 2
            cut = planes.picture(block, plane, float(depth))
            self.at.setText(f"{depth:+.0f} mm")
            letters = planes.sides(block, plane, flipped=mirrored)
            if signed:
                image = heat(cut, limits, DIVERGING, flipped=mirrored)
            else:
                image = grey(cut, limits, flipped=mirrored)
            picture.present(image, letters, smooth=False)


def difference(one: NDArray[np.float32], other: NDArray[np.float32], most: float) -> Shown:
    """How much brighter one patch is than another, in two colours up to ``most``."""
    return Shown(one - other, (-most, most), signed=True)
