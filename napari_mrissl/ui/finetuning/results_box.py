"""Results by scan and class, what can be done with them, and the finetuning they are of."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_mrissl.errors import printable
from napari_mrissl.ui.finetuning import dice_words
from napari_mrissl.ui.finetuning.work import LABELLED, Measured, Model
from napari_mrissl.ui.recorder.parts import button, column, row, sentence

if TYPE_CHECKING:
    from napari.layers import Image

_COLUMNS = ("Scan / class", "ml", "Dice", "State")
_FORGET = (
    "Forget corrections",
    "What was painted on the selected scan's result is learned no more, nor shown; not for good",
)
_BRING_BACK = (
    "Restore corrections",
    "What was painted on the selected scan's result, and forgotten, counts again",
)
_TIPS = (
    "Scans with a tick are segmented; unfold one to see its classes",
    "Volume of the class as the layer shows it, corrections included",
    dice_words.TIP,
    "learned from, held out or new to the network; corrected; accepted; failed",
)


class Line(NamedTuple):
    """What the tree says of a scan.

    Attributes
    ----------
    measured
        Of its result; None before it has one.
    state
        In words.
    problem
        Why it has no result, in a sentence.
    corrected
        Voxels that were painted on its results.
    forgotten
        Whether such voxels were forgotten, and can be brought back.
    """

    scan: Image
    name: str
    measured: Measured | None = None
    state: str = ""
    problem: str = ""
    corrected: int = 0
    forgotten: bool = False


class ResultsBox(QWidget):
    """Shows results and asks for what is to be done.

    Attributes
    ----------
    segment_wanted, undo_wanted, redo_wanted, open_wanted : Signal()
        A button was pressed.
    accept_wanted, return_wanted, forget_wanted, restore_wanted : Signal(object)
        The layer of the selected scan.
    chosen : Signal(object)
        The layer of the scan that was selected.
    export_wanted : Signal(str)
        Where the CSV file is to be written.
    model_wanted : Signal(str)
        The folder of a finetuning whose network is to be used.
    """

    segment_wanted = Signal()
    undo_wanted = Signal()
    redo_wanted = Signal()
    accept_wanted = Signal(object)
    return_wanted = Signal(object)
    forget_wanted = Signal(object)
    restore_wanted = Signal(object)
    chosen = Signal(object)
    export_wanted = Signal(str)
    model_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: tuple[Line, ...] = ()
        self._busy = False
        self._unticked: weakref.WeakSet[Image] = weakref.WeakSet()
        self.model = sentence("The network that results are of")
        self.model.setStyleSheet("font-weight: bold;")
        self.open = button("Open...", "Use the network of an earlier finetuning: its folder")
        self.undo = button(
            "Undo finetune", "The network before comes back with its results as they were left"
        )
        self.redo = button("Redo finetune", "The network that was taken back, with its results")
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(_COLUMNS)
        for number, tip in enumerate(_TIPS):
            self.tree.headerItem().setToolTip(number, tip)
        self.tree.setToolTip("Results by scan and class")
        self.tree.setAccessibleName("Results")
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(14)
        self.tree.setMinimumHeight(130)
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(30)
        for number in (1, 2, 3):
            header.setSectionResizeMode(number, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.partial = sentence("Which voxels Dice is of")
        self.partial.setText(dice_words.PARTIAL)
        self.agreement = sentence("What Dice is against")
        self.problem = sentence("Why the selected scan has no result")
        self.problem.setVisible(False)
        self.segment = button("Segment", "Segment all scans with a tick, as new or changed layers")
        self.segment.setStyleSheet("font-weight: bold;")
        self.by_itself = QCheckBox("When a finetuning has finished, too")
        self.by_itself.setChecked(True)
        self.by_itself.setToolTip("Segment all scans with a tick as soon as the network is ready")
        self.accept = button(
            "Accept", "The selected scan's whole result becomes labels of the next finetuning"
        )
        self.take_back = button("Take back", "What was accepted is a result again")
        self.forget = button(*_FORGET)
        self.export = button("Save CSV...", "Volumes and Dice of all results as a table")
        self.hint = sentence("How results are corrected")
        self.hint.setText(
            "Correct a result with napari's brush on its layer: what you paint becomes labels of "
            "the next finetuning."
        )
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row((self.model, 1), self.open))
        layout.addLayout(row((self.undo, 1), (self.redo, 1)))
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.partial)
        layout.addWidget(self.agreement)
        layout.addWidget(self.problem)
        layout.addLayout(row((self.segment, 1), self.by_itself))
        layout.addLayout(row((self.accept, 1), (self.take_back, 1)))
        layout.addLayout(row((self.forget, 1), (self.export, 1)))
        layout.addWidget(self.hint)
        self.open.clicked.connect(self._on_open)
        self.undo.clicked.connect(self.undo_wanted)
        self.redo.clicked.connect(self.redo_wanted)
        self.segment.clicked.connect(self.segment_wanted)
        self.accept.clicked.connect(lambda: self._on_scan(self.accept_wanted))
        self.take_back.clicked.connect(lambda: self._on_scan(self.return_wanted))
        self.forget.clicked.connect(self._on_forget)
        self.export.clicked.connect(self._on_export)
        self.tree.itemSelectionChanged.connect(self._on_selected)
        self.tree.itemChanged.connect(self._on_ticked)
        self.present((), None, can_undo=False, can_redo=False)

    @property
    def selected(self) -> Line | None:
        """The line of the scan that is selected, or one of whose classes is."""
        items = self.tree.selectedItems()
        if not items:
            return None
        top = items[0].parent() or items[0]
        number = self.tree.indexOfTopLevelItem(top)
        return self._lines[number] if 0 <= number < len(self._lines) else None

    @property
    def ticked(self) -> tuple[Image, ...]:
        """Layers of the scans that are to be segmented."""
        return tuple(one.scan for one in self._lines if one.scan not in self._unticked)

    def present(
        self,
        lines: Sequence[Line],
        model: Model | None,
        *,
        can_undo: bool,
        can_redo: bool,
    ) -> None:
        """Show these results; what is selected and unfolded stays so. Emits nothing."""
        self.tree.blockSignals(True)
        before = self.selected
        unfolded = {
            one.scan
            for number, one in enumerate(self._lines)
            if (item := self.tree.topLevelItem(number)) is not None and item.isExpanded()
        }
        known = {one.scan for one in self._lines}
        self._lines = tuple(lines)
        self.tree.clear()
        for one in lines:
            item = self._item(one, model)
            self.tree.addTopLevelItem(item)
            item.setExpanded(one.scan in unfolded or (one.scan not in known and len(lines) == 1))
            if before is not None and one.scan is before.scan:
                item.setSelected(True)
        self.tree.blockSignals(False)
        if model is None:
            self.model.setText("No network yet: finetune one, or open an earlier one.")
        else:
            self.model.setText(f"{printable(model.name)}, step {model.step}")
        self._can = (model is not None, can_undo, can_redo)
        self._show_buttons()

    def show_busy(self, *, busy: bool) -> None:
        """What cannot be done while scans are segmented."""
        self._busy = busy
        self._show_buttons()

    def _item(self, one: Line, model: Model | None) -> QTreeWidgetItem:
        found = one.measured
        dice = found.mean_dice if found is not None else None
        words = (one.name, "", dice_words.marked(found, dice), one.state)
        item = QTreeWidgetItem([printable(word) for word in words])
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        unticked = one.scan in self._unticked
        item.setCheckState(0, Qt.CheckState.Unchecked if unticked else Qt.CheckState.Checked)
        item.setToolTip(0, printable(one.problem or one.name))
        item.setToolTip(2, dice_words.of_what(found))
        item.setToolTip(3, printable(one.state))
        if found is not None and model is not None:
            for each in model.foreground:
                score = found.dice.get(each.label)
                of_class = QTreeWidgetItem(
                    [
                        printable(each.name),
                        f"{found.volumes_ml[each.label]:.2f}",
                        dice_words.marked(found, score),
                        "",
                    ]
                )
                of_class.setToolTip(0, f"label {each.label}: {printable(each.name)}")
                if score is None and found.dice_against is not None:
                    of_class.setToolTip(2, dice_words.NOT_LABELLED)
                of_class.setToolTip(1, f"{found.voxels[each.label]:,} voxels")
                item.addChild(of_class)
        for part in (item, *(item.child(n) for n in range(item.childCount()))):
            for number in (1, 2):
                part.setTextAlignment(
                    number, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                )
        return item

    def _show_buttons(self) -> None:
        there, can_undo, can_redo = self._can
        line, free = self.selected, not self._busy
        has_result = line is not None and line.measured is not None
        accepted = line is not None and "accepted" in line.state
        self.undo.setEnabled(can_undo and free)
        self.redo.setEnabled(can_redo and free)
        self.open.setEnabled(free)
        self.segment.setEnabled(there and free and bool(self.ticked))
        self.accept.setEnabled(has_result and not accepted and free)
        self.take_back.setEnabled(accepted and free)
        texts = _BRING_BACK if self._to_restore(line) else _FORGET
        self.forget.setText(texts[0])
        self.forget.setToolTip(texts[1])
        can_forget = line is not None and bool(line.corrected or line.forgotten)
        self.forget.setEnabled(can_forget and not accepted and free)
        scores = [one.measured for one in self._lines if one.measured is not None]
        self.partial.setVisible(any(one.dice and one.dice_of == LABELLED for one in scores))
        agreement = dice_words.agreement(scores)
        self.agreement.setVisible(bool(agreement))
        self.agreement.setText(agreement)
        self.export.setEnabled(any(one.measured is not None for one in self._lines))
        self.problem.setVisible(line is not None and bool(line.problem))
        self.problem.setText(printable(line.problem) if line is not None else "")

    def _on_selected(self) -> None:
        self._show_buttons()
        if self.selected is not None:
            self.chosen.emit(self.selected.scan)

    def _on_ticked(self, item: QTreeWidgetItem) -> None:
        number = self.tree.indexOfTopLevelItem(item)
        if 0 <= number < len(self._lines):
            key = self._lines[number].scan
            if item.checkState(0) == Qt.CheckState.Checked:
                self._unticked.discard(key)
            else:
                self._unticked.add(key)
            self._show_buttons()

    def _on_scan(self, signal: Signal) -> None:
        if self.selected is not None:
            signal.emit(self.selected.scan)

    def _on_forget(self) -> None:
        self._on_scan(
            self.restore_wanted if self._to_restore(self.selected) else self.forget_wanted
        )

    @staticmethod
    def _to_restore(line: Line | None) -> bool:
        return line is not None and line.forgotten and not line.corrected

    def _on_open(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a finetuning")
        if chosen:
            self.model_wanted.emit(chosen)

    def _on_export(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save volumes", "volumes.csv", "Tables (*.csv)"
        )
        if chosen:
            self.export_wanted.emit(chosen)
