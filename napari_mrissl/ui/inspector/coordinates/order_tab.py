"""The tab "Order": how coordinates rise along the body, beside chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QTableWidget, QTableWidgetItem, QWidget

from napari_mrissl.ui.inspector.coordinates.map_tab import AXES
from napari_mrissl.ui.inspector.coordinates.work import Loaded
from napari_mrissl.ui.inspector.navigation.picture import FramedPicture, grey
from napari_mrissl.ui.recorder.parts import button, column, row, sentence

_ROWS = (*(f"Spearman, {axis}" for axis in AXES), "Error (mm)", "Found again (mm)")
_KEYS = (*(f"spearman_{axis}" for axis in AXES), "error_mm", "match_mm")
_COLUMNS = ("network", "chance", "untrained")
_SIDE = 160


class OrderTab(QWidget):
    """A table and three scatters.

    Attributes
    ----------
    measure_wanted : Signal()
        The button.
    """

    measure_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableWidget(len(_ROWS), len(_COLUMNS))
        self.table.setVerticalHeaderLabels(list(_ROWS))
        self.table.setHorizontalHeaderLabels(list(_COLUMNS))
        self.table.setToolTip("What the network reaches, what knowing nothing would, and a control")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(
            self.table.horizontalHeader().ResizeMode.Stretch
        )
        self.table.setMinimumHeight(30 * (len(_ROWS) + 1))
        self.table.setMaximumHeight(32 * (len(_ROWS) + 1))
        self.pictures = tuple(
            FramedPicture(axis, f"Place (to the right) and coordinate (up) of points, {axis}")
            for axis in AXES
        )
        self.measure = button(
            "Measure with controls",
            "Also find points again after other grey values, and ask an untrained network",
        )
        self.words = sentence("What the numbers are")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.table)
        layout.addLayout(row(*((one, 1) for one in self.pictures)))
        layout.addWidget(self.words)
        layout.addWidget(self.measure)
        layout.addStretch(1)
        self.measure.clicked.connect(self.measure_wanted)

    def show_loaded(self, loaded: Loaded) -> None:
        """Show what is known of the scan at once."""
        self._fill(loaded.numbers, {})
        said = loaded.field.axes.to_mm(loaded.located.coordinates)
        for axis, one in enumerate(self.pictures):
            one.present(grey(scatter(loaded.located.points_mm[:, axis], said[:, axis])))
        fit = " Axes are fitted to this very scan." if loaded.field.own_axes else ""
        self.words.setText(
            f"{len(said)} points of the body; in the pictures places rise to the right and "
            f"coordinates upwards.{fit}"
        )

    def show_measured(self, numbers: dict[str, Any]) -> None:
        """Show all, with the control."""
        self._fill(numbers, numbers["controls"]["untrained"])

    def clear(self) -> None:
        """Show nothing."""
        self.table.clearContents()
        self.words.setText("")
        for one in self.pictures:
            one.clear()

    def _fill(self, numbers: dict[str, Any], control: dict[str, Any]) -> None:
        for line, key in enumerate(_KEYS):
            values = (numbers.get(key), numbers.get(f"chance_{key}"), control.get(key))
            for place, value in enumerate(values):
                digits = 1 if key.endswith("_mm") else 2
                text = "" if value is None else f"{value:.{digits}f}"
                self.table.setItem(line, place, QTableWidgetItem(text))


def scatter(places: NDArray[np.float64], said: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, N) points as pixels: places to the right, what is said of them upwards, one scale."""
    both = np.stack([places - places.mean(), said - said.mean()])
    half = max(float(np.abs(both).max()), 1e-9)
    pixels = np.rint((both / half + 1) / 2 * (_SIDE - 3)).astype(int)
    image = np.zeros((_SIDE, _SIDE))
    for down in (0, 1, 2):
        for across in (0, 1, 2):
            image[_SIDE - 3 - pixels[1] + down, pixels[0] + across] = 1
    return image
