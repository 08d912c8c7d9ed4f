"""Where the samples of a new run come from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QInputDialog,
    QListWidget,
    QListWidgetItem,
    QWidget,
)

from napari_mrissl.errors import printable
from napari_mrissl.packs import is_url
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

_SCANS = "Scans (*.nii *.nii.gz *.hdr *.mgh *.mgz *.nrrd *.nhdr *.mha *.mhd *.txt *.csv *.tsv)"
_SHOWN_ROWS = 4

_KINDS = {
    "heads": ("Painted heads", "Made by the data engine from label maps: needs no scan at all."),
    "ensembles": ("Label ensembles", "Made by the data engine from shapes: needs no scan at all."),
    "scans": ("Scans", "Folders, BIDS trees, packs, scans, or lists (.txt, .csv) of them."),
}


class Sources(NamedTuple):
    """What a new run takes its samples from.

    Attributes
    ----------
    kind
        ``"heads"``, ``"ensembles"`` or ``"scans"``.
    paths
        Of scans.
    label_maps
        Folder of label maps for the engine, or ``""`` for its own.
    """

    kind: str = "heads"
    paths: tuple[str, ...] = ()
    label_maps: str = ""


class DataBox(QWidget):
    """Chooses between the data engine and scans.

    Attributes
    ----------
    changed : Signal()
        The user chose something else.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = QComboBox()
        for key, (title, tip) in _KINDS.items():
            self.kind.addItem(title, key)
            self.kind.setItemData(self.kind.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.kind.setToolTip("Where samples come from")
        self.about = sentence("What this choice means")
        self.list = QListWidget()
        self.list.setToolTip("Scans, folders and lists that are read; their order is of no matter")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideLeft)
        self.list.setFixedHeight(_SHOWN_ROWS * self.list.fontMetrics().height() + 20)
        self.add_folder = button("Add folder...", "A folder with scans, a BIDS tree or a pack")
        self.add_files = button("Add files...", "Scans, or lists of them (.txt, .csv)")
        self.add_url = button("Add URL...", "A pack that lies elsewhere, as s3:// or https://")
        self.remove = button("Remove", "Take the selected ones off the list; files stay")
        self._label_maps = ""
        self.choose_maps = button(
            "Label maps...", "A folder of label maps that the engine takes instead of its own"
        )
        self.own_maps = button("Engine's own", "Take what the engine brings")
        self._engine = QWidget()
        column(self._engine).addLayout(row((self.choose_maps, 1), (self.own_maps, 1)))
        self._scans = QWidget()
        scans = column(self._scans)
        scans.addWidget(self.list)
        scans.addLayout(row((self.add_folder, 1), (self.add_files, 1)))
        scans.addLayout(row((self.add_url, 1), (self.remove, 1)))
        layout = column(self)
        layout.addLayout(row(label_of("Samples from", self.kind), (self.kind, 1)))
        for part in (self.about, self._scans, self._engine):
            layout.addWidget(part)
        self.kind.currentIndexChanged.connect(self._on_changed)
        self.list.itemSelectionChanged.connect(self._show)
        self.add_folder.clicked.connect(self._on_add_folder)
        self.add_files.clicked.connect(self._on_add_files)
        self.add_url.clicked.connect(self._on_add_url)
        self.remove.clicked.connect(self._on_remove)
        self.choose_maps.clicked.connect(self._on_choose_maps)
        self.own_maps.clicked.connect(lambda: self._take_maps(""))
        self._show()

    @property
    def paths(self) -> tuple[str, ...]:
        """What is on the list, also while samples come from elsewhere."""
        count = range(self.list.count())
        return tuple(self.list.item(n).data(Qt.ItemDataRole.UserRole) for n in count)

    @property
    def label_maps(self) -> str:
        """The folder for the engine, also while samples come from scans."""
        return self._label_maps

    @property
    def sources(self) -> Sources:
        """What is chosen."""
        kind = self.kind.currentData()
        if kind == "scans":
            return Sources(kind, self.paths)
        return Sources(kind, (), self._label_maps)

    def show_sources(self, sources: Sources) -> None:
        """Show a choice, and tell."""
        self.blockSignals(True)
        self.kind.setCurrentIndex(max(0, self.kind.findData(sources.kind)))
        self.list.clear()
        self.add(*sources.paths)
        self._label_maps = sources.label_maps
        self.blockSignals(False)
        self._on_changed()

    def add(self, *paths: str) -> None:
        """Put scans, folders or lists on the list, each once."""
        there = set(self.paths)
        for path in paths:
            if path in there:
                continue
            there.add(path)
            item = QListWidgetItem(printable(path))
            item.setData(Qt.ItemDataRole.UserRole, path)
            item.setToolTip(printable(path))
            self.list.addItem(item)
        self._on_changed()

    def _on_changed(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        kind = self.kind.currentData()
        self._scans.setVisible(kind == "scans")
        self.remove.setEnabled(bool(self.list.selectedItems()))
        self._engine.setVisible(kind != "scans")
        self.own_maps.setEnabled(bool(self._label_maps))
        text = _KINDS[kind][1]
        if kind != "scans" and self._label_maps:
            text += f" Label maps: {printable(Path(self._label_maps).name)}."
        self.about.setText(text)

    def _take_maps(self, folder: str) -> None:
        self._label_maps = folder
        self._on_changed()

    def _on_choose_maps(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder with label maps")
        if chosen:
            self._take_maps(chosen)

    def _on_add_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder with scans")
        if chosen:
            self.add(chosen)

    def _on_add_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(
            self, "Scans, or lists of them", "", f"{_SCANS};;All files (*)"
        )
        if chosen:
            self.add(*chosen)

    def _on_add_url(self) -> None:
        said = "URL of a pack, as mrissl pack made it:"
        while True:
            typed, agreed = QInputDialog.getText(self, "Add a pack", said)
            if not agreed:
                return
            if is_url(typed.strip()):
                self.add(typed.strip())
                return
            said = "That is no URL; it begins with s3://, https:// or the like:"

    def _on_remove(self) -> None:
        for item in self.list.selectedItems():
            self.list.takeItem(self.list.row(item))
        self._on_changed()
