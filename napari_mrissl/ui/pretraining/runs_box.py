"""All runs of this user, newest first: what they are, how far they are, and which to open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_mrissl.errors import printable
from napari_mrissl.ui.pretraining.run_box import WORDS
from napari_mrissl.ui.recorder.parts import button, column, row, sentence

_COLUMNS = ("Run", "Method", "State", "Steps", "Begun")


class RunRow(NamedTuple):
    """What the list says of a run."""

    folder: Path
    method: str
    state: str
    step: int
    steps: int
    created: str
    reason: str
    goes_on: bool


class RunsBox(QWidget):
    """The list of runs.

    Attributes
    ----------
    open_wanted : Signal(str)
        Folder of a run to show.
    add_wanted : Signal(str)
        Folder of a run to list and show.
    forget_wanted : Signal(str)
        Folder of a run to take off the list.
    return_wanted : Signal()
        The run that was forgotten last is to be listed again.
    refresh_wanted : Signal()
        The list is to be read again.
    """

    open_wanted = Signal(str)
    add_wanted = Signal(str)
    forget_wanted = Signal(str)
    return_wanted = Signal()
    refresh_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[RunRow, ...] = ()
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setToolTip("Runs of this user, newest first; double-click to open one")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.facts = sentence("How many runs there are, and why the selected one has ended")
        self.open = button("Open", "Show the selected run; one that goes on is followed")
        self.other = button("Open folder...", "List and show a run that is not in the list")
        self.refresh = button("Refresh", "Read the list and the states again")
        self.forget = button(
            "Forget", "Take the selected run off the list; its folder and files stay as they are"
        )
        self.back = button("Undo forget", "List the run again that was forgotten last")
        self.back.setEnabled(False)
        layout = column(self)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.facts)
        layout.addLayout(row((self.open, 1), (self.other, 1), (self.refresh, 1)))
        layout.addLayout(row((self.forget, 1), (self.back, 1)))
        self.table.itemSelectionChanged.connect(self._show_selected)
        self.table.itemDoubleClicked.connect(lambda _: self._on_open())
        self.open.clicked.connect(self._on_open)
        self.other.clicked.connect(self._on_other)
        self.refresh.clicked.connect(self.refresh_wanted)
        self.forget.clicked.connect(self._on_forget)
        self.back.clicked.connect(self.return_wanted)
        self._show_selected()

    @property
    def selected(self) -> RunRow | None:
        """The run that is selected."""
        chosen = self.table.selectionModel().selectedRows()
        return self.rows[chosen[0].row()] if chosen else None

    def present(self, rows: Sequence[RunRow]) -> None:
        """Show these runs; the selected one stays selected."""
        if tuple(rows) == self.rows:
            return
        before = self.selected
        self.rows = tuple(rows)
        self.table.blockSignals(True)
        self.table.setRowCount(len(rows))
        for number, one in enumerate(rows):
            texts = (
                one.folder.name,
                one.method,
                WORDS[one.state].split(" ")[0],
                f"{one.step} of {one.steps}",
                one.created,
            )
            for place, text in enumerate(texts):
                item = QTableWidgetItem(printable(text))
                item.setToolTip(printable(str(one.folder)) if place == 0 else printable(text))
                self.table.setItem(number, place, item)
        folders = [one.folder for one in rows]
        if before is not None and before.folder in folders:
            self.table.selectRow(folders.index(before.folder))
        self.table.blockSignals(False)
        self._show_selected()

    def select(self, folder: Path) -> None:
        """Select the run of a folder, where it is in the list."""
        for number, one in enumerate(self.rows):
            if one.folder == folder:
                self.table.selectRow(number)

    def _show_selected(self) -> None:
        one = self.selected
        self.open.setEnabled(one is not None)
        self.forget.setEnabled(one is not None and not one.goes_on)
        if one is not None and one.reason:
            self.facts.setText(f"{printable(one.folder.name)}: {printable(one.reason)}")
        elif self.rows:
            self.facts.setText(f"{len(self.rows)} run{'s' if len(self.rows) > 1 else ''}.")
        else:
            self.facts.setText("There is no run yet.")

    def _on_open(self) -> None:
        if self.selected is not None:
            self.open_wanted.emit(str(self.selected.folder))

    def _on_other(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a run")
        if chosen:
            self.add_wanted.emit(chosen)

    def _on_forget(self) -> None:
        if self.selected is not None:
            self.forget_wanted.emit(str(self.selected.folder))
