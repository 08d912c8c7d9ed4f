"""One finetuning while it is trained: Dice in words, and a slice with classes in colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QImage
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.pretraining.follower import Follower
from napari_mrissl.ui.pretraining.run_box import RunBox
from napari_mrissl.ui.recorder.parts import button, sentence

_TILES, _GAP = 3, 2
_COVER = 0.55
DICE = "dice"
_NOT_OPEN = "a scan that is not open"


class FinetuneRunBox(RunBox):
    """Shows what a `Follower` knows of a finetuning.

    Parameters
    ----------
    follower
        Of the run.
    name_of
        What the user calls the scan of an identity; empty if it is not open.

    Attributes
    ----------
    use_wanted : Signal()
        The network as it is now is to segment scans.
    """

    use_wanted = Signal()

    def __init__(
        self, follower: Follower, name_of: Callable[[str], str], parent: QWidget | None = None
    ) -> None:
        self._name_of = name_of
        self.dice = sentence(
            "Dice of the newest crops, of crops around labels of held-out scans, and what chance "
            "is worth. In crops it is higher than in whole scans: see Results for those"
        )
        self.dice.setStyleSheet("font-weight: bold;")
        self.use = button(
            "Segment with what it has learned",
            "Segment all scans with a tick under Results by what was saved so far, finished or "
            "not: the best weights on held-out scans, or the newest where none is held out",
        )
        super().__init__(follower, parent)
        layout: Any = self.layout()
        place = layout.indexOf(self.progress)
        layout.insertWidget(place + 1, self.dice)
        layout.insertWidget(place + 2, self.use)
        self.use.clicked.connect(self.use_wanted)
        # What the user looks for first stands first.
        samples = self.sections["Samples"]
        samples.setToolTip(
            "The slice in view with what the network makes of it and its labels, in scans that it "
            "learns from or is measured on; the next picture is of where you look. Other scans "
            "are segmented under Results"
        )
        layout.removeWidget(samples)
        layout.insertWidget(layout.indexOf(self.sections["Curves"]), samples)
        self._show_dice()

    def refresh(self) -> None:
        """Draw what has come since the last time."""
        super().refresh()
        self._show_dice()

    def _show_dice(self) -> None:
        curve = self._follower.history.curves.get(DICE)
        words = []
        if curve is not None:
            for name, value in (
                ("in crops that it learns from", curve.training.last),
                ("in crops of held-out scans", curve.validation.last),
            ):
                if not math.isnan(value):
                    words.append(f"{value:.3f} {name}")
            if words and curve.chance is not None:
                words.append(f"{curve.chance:.3f} by chance")
        self.dice.setText(f"Dice {', '.join(words)}" if words else "")
        self.dice.setVisible(bool(words))
        state = self._follower.state
        self.use.setVisible(state is not None)

    def _on_picture(self, picture: Any, image: QImage, scan: str = "") -> None:
        run = self._follower.run
        if run is not None:
            image = coloured(image, run.settings.task.get("classes", ()))
        # The run knows no name, only this window does.
        scan = self._name_of(picture.scan) or (_NOT_OPEN if picture.scan else "")
        super()._on_picture(picture, image, scan)


def coloured(image: QImage, classes: Sequence[Mapping[str, Any]]) -> QImage:
    """The run's picture of a scan, prediction and labels: the last two over the scan, in colour.

    Anything else is given back as it is.
    """
    grey = image.convertToFormat(QImage.Format.Format_Grayscale8)
    width, height = grey.width(), grey.height()
    side, rest = divmod(width - (_TILES - 1) * _GAP, _TILES)
    if rest or side < 1 or len(classes) < 2:
        return image
    buffer = grey.constBits()
    buffer.setsize(grey.sizeInBytes())
    pixels = np.frombuffer(buffer, np.uint8).reshape(height, grey.bytesPerLine())[:, :width]
    table = _table(classes)
    tiles = [pixels[:, n * (side + _GAP) : n * (side + _GAP) + side] for n in range(_TILES)]
    painted = np.repeat(pixels[..., None], 3, axis=2)
    for number in (1, 2):
        start = number * (side + _GAP)
        painted[:, start : start + side] = _over(tiles[0], tiles[number], table)
    painted = np.ascontiguousarray(painted)
    made = QImage(painted.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return made.copy()


def _over(
    scan: NDArray[np.uint8], tile: NDArray[np.uint8], table: NDArray[np.float32]
) -> NDArray[np.uint8]:
    # As the run writes them: the number of a class over that of the last one.
    numbers = np.rint(tile.astype(np.float32) / 255 * (len(table) - 1)).astype(int)
    ground = np.repeat(scan[..., None].astype(np.float32), 3, axis=2)
    mixed = (1 - _COVER) * ground + _COVER * table[numbers]
    return np.rint(np.where(numbers[..., None] > 0, mixed, ground)).astype(np.uint8)


def _table(classes: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    found = np.zeros((len(classes), 3), np.float32)
    for number, one in enumerate(classes):
        color = QColor(one.get("color") or QColor.fromHsv(number * 67 % 360, 200, 230).name())
        found[number] = (color.red(), color.green(), color.blue())
    return found
