"""The dataset in the formats of others: written for them, or made of what they wrote."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QMenu, QWidget

from napari_mrissl.trajectories.exchange.stretches import LARGEST_SIZE
from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder import work
from napari_mrissl.ui.recorder.exchange import Exchange
from napari_mrissl.ui.recorder.parts import (
    WARNING_STYLE,
    button,
    column,
    label_of,
    row,
    sentence,
    show_part,
    thin_bar,
    whole_number,
)

if TYPE_CHECKING:
    from napari_mrissl.trajectories.exchange.formats import Exported, Imported

FORMATS: dict[Exported, tuple[str, str]] = {
    "bids": ("BIDS motion", "A BIDS derivative of motion data: tables of poses, no images"),
    "hdf5": ("HDF5", "One file in the columns of stable-worldmodel"),
    "lerobot": ("LeRobot v3.0", "A LeRobot folder with images in its tables"),
    "minari": ("Minari", "A folder for MINARI_DATASETS_PATH"),
    "webdataset": ("WebDataset", "A folder of tar shards, each with clips of up to 64 frames"),
}
_SUFFIXES = (".h5", ".hdf5")
_HDF5_FILES = "HDF5 (*.h5 *.hdf5)"
_FACES = "Faces in the images identify people."
_NO_IMAGES = "Poses only, without images."


class ExchangeBox(QWidget):
    """Format and size of an export, and the ways out and in.

    Parameters
    ----------
    deck
        Whose dataset it is.
    exchange
        Exports and imports.
    """

    def __init__(self, deck: FlightDeck, exchange: Exchange, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck, self._exchange = deck, exchange
        self.format = QComboBox()
        for number, (name, (shown, meaning)) in enumerate(FORMATS.items()):
            self.format.addItem(shown, name)
            self.format.setItemData(number, meaning, Qt.ItemDataRole.ToolTipRole)
        self.format.setToolTip("Whose format the dataset is exported to")
        self.pixels = whole_number(
            1, LARGEST_SIZE, 256, "Pixels along a side of the images, which have 8 bits"
        )
        self.pixels.setSuffix(" px")
        self.images = sentence(
            "Images are rendered from the scans; faces can be rebuilt from head scans, so share "
            "them like the scans themselves"
        )
        self.export = button("Export...", "Write all episodes to a new file or folder")
        self.load = button("Import...", "Make a new dataset of flights that others wrote")
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.load.setMenu(menu)
        self.loads = {
            "bids": menu.addAction("BIDS motion folder..."),
            "hdf5": menu.addAction("HDF5 file..."),
        }
        for action in self.loads.values():
            action.setToolTip(
                "Poses come back bit for bit, without images; flights that name no scan count as "
                "flown over the one in the navigator"
            )
        self.progress = thin_bar("How much is exported or imported")
        self.cancel = button("Cancel", "Stop the export or import; nothing of it is kept")
        outer = column(self)
        grid = QGridLayout()
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        for line, (name, field) in enumerate(
            (("Format", self.format), ("Image size", self.pixels))
        ):
            grid.addWidget(label_of(name, field), line, 0)
            grid.addWidget(field, line, 1)
        grid.setColumnStretch(1, 1)
        outer.addLayout(grid)
        outer.addWidget(self.images)
        outer.addLayout(row((self.export, 1), (self.load, 1)))
        outer.addLayout(row((self.progress, 1), self.cancel))
        self.format.currentIndexChanged.connect(self.refresh)
        self.export.clicked.connect(self._on_export)
        self.loads["bids"].triggered.connect(self._on_bids)
        self.loads["hdf5"].triggered.connect(self._on_hdf5)
        self.cancel.clicked.connect(exchange.cancel)
        exchange.progressed.connect(partial(show_part, self.progress))
        self.refresh()

    def refresh(self) -> None:
        """Allow what can be done, and say what an export shows."""
        deck, busy = self._deck, self._exchange.busy
        free = not busy and not deck.recording and not deck.saving and not deck.shelf.busy
        has_images = self.format.currentData() != "bids"
        self.format.setEnabled(not busy)
        self.pixels.setEnabled(not busy and has_images)
        self.images.setText(_FACES if has_images else _NO_IMAGES)
        self.images.setStyleSheet(WARNING_STYLE if has_images else "")
        self.export.setEnabled(free and bool(deck.shelf.contents.episodes))
        self.load.setEnabled(free)
        self.cancel.setEnabled(busy)
        if not busy:
            show_part(self.progress, 0)

    def ask(self, dialog: Callable[..., Any], title: str, start: Path, kinds: str = "") -> str:
        """What the user chooses in a dialog of Qt's, "" for nothing; no other way opens one."""
        found = dialog(self, title, str(start), *([kinds] if kinds else []))
        # Dialogs for files give the chosen kind too.
        return found if isinstance(found, str) else str(found[0])

    def _on_export(self) -> None:
        to: Exported = self.format.currentData()
        folder = self._deck.shelf.folder
        # What is there already is refused, so that asking whether to replace it would be idle.
        dialog = partial(
            QFileDialog.getSaveFileName, options=QFileDialog.Option.DontConfirmOverwrite
        )
        if to == "hdf5":
            proposed = work.free_name(folder.parent, folder.name, _SUFFIXES[0])
            chosen = self.ask(dialog, "Export to a new HDF5 file", proposed, _HDF5_FILES)
        else:
            proposed = work.free_name(folder.parent, f"{folder.name}_{to}")
            chosen = self.ask(dialog, f"Export to a new {FORMATS[to][0]} folder", proposed)
        if not chosen:
            return
        out = Path(chosen)
        if to == "hdf5" and out.suffix.lower() not in _SUFFIXES:
            out = out.with_name(f"{out.name}{_SUFFIXES[0]}")
        self._exchange.export(to, out, self.pixels.value())

    def _on_bids(self) -> None:
        self._import("bids", QFileDialog.getExistingDirectory, "BIDS dataset with motion data")

    def _on_hdf5(self) -> None:
        self._import("hdf5", QFileDialog.getOpenFileName, "HDF5 file of flights", _HDF5_FILES)

    def _import(
        self, source_format: Imported, dialog: Callable[..., Any], title: str, kinds: str = ""
    ) -> None:
        chosen = self.ask(dialog, title, self._deck.shelf.folder.parent, kinds)
        if chosen:
            self._exchange.load(source_format, Path(chosen))
