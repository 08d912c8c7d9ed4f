"""Two boxes of a scan side by side, cut at the same depth and linked with the main view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QSlider, QVBoxLayout, QWidget

from napari_mrissl.ui.inspector.navigation.picture import FramedPicture, grey
from napari_mrissl.ui.inspector.observable import planes
from napari_mrissl.ui.inspector.observable.planes import Block
from napari_mrissl.ui.navigator.anatomy import PLANES, Plane
from napari_mrissl.ui.navigator.units import position_of, world_of
from napari_mrissl.ui.recorder.parts import label_of, row

if TYPE_CHECKING:
    from napari.components import ViewerModel

_STEPS = 100
_TIP = (
    "A slice as the network got it. Click: bring the main view there; the cross is where the "
    "main view is."
)


class PairPictures(QWidget):
    """Slices of two boxes.

    Both are cut at the same share of their depth. While they are linked, a click or a step
    brings the main view to that place, and a step of the main view within a box moves through
    both.

    Parameters
    ----------
    main
        The main viewer.

    Attributes
    ----------
    went : Signal()
        The main view was brought somewhere by a click.
    blocks : tuple of Block
        The two boxes, or none.
    pictures : tuple of FramedPicture
        Their slices.
    """

    went = Signal()

    def __init__(self, main: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._main = main
        self._busy = self._closed = self._flipped = False
        self.blocks: tuple[Block, ...] = ()
        self.pictures = tuple(FramedPicture("", _TIP, height=146) for _ in range(2))
        self.plane = QComboBox()
        self.plane.addItems(list(PLANES))
        self.plane.setToolTip("Along which plane of the scan both are cut")
        self.depth = QSlider(Qt.Orientation.Horizontal)
        self.depth.setRange(-_STEPS, _STEPS)
        self.depth.setMinimumWidth(60)
        self.depth.setToolTip("Step through both, from face to face")
        self.at = QLabel("0 mm")
        self.at.setMinimumWidth(48)
        self.at.setToolTip("How far from the middles of both the slices are")
        self.linked = QCheckBox("linked")
        self.linked.setChecked(True)
        self.linked.setToolTip("Keep these slices and the main view at the same place of the scan")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(
            row(label_of("Slices", self.plane), self.plane, (self.depth, 1), self.at, self.linked)
        )
        layout.addLayout(row(*((one, 1) for one in self.pictures)))
        self.plane.currentIndexChanged.connect(self._draw)
        self.depth.valueChanged.connect(self._on_depth)
        self.linked.toggled.connect(self._follow)
        for number, one in enumerate(self.pictures):
            one.clicked.connect(lambda y, x, number=number: self._on_click(number, (y, x)))
        main.dims.events.point.connect(self._follow)

    @property
    def chosen_plane(self) -> Plane:
        """Along which they are cut."""
        return PLANES[self.plane.currentIndex()]

    def present(self, first: Block, second: Block, *, flipped: bool = False) -> None:
        """Show two boxes; flipped, left is on the right."""
        self.blocks, self._flipped = (first, second), flipped
        self._draw()
        self._follow()

    def clear(self) -> None:
        """Show nothing."""
        self.blocks = ()
        for one in self.pictures:
            one.rename("")
            one.clear()

    def shut_down(self) -> None:
        """Let go of the main viewer."""
        if not self._closed:
            self._closed = True
            self._main.dims.events.point.disconnect(self._follow)
            self.clear()

    def _depth_mm(self, block: Block) -> float:
        along = planes.AXES[self.chosen_plane][2]
        return float(self.depth.value() / _STEPS * block.edges_mm[along] / 2)

    @property
    def _mirrored(self) -> bool:
        return self._flipped and self.chosen_plane != "sagittal"

    def _draw(self, _: object = None) -> None:
        world = self._place()
        for block, one in zip(self.blocks, self.pictures, strict=False):
            depth = self._depth_mm(block)
            values = planes.picture(block, self.chosen_plane, depth)
            within = None if world is None else block.within(world)
            mark = None
            if within is not None:
                y, x = planes.place_of(block, self.chosen_plane, within)
                mark = (y, 1 - x if self._mirrored else x)
            one.rename(block.name)
            letters = planes.sides(block, self.chosen_plane, flipped=self._mirrored)
            one.present(grey(values, flipped=self._mirrored), letters, mark)
        if self.blocks:
            self.at.setText(f"{self._depth_mm(self.blocks[0]):+.0f} mm")

    def _place(self) -> NDArray[np.float64] | None:
        """Where the main view is, in world RAS mm."""
        dims = self._main.dims
        if not self.linked.isChecked() or dims.ndim < 3:
            return None
        return world_of(self._main, dims.point)

    def _follow(self, _: object = None) -> None:
        """Step to where the main view is, if that is within one of the boxes."""
        if self._busy:
            return
        world = self._place()
        found = None if world is None else self._block_at(world)
        if found is not None:
            block, within = found
            along = planes.AXES[self.chosen_plane][2]
            share = float(within[along] / (block.edges_mm[along] / 2))
            with QSignalBlocker(self.depth):
                self.depth.setValue(round(_STEPS * share))
        self._draw()

    def _block_at(self, world: NDArray[np.float64]) -> tuple[Block, NDArray[np.float64]] | None:
        for block in self.blocks:
            within = block.within(world)
            if within is not None:
                return block, within
        return None

    def _on_depth(self) -> None:
        """Bring the main view along, within the box that it is in, or to the first one."""
        world = self._place()
        if world is not None and self.blocks:
            block, within = self._block_at(world) or (self.blocks[0], np.zeros(3))
            within[planes.AXES[self.chosen_plane][2]] = self._depth_mm(block)
            self._lead(block.world(within))
        self._draw()

    def _lead(self, world: NDArray[np.float64]) -> None:
        dims = self._main.dims
        self._busy = True
        try:
            dims.set_point(range(dims.ndim - 3, dims.ndim), position_of(self._main, world))
        finally:
            self._busy = False

    def _on_click(self, number: int, place: tuple[float, float]) -> None:
        if number >= len(self.blocks):
            return
        block = self.blocks[number]
        y, x = place
        place = (y, 1 - x if self._mirrored else x)
        offset = planes.offset_at(block, self.chosen_plane, self._depth_mm(block), place)
        if self._place() is None:
            return
        self._lead(block.world(offset))
        self._draw()
        self.went.emit()
