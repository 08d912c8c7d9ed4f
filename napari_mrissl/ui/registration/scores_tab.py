"""The tab "Scores": Dice and HD95 of labels, and errors of landmarks, before and after."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_mrissl.registration.scores import STATES
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence
from napari_mrissl.ui.registration.result import Result
from napari_mrissl.ui.registration.settings_box import choice_of

_MEASURES = {
    "dice": ("Dice", "Overlap: 1 is the same; more is better"),
    "hd95_mm": ("HD95 (mm)", "95 of 100 surface points are nearer than this; less is better"),
}
_LANDMARKS = {"mean_mm": "landmarks: mean mm", "largest_mm": "landmarks: largest mm"}
_LANDMARKS_TIPS = {
    "landmarks: mean mm": "Distance of the points of both scans in mm; less is better",
    "landmarks: largest mm": "Distance of the pair that is farthest apart, in mm",
}
_FITTED = (
    "The alignment was fitted to these landmarks: their error is no measure of what it is worth."
)
_TIPS = (
    "Label, by its name where the layer says it",
    "As the files have the scans",
    "After the linear alignment alone",
    "After all of it",
)
_HINT = (
    "Choose labels of both scans to see Dice and HD95, or points in both to see their "
    "distance, before and after."
)


class ScoresTab(QWidget):
    """A table by label, one measure at a time, and below it the errors of landmarks."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: Result | None = None
        self.measure = choice_of(_MEASURES, "What the table shows of labels")
        self.copy = button("Copy", "Copy Dice and HD95 of all labels, and landmarks, as CSV")
        self.table = QTableWidget(0, 1 + len(STATES))
        self.table.setHorizontalHeaderLabels(["label", *STATES])
        self.table.setAccessibleName("Scores of labels")
        for number, tip in enumerate(_TIPS):
            self.table.horizontalHeaderItem(number).setToolTip(tip)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.fitted = sentence("Whether the landmarks say what the result is worth")
        self.hint = sentence("How to measure")
        self.hint.setText(_HINT)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(label_of("Show", self.measure), (self.measure, 1), self.copy))
        layout.addWidget(self.table, 1)
        layout.addWidget(self.fitted)
        layout.addWidget(self.hint)
        layout.addStretch(0)
        self.measure.currentIndexChanged.connect(lambda _: self._fill())
        self.copy.clicked.connect(self._on_copy)
        self.present(None)

    def present(self, result: Result | None) -> None:
        """Show the figures of a result."""
        self._result = result
        self._fill()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """What the table shows."""
        return [
            tuple(self.table.item(line, place).text() for place in range(1 + len(STATES)))
            for line in range(self.table.rowCount())
        ]

    @property
    def csv(self) -> str:
        """All figures as a table."""
        lines = [",".join(("what", "measure", *STATES))]
        result = self._result
        if result is not None:
            for label in _labels(result):
                for key in _MEASURES:
                    values = (f"{result.scores[state][label][key]:.6g}" for state in STATES)
                    lines.append(",".join((f"label {label}", key, *values)))
            if result.errors:
                for key in _LANDMARKS:
                    values = (f"{result.errors[state][key]:.6g}" for state in STATES)
                    lines.append(",".join(("landmarks", key, *values)))
        return "\n".join(lines) + "\n"

    def _fill(self) -> None:
        result, key = self._result, self.measure.currentData()
        labels = [] if result is None else _labels(result)
        lines: list[tuple[str, list[float]]] = []
        if result is not None and labels:
            scores = result.scores
            means = [_mean([scores[s][one][key] for one in labels]) for s in STATES]
            lines.append((f"mean of {len(labels)}", means))
            for one in labels:
                name = result.scans.names.get(one)
                title = f"{one} {name}" if name else str(one)
                lines.append((title, [scores[s][one][key] for s in STATES]))
        rows = [[title, *(_shown(value, key) for value in values)] for title, values in lines]
        rows += _landmarks(result)
        self.table.setRowCount(len(rows))
        for line, texts in enumerate(rows):
            for place, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if place:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                else:
                    item.setToolTip(_LANDMARKS_TIPS.get(text, text))
                self.table.setItem(line, place, item)
        measured = bool(rows)
        self.table.setVisible(measured)
        self.measure.setEnabled(bool(lines))
        fitted = result is not None and result.found.settings.initial == "landmarks"
        self.fitted.setText(_FITTED if fitted else "")
        self.fitted.setVisible(fitted)
        self.copy.setEnabled(measured)
        self.hint.setText(_hint(result, measured))
        self.hint.setVisible(bool(self.hint.text()))

    def _on_copy(self) -> None:
        QApplication.clipboard().setText(self.csv)


def _hint(result: Result | None, measured: bool) -> str:
    if measured:
        return ""
    if result is not None and result.scores:
        return "The two label maps have no label in common."
    return _HINT


def _labels(result: Result) -> list[int]:
    return sorted(result.scores[STATES[-1]]) if result.scores else []


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _shown(value: float, key: str) -> str:
    return f"{value:.3f}" if key == "dice" else f"{value:.1f}"


def _landmarks(result: Result | None) -> list[list[str]]:
    if result is None or not result.errors:
        return []
    return [
        [title, *(f"{result.errors[state][key]:.1f}" for state in STATES)]
        for key, title in _LANDMARKS.items()
    ]
