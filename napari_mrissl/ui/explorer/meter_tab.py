"""The tab "Invariance": two appearances of one anatomy, and how alike their features are."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHeaderView,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_mrissl.features.drift import Series
from napari_mrissl.features.recolouring import Recolouring
from napari_mrissl.ui.explorer.drift_page import DriftInputs, DriftPage
from napari_mrissl.ui.explorer.histograms import Histograms
from napari_mrissl.ui.explorer.measure_work import Measured
from napari_mrissl.ui.inspector.vectorpose.parts import NumberSlider, fit_height
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence, whole_number

PAIR, SCAN, SERIES = "pair", "scan", "series"
"""Where images come from."""

_SIDES = (32, 48, 64, 96, 128)
_ROWS = (
    ("same place", "The best match in the other image is the very same voxel"),
    ("within {near:g} mm", "The best match is at most this far from the same place"),
    ("same label", "The best match has the label of the place, as the data engine painted it"),
)
COLUMNS = ("features", "chance")


class MeterTab(QWidget):
    """Which images are compared, a button that measures, and what was found.

    Attributes
    ----------
    measure_wanted : Signal()
        The images are to be made, their features computed and compared.
    show_wanted : Signal()
        The two images that were measured are to be added to the viewer.
    measured : Measured or None
        What is shown.
    """

    measure_wanted = Signal()
    show_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.measured: Measured | None = None
        self.images = QComboBox()
        self.images.setToolTip("Where two images of one anatomy come from")
        self.images.addItem("Pair of views from the data engine", PAIR)
        self.images.addItem("First ticked scan and a recoloured copy", SCAN)
        self.images.addItem("First ticked scan, changed step by step", SERIES)
        self.seed = whole_number(
            0, 2**31 - 1, 0, "Of the data engine; the same seed, the same pair"
        )
        self.index = whole_number(0, 10**6, 0, "Which pair of the seed")
        self.side = QComboBox()
        self.side.setToolTip("Voxels along each side of the pair")
        for side in _SIDES:
            self.side.addItem(str(side), side)
        self.side.setCurrentIndex(_SIDES.index(64))
        self.gamma = NumberSlider(
            0.3, 3.0, 1.5, "Exponent of the grey values; 1 changes nothing", "", 2
        )
        self.bias = NumberSlider(0, 1.5, 0.3, "Strength of a smooth field of brightness", "", 2)
        self.noise = NumberSlider(
            0, 0.3, 0.05, "Spread of the noise; 1 is from black to white", "", 2
        )
        self.blur = NumberSlider(0, 5, 0, "Standard deviation of a blur", " mm", 1)
        self.inverted = QCheckBox("Black and white change places")
        self.inverted.setToolTip("Bright tissues become dark, as between T1 and T2 weighting")
        self.measure = button("Measure", "Make the two images, compute and compare their features")
        self.show_images = button("Add images", "Add the two measured images to the viewer, ticked")
        self.show_images.setEnabled(False)
        self.table = QTableWidget(len(_ROWS), len(COLUMNS))
        self.table.setToolTip("How often the best match in the other image is right")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeaderItem(0).setToolTip("Share of the places, with these features")
        self.table.horizontalHeaderItem(1).setToolTip("What features that know nothing would get")
        self.table.setStyleSheet("font-size: 11px;")
        self._name_rows(5.0)
        self.facts = sentence("What was measured")
        self.histograms = Histograms()
        self.series = DriftInputs()
        self.drift = DriftPage(self.series)
        self._arrange()
        self.images.currentIndexChanged.connect(self._show_inputs)
        self.measure.clicked.connect(self.measure_wanted)
        self.show_images.clicked.connect(self.show_wanted)
        fit_height(self.table)

    @property
    def kind(self) -> str:
        """``"pair"``, ``"scan"`` or ``"series"``."""
        return str(self.images.currentData())

    @property
    def chosen_side(self) -> int:
        """Voxels along each side of a pair."""
        return int(self.side.currentData())

    @property
    def change(self) -> Recolouring:
        """What the recoloured copy looks like."""
        return Recolouring(
            gamma=self.gamma.value,
            bias=self.bias.value,
            noise=self.noise.value,
            blur_mm=self.blur.value,
            inverted=self.inverted.isChecked(),
            seed=self.seed.value(),
        )

    def state(self) -> dict[str, Any]:
        """What a session keeps."""
        return {
            "images": self.kind,
            "seed": self.seed.value(),
            "index": self.index.value(),
            "side": self.chosen_side,
            "change": self.change.model_dump(),
            "series": self.series.series.model_dump(),
        }

    def take_state(self, state: object) -> bool:
        """Take up what `state` gave; False where some of it is not usable."""
        if not isinstance(state, dict):
            return False
        try:
            change = Recolouring.model_validate(state.get("change", {}))
            series = Series.model_validate(state.get("series", {}))
        except ValueError:
            return False
        numbers = [(self.seed, state.get("seed")), (self.index, state.get("index"))]
        kind, side = self.images.findData(state.get("images")), state.get("side")
        usable = kind >= 0 and side in _SIDES and all(
            type(value) is int and box.minimum() <= value <= box.maximum() for box, value in numbers
        )  # fmt: skip
        if not usable:
            return False
        for box, value in numbers:
            with QSignalBlocker(box):
                box.setValue(value)
        self.images.setCurrentIndex(kind)
        self.side.setCurrentIndex(_SIDES.index(side))
        for field, value in (
            (self.gamma, change.gamma),
            (self.bias, change.bias),
            (self.noise, change.noise),
            (self.blur, change.blur_mm),
        ):
            field.set_value(value)
        self.inverted.setChecked(change.inverted)
        self.series.take(series)
        return True

    def show_measured(self, measured: Measured | None) -> None:
        """Show numbers, or none."""
        self.measured = measured
        self.show_images.setEnabled(measured is not None)
        self.table.clearContents()
        self.facts.setText("")
        self.histograms.present(None if measured is None else measured.result)
        if measured is None:
            return
        found = measured.result
        self._name_rows(found.near_mm)
        lines = (
            (found.found, found.chance_found),
            (found.found_near, found.chance_near),
            (found.found_label, found.chance_label),
        )
        for line, values in enumerate(lines):
            for place, value in enumerate(values):
                item = QTableWidgetItem("–" if value is None else _percent(value))
                item.setToolTip(_ROWS[line][1])
                self.table.setItem(line, place, item)
        worst = int(np.argmin(found.correlation))
        best = int(np.argmax(found.correlation))
        self.facts.setText(
            f"{found.places} places of {measured.what}. The best match is {found.distance_mm:.1f} "
            f"mm off in the median. Channels correlate from "
            f"{found.correlation[worst]:.2f} ({measured.names[worst]}) to "
            f"{found.correlation[best]:.2f} ({measured.names[best]})."
        )

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        self.histograms.set_look(look)
        self.drift.set_look(look)

    def shut_down(self) -> None:
        """End the plots."""
        self.measured = None
        self.histograms.shut_down()
        self.drift.shut_down()

    def _arrange(self) -> None:
        pair = QWidget()
        pair.setLayout(
            row(
                label_of("Seed", self.seed), (self.seed, 1), label_of("Pair", self.index),
                (self.index, 1), label_of("Side", self.side), (self.side, 1),
            )
        )  # fmt: skip
        scan = QWidget()
        grid = QGridLayout(scan)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        fields = (
            ("Gamma", self.gamma), ("Bias", self.bias), ("Noise", self.noise), ("Blur", self.blur)
        )  # fmt: skip
        for line, (text, field) in enumerate(fields):
            grid.addWidget(label_of(text, field), line, 0)
            grid.addWidget(field, line, 1)
        grid.addWidget(self.inverted, len(fields), 0, 1, 2)
        self.inputs = QStackedWidget()
        self.inputs.addWidget(pair)
        self.inputs.addWidget(scan)
        self.inputs.addWidget(self.series)
        results = QWidget()
        found = column(results)
        found.setContentsMargins(0, 0, 0, 0)
        for part in (self.facts, self.table, self.histograms):
            found.addWidget(part)
        self.results = QStackedWidget()
        self.results.addWidget(results)
        self.results.addWidget(self.drift)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(label_of("Images", self.images), (self.images, 1)))
        layout.addWidget(self.inputs)
        layout.addLayout(row((self.measure, 1), (self.show_images, 1)))
        layout.addWidget(self.results)
        layout.addStretch(1)
        self._show_inputs()

    def _show_inputs(self) -> None:
        series = self.kind == SERIES
        _turn_to(self.inputs, (PAIR, SCAN, SERIES).index(self.kind))
        _turn_to(self.results, int(series))
        # A series has no two images to look at.
        self.show_images.setVisible(not series)

    def _name_rows(self, near_mm: float) -> None:
        self.table.setVerticalHeaderLabels([text.format(near=near_mm) for text, _ in _ROWS])
        for line, (_, tip) in enumerate(_ROWS):
            self.table.verticalHeaderItem(line).setToolTip(tip)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if value < 0.1 else f"{100 * value:.0f} %"


def _turn_to(stack: QStackedWidget, page: int) -> None:
    """Show a page, with the stack no higher than it."""
    stack.setCurrentIndex(page)
    for number in range(stack.count()):
        one = stack.widget(number)
        # A stack is as high as its highest page, unless the others ask for nothing.
        policy = one.sizePolicy()
        shown = policy.Policy.Preferred if number == page else policy.Policy.Ignored
        one.setSizePolicy(policy.Policy.Preferred, shown)
    stack.adjustSize()
