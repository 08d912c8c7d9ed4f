"""Tables of numbers, alike in all tabs."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

_LINE = 21


def number_table(columns: Sequence[tuple[str, str]], tip: str, *, chosen: bool) -> QTableWidget:
    """An empty table that cannot be edited.

    Parameters
    ----------
    columns
        Titles with tooltips.
    tip
        The table's own tooltip.
    chosen
        Whether one line can be chosen.
    """
    table = QTableWidget(0, len(columns))
    table.setHorizontalHeaderLabels([title for title, _ in columns])
    for number, (_, words) in enumerate(columns):
        table.horizontalHeaderItem(number).setToolTip(words)
    table.setToolTip(tip)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    modes = QAbstractItemView.SelectionMode
    table.setSelectionMode(modes.SingleSelection if chosen else modes.NoSelection)
    table.setStyleSheet("font-size: 11px;")
    header = table.horizontalHeader()
    header.setMinimumSectionSize(24)
    header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    table.verticalHeader().setDefaultSectionSize(_LINE)
    return table


def fill(table: QTableWidget, lines: Sequence[Sequence[str]], titles: Sequence[str]) -> None:
    """Write lines under their titles, in place of those before."""
    table.setRowCount(len(lines))
    table.setVerticalHeaderLabels(list(titles))
    for down, line in enumerate(lines):
        for across, text in enumerate(line):
            table.setItem(down, across, QTableWidgetItem(text))
