"""The tab "Arrows": the nine vectors in numbers, true, predicted, and how far apart."""

from __future__ import annotations

import numpy as np
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_mrissl.pretext.vectorpose.vectors import PLACES, radius_mm
from napari_mrissl.pretext.vectorpose.views import CropView
from napari_mrissl.ui.inspector.vectorpose.parts import fit_height
from napari_mrissl.ui.recorder.parts import column, sentence

_ENDS = (("I", "P", "L"), ("S", "A", "R"))
NAMES = (
    "centre",
    *("".join(_ENDS[int(end)][axis] for axis, end in enumerate(place)) for place in PLACES[1:]),
)
"""Of the nine points: the centre, then corners by the sides they are on."""

COLUMNS = ("r", "pred.", "off", "θ", "pred.", "off", "φ", "pred.", "off")
_UNITS = ("mm", "degrees", "degrees")
_WORDS = ("length", "angle to R", "angle about R, from S to A")
_BAD = (0.15, 20.0, 30.0)
_BAD_COLOR = QColor(229, 72, 77)


class ArrowTab(QWidget):
    """A row for each arrow."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableWidget(len(NAMES), len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setVerticalHeaderLabels(NAMES)
        self.table.setToolTip("Nine arrows from the crop to the body's axis")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setStyleSheet("font-size: 11px;")
        for number in range(len(COLUMNS)):
            kind, what = divmod(number, 3)
            words = ("true", "predicted", "how far apart")[what]
            self.table.horizontalHeaderItem(number).setToolTip(
                f"{_WORDS[kind]}, {words}, in {_UNITS[kind]}"
            )
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.facts = sentence("How the numbers are meant")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.table)
        layout.addWidget(self.facts)
        layout.addStretch(1)
        fit_height(self.table)

    def show_view(self, view: CropView | None, words: str = "") -> None:
        """Show a crop's arrows, or none and why."""
        if view is None:
            self.table.clearContents()
            self.facts.setText(words)
            return
        radius = radius_mm(view.record)
        units = np.array([radius, 180.0, 180.0])
        true, predicted = view.coded_true * units, view.coded_predicted * units
        apart = np.abs(predicted - true)
        apart[:, 2] = np.minimum(apart[:, 2], 360 - apart[:, 2])
        limits = (_BAD[0] * radius, *_BAD[1:])
        for line in range(len(NAMES)):
            for kind in range(3):
                values = (true[line, kind], predicted[line, kind], apart[line, kind])
                for what, value in enumerate(values):
                    item = QTableWidgetItem(f"{value:.0f}")
                    item.setToolTip(f"{value:.2f} {_UNITS[kind]}")
                    if what == 2 and value > limits[kind]:
                        item.setForeground(_BAD_COLOR)
                    self.table.setItem(line, 3 * kind + what, item)
        self.facts.setText(
            f"Lengths in mm (R = {radius:.0f} mm), angles in degrees, in the axes of the turned "
            "crop. Corners by their sides: inferior, posterior, left, superior, anterior, right."
        )
