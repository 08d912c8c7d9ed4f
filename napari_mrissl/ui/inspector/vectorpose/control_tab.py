"""The tab "Controls": the network on many crops, beside predictors that know nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_mrissl.errors import printable
from napari_mrissl.evaluation.vectorpose import Report
from napari_mrissl.ui.inspector.vectorpose.hints import NO_RESTORATION, NO_VECTORS
from napari_mrissl.ui.inspector.vectorpose.parts import fit_height
from napari_mrissl.ui.inspector.work import RunChoice
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence, whole_number

ROWS = ("network", "constant", "inverted", "shuffled run")
COLUMNS = ("mm off", "scale", "right", "r", "θ", "φ")
_KEYS = (
    "position_error_mm",
    "scale_ratio_error",
    "orientation_accuracy",
    "r_error",
    "theta_error",
    "phi_error",
)
_TIPS = (
    "Median distance of predicted and true centres, mm",
    "Median error of the edge, per cent",
    "Share of right orientations, per cent",
    "Mean error of lengths, as a share of R",
    "Mean error of theta, as a share of half a turn",
    "Mean error of phi, as a share of half a turn",
)
_ROW_TIPS = (
    "The loaded network",
    "The best constant answer: chance",
    "The network, shown the crops with black and white exchanged",
    "A network that was trained on targets of other samples",
)


class ControlTab(QWidget):
    """A row for each predictor.

    Attributes
    ----------
    measure_wanted : Signal()
        The crops are to be measured.
    save_wanted : Signal(str)
        The report is to be written into a new folder of this name.
    report : Report or None
        What is shown.
    """

    measure_wanted = Signal()
    save_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.report: Report | None = None
        self.count = whole_number(1, 10_000, 32, "How many random crops are measured")
        self.seed = whole_number(0, 2**31 - 1, 0, "Of the crops; the same seed draws the same")
        self.shuffled = QComboBox()
        self.shuffled.setToolTip("A run trained with shuffled targets, as one more control")
        self.shuffled.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.measure = button("Measure", "Measure the network and the controls on random crops")
        self.save = button("Save report...", "Write these numbers, a table and figures to a folder")
        self.save.setEnabled(False)
        self.table = QTableWidget(len(ROWS), len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setVerticalHeaderLabels(ROWS)
        self.table.setToolTip("Errors of the network beside predictors that know nothing")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setStyleSheet("font-size: 11px;")
        for number, tip in enumerate(_TIPS):
            self.table.horizontalHeaderItem(number).setToolTip(tip)
        for number, tip in enumerate(_ROW_TIPS):
            self.table.verticalHeaderItem(number).setToolTip(tip)
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.facts = sentence("What the numbers mean")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(
            row(label_of("Crops", self.count), (self.count, 1), label_of("Seed", self.seed),
                (self.seed, 1))
        )  # fmt: skip
        layout.addLayout(row(label_of("Shuffled run", self.shuffled), (self.shuffled, 1)))
        layout.addLayout(row((self.measure, 1), (self.save, 1)))
        layout.addWidget(self.table)
        layout.addWidget(self.facts)
        layout.addStretch(1)
        fit_height(self.table)
        self.measure.clicked.connect(self.measure_wanted)
        self.save.clicked.connect(self._on_save)
        self.list_runs(())

    @property
    def shuffled_run(self) -> Path | None:
        """The run that is one more control."""
        found = self.shuffled.currentData()
        return None if found is None else Path(found)

    def list_runs(self, runs: Sequence[RunChoice]) -> None:
        """Offer the runs of this method that were trained on shuffled targets."""
        before = self.shuffled.currentData()
        with QSignalBlocker(self.shuffled):
            self.shuffled.clear()
            self.shuffled.addItem("none", None)
            for run in runs:
                if run.shuffled and run.method == "vectorpose":
                    self.shuffled.addItem(printable(run.folder.name), str(run.folder))
            place = self.shuffled.findData(before) if before is not None else 0
            self.shuffled.setCurrentIndex(max(place, 0))

    def show_report(self, report: Report | None) -> None:
        """Show numbers, or none."""
        self.report = report
        self.save.setEnabled(report is not None)
        self.table.clearContents()
        self.facts.setText("")
        if report is None:
            return
        numbers = report.numbers
        if "position_error_mm" in numbers:
            controls = numbers["controls"]
            lines = (
                {key: numbers[key] for key in _KEYS},
                {key: numbers[f"chance_{key}"] for key in _KEYS},
                controls["inverted_input"],
                controls.get("shuffled_run"),
            )
            for line, values in enumerate(lines):
                for place, key in enumerate(_KEYS):
                    value = None if values is None else values[key]
                    item = QTableWidgetItem(_said(key, value))
                    item.setToolTip(f"{_ROW_TIPS[line]}. {_TIPS[place]}")
                    self.table.setItem(line, place, item)
        self.facts.setText(self._words(numbers))

    @staticmethod
    def _words(numbers: dict) -> str:
        said = []
        if "position_error_mm" in numbers:
            better = all(numbers[key] < numbers[f"chance_{key}"] for key in _KEYS[3:])
            said.append(
                "Errors of r, θ and φ are all below those of the best constant answer."
                if better
                else "Not all of r, θ and φ are better than the best constant answer: on this scan "
                "the network does not know where crops are."
            )
            said.append(f"{100 * numbers['mirrored_only']:.0f} % exchange left and right alone.")
        else:
            said.append(NO_VECTORS)
        restored = numbers.get("restoration")
        if restored:
            said.append(
                f"Restored crops are off by {restored['error_all']:.3f}; left spoiled, or filled "
                f"with one grey value, {restored['chance_error_all']:.3f}."
            )
        else:
            said.append(NO_RESTORATION)
        return " ".join(said)

    def _on_save(self) -> None:
        found, _ = QFileDialog.getSaveFileName(self, "A new folder for the report")
        if found:
            self.save_wanted.emit(found)


def _said(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    if key == "position_error_mm":
        return f"{value:.1f}"
    if key in ("scale_ratio_error", "orientation_accuracy"):
        return f"{100 * value:.0f} %"
    return f"{value:.3f}"
