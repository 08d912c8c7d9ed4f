"""The table of classes: colour, label, name, how much is marked, shown or not."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_mrissl.segmentation.prompts import PromptClass

COLOR, LABEL, NAME, MARKED, SHOWN = range(5)
_HEADINGS = ("", "#", "Class", "Marks", "Show")
_TIPS = (
    "Colour of the class; double-click to choose another",
    "Label of the class: its number in the saved segmentation",
    "Name of the class; double-click to rename",
    "Clicks and scribbled voxels of the class",
    "Whether the class is shown in the segmentation; nothing else depends on it",
)
_VISIBLE_ROWS = 4
_SWATCH = 14


class ClassTable(QTableWidget):
    """Shows classes and asks for changes; who owns them decides.

    Attributes
    ----------
    chosen : Signal(int)
        Label of the row made current by the user.
    edited : Signal(object)
        A `PromptClass` with a new name or colour.
    shown_changed : Signal(int, bool)
        A label and whether it is to be shown.
    """

    chosen = Signal(int)
    edited = Signal(object)
    shown_changed = Signal(int, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEADINGS), parent)
        self._classes: tuple[PromptClass, ...] = ()
        self.setHorizontalHeaderLabels(list(_HEADINGS))
        for column, tip in enumerate(_TIPS):
            self.horizontalHeaderItem(column).setToolTip(tip)
        self.setToolTip("Classes: the selected one is what clicks and scribbles mark")
        self.setAccessibleName("Classes")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setIconSize(QSize(_SWATCH, _SWATCH))
        self.setTabKeyNavigation(False)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setHighlightSections(False)
        for column in range(len(_HEADINGS)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.currentCellChanged.connect(self._on_row)
        self.itemChanged.connect(self._on_item)
        self.cellDoubleClicked.connect(self._on_double_click)

    def sizeHint(self) -> QSize:
        """Room for the header and a few classes; more of them scroll."""
        rows = max(2, min(len(self._classes), _VISIBLE_ROWS + 1))
        height = self.horizontalHeader().sizeHint().height()
        return QSize(260, height + rows * self.verticalHeader().defaultSectionSize() + 4)

    def show_classes(
        self,
        classes: tuple[PromptClass, ...],
        current: int,
        marks: Mapping[int, int],
        hidden: set[int],
    ) -> None:
        """Show these classes with the current one selected; emits nothing."""
        blocker = QSignalBlocker(self)
        self._classes = classes
        self.setRowCount(len(classes))
        fixed = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        for row, one in enumerate(classes):
            texts = ("", str(one.label), one.name, f"{marks.get(one.label, 0):,}", "")
            for column, text in enumerate(texts):
                item = self.item(row, column)
                if item is None:
                    item = QTableWidgetItem()
                    self.setItem(row, column, item)
                item.setText(text)
                item.setFlags(fixed)
                item.setToolTip(_TIPS[column])
                if column in (LABEL, MARKED):
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
            self.item(row, COLOR).setIcon(_swatch(one.color))
            self.item(row, NAME).setFlags(fixed | Qt.ItemFlag.ItemIsEditable)
            self.item(row, SHOWN).setFlags(fixed | Qt.ItemFlag.ItemIsUserCheckable)
            self.item(row, SHOWN).setCheckState(
                Qt.CheckState.Unchecked if one.label in hidden else Qt.CheckState.Checked
            )
            if one.label == current:
                self.setCurrentCell(row, NAME)
        del blocker
        self.setFixedHeight(self.sizeHint().height())
        self.viewport().update()

    def _on_row(self, row: int, *_: int) -> None:
        if 0 <= row < len(self._classes):
            self.chosen.emit(self._classes[row].label)

    def _on_item(self, item: QTableWidgetItem) -> None:
        one = self._classes[item.row()]
        if item.column() == NAME:
            name = item.text().strip()[:200]
            if name and name != one.name:
                self.edited.emit(one.model_copy(update={"name": name}))
            else:
                item.setText(one.name)
        elif item.column() == SHOWN:
            self.shown_changed.emit(one.label, item.checkState() == Qt.CheckState.Checked)

    def _on_double_click(self, row: int, column: int) -> None:
        if column == COLOR:
            one = self._classes[row]
            color = QColorDialog.getColor(QColor(one.color), self, f"Colour of {one.name}")
            if color.isValid():
                self.edited.emit(one.model_copy(update={"color": color.name()}))


def _swatch(color: str) -> QIcon:
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(color))
    painter.setPen(QColor(128, 128, 128))
    painter.drawEllipse(1, 1, _SWATCH - 3, _SWATCH - 3)
    painter.end()
    icon = QIcon(pixmap)
    # Without its own picture the colour of a selected row would be tinted.
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon
