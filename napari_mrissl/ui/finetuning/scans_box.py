"""The table of open scans: what each is for, and where its labels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_mrissl.errors import printable
from napari_mrissl.ui.finetuning.choices import USES, Use
from napari_mrissl.ui.finetuning.seen import ScanFacts
from napari_mrissl.ui.name_box import NameBox
from napari_mrissl.ui.recorder.parts import column, sentence
from napari_mrissl.ui.wheel import leave_wheel_alone

if TYPE_CHECKING:
    from napari.layers import Labels

_COLUMNS = ("Scan", "Use", "Label layer", "Marks")
_TIPS = (
    "Scans that are open in this viewer",
    "learn: its labels are learned. held out: only measured on while learning. –: not used",
    "A Labels layer on the scan's grid, beside clicks, scribbles and corrections",
    "Clicks, scribbled voxels and corrected voxels",
)
_SCAN, _USE, _MAP, _MARKS = range(4)
_NONE = "none"
_ROW = 26
_SHOWN = 4


class Row(NamedTuple):
    """What the table says of a scan.

    Attributes
    ----------
    chosen
        Its label layer, or None.
    corrected
        Voxels painted on its results.
    """

    scan: ScanFacts
    use: Use
    chosen: Labels | None
    corrected: int


class ScansBox(QWidget):
    """Shows scans and asks for changes; who owns the choices decides.

    Attributes
    ----------
    use_chosen : Signal(object, str)
        A scan's layer and what it is to be for.
    map_chosen : Signal(object, object)
        A scan's layer and its Labels layer, or None.
    zero_changed : Signal(bool)
        Whether 0 in label layers is to mean "not labelled".
    """

    use_chosen = Signal(object, str)
    map_chosen = Signal(object, object)
    zero_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Row, ...] = ()
        self._shape: tuple[object, ...] = ()
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        for number, tip in enumerate(_TIPS):
            self.table.horizontalHeaderItem(number).setToolTip(tip)
        self.table.setToolTip("Open scans, and what each is for")
        self.table.setAccessibleName("Open scans")
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(40)
        for number, width in ((_USE, 98), (_MARKS, 58)):
            header.setSectionResizeMode(number, QHeaderView.ResizeMode.Fixed)
            self.table.setColumnWidth(number, width)
        for number in (_SCAN, _MAP):
            header.setSectionResizeMode(number, QHeaderView.ResizeMode.Stretch)
        self.zero = QCheckBox("0 in label layers means not labelled")
        self.zero.setToolTip(
            "For label layers in which only some places were painted; without it 0 is background"
        )
        self.facts = sentence("How many scans are learned from and measured on")
        self.untested = sentence("Held-out scans whose labels a network made")
        self.untested.setVisible(False)
        layout = column(self)
        layout.addWidget(self.table)
        layout.addWidget(self.facts)
        layout.addWidget(self.untested)
        layout.addWidget(self.zero)
        self.zero.clicked.connect(self.zero_changed)
        self.present(())

    def present(self, rows: Sequence[Row]) -> None:
        """Show these scans; emits nothing."""
        self.rows = tuple(rows)
        shape = tuple(
            (one.scan.layer, one.scan.name, *((m.layer, m.layer.name) for m in one.scan.maps))
            for one in rows
        )
        if shape != self._shape:
            # Boxes are made anew only where there is something else to choose from.
            self._shape = shape
            self._fill()
        for number, one in enumerate(rows):
            self._show(number, one)
        self._say()

    def _fill(self) -> None:
        self.table.setRowCount(len(self.rows))
        for number, one in enumerate(self.rows):
            for place in (_SCAN, _MARKS):
                self.table.setItem(number, place, QTableWidgetItem())
            use = _box(dict(USES), _TIPS[_USE])
            use.activated.connect(
                lambda _, box=use, layer=one.scan.layer: self.use_chosen.emit(
                    layer, box.currentData()
                )
            )
            maps = _box({None: _NONE}, _TIPS[_MAP], NameBox())
            for found in one.scan.maps:
                maps.addItem(printable(found.layer.name), number)
                maps.setItemData(
                    maps.count() - 1, printable(found.layer.name), Qt.ItemDataRole.ToolTipRole
                )
            maps.activated.connect(partial(self._on_map, number))
            for place, box in ((_USE, use), (_MAP, maps)):
                self.table.setCellWidget(number, place, box)
                box.setAccessibleName(f"{_COLUMNS[place]} of {printable(one.scan.name)}")
            leave_wheel_alone(self.table)
        rows = min(max(2, len(self.rows)), _SHOWN)
        self.table.setFixedHeight(
            self.table.horizontalHeader().sizeHint().height() + rows * _ROW + 6
        )

    def _show(self, number: int, one: Row) -> None:
        usable = one.scan.volume is not None
        name, marks = self.table.item(number, _SCAN), self.table.item(number, _MARKS)
        name.setText(printable(one.scan.name))
        name.setToolTip(printable(one.scan.problem or one.scan.name))
        marks.setText(f"{sum(one.scan.mark_counts.values()) + one.corrected:,}")
        marks.setToolTip(
            f"{sum(one.scan.mark_counts.values()):,} clicked or scribbled, "
            f"{one.corrected:,} corrected voxels"
        )
        marks.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        use = self.table.cellWidget(number, _USE)
        maps = self.table.cellWidget(number, _MAP)
        use.setCurrentIndex(use.findData(one.use))
        layers = [found.layer for found in one.scan.maps]
        maps.setCurrentIndex(1 + layers.index(one.chosen) if one.chosen in layers else 0)
        # Narrow as it is, the box may show only both ends of the name.
        chosen = f" ({maps.currentText()})" if maps.currentIndex() else ""
        maps.setToolTip(f"{_TIPS[_MAP]}{chosen}")
        for box in (use, maps):
            box.setEnabled(usable)

    def _on_map(self, number: int, place: int) -> None:
        scan = self.rows[number].scan
        self.map_chosen.emit(scan.layer, scan.maps[place - 1].layer if place else None)

    def _say(self) -> None:
        learned = sum(one.use == "learn" for one in self.rows)
        held = sum(one.use == "held out" for one in self.rows)
        accepted = [
            one.scan.name
            for one in self.rows
            if one.use == "held out"
            and (found := one.scan.map_of(one.chosen)) is not None
            and found.origin == "accepted result"
        ]
        self.untested.setVisible(bool(accepted))
        self.untested.setText(_untested(accepted))
        broken = next((one.scan for one in self.rows if one.scan.problem), None)
        if not self.rows:
            self.facts.setText("Open a scan, and mark places of its classes or open a label map.")
        elif broken is not None:
            self.facts.setText(f"{printable(broken.name)}: {printable(broken.problem)}")
        else:
            self.facts.setText(f"{learned} to learn from, {held} held out, {len(self.rows)} open.")


def _untested(names: Sequence[str]) -> str:
    if not names:
        return ""
    are = "is" if len(names) == 1 else "are"
    return (
        f"{', '.join(map(printable, names))} {are} held out, but labelled by an accepted result: "
        "Dice there is agreement with an earlier network, not a test."
    )


def _box(words: Mapping[object, str], tip: str, box: QComboBox | None = None) -> QComboBox:
    box = QComboBox() if box is None else box
    for key, text in words.items():
        box.addItem(text, key)
    box.setToolTip(tip)
    box.setMinimumContentsLength(3)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box
