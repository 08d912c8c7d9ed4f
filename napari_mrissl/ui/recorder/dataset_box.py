"""Which dataset is used: its name, its size, another one, a new one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QMenu, QWidget

from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder import work
from napari_mrissl.ui.recorder.parts import button, column, row


class DatasetBox(QWidget):
    """Name of the dataset, and buttons to choose or begin another.

    Parameters
    ----------
    deck
        Whose dataset it is.
    """

    def __init__(self, deck: FlightDeck, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck = deck
        self.name = QLabel()
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.name.setStyleSheet("font-weight: bold;")
        self.held = QLabel()
        self.held.setTextFormat(Qt.TextFormat.PlainText)
        self.held.setToolTip("Episodes in the dataset, and their poses a second")
        self.choose = button("Choose...", "Use another dataset: one used lately, or any folder")
        self.new = button("New", "Begin a new dataset with the next recording")
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self._menu.aboutToShow.connect(self.fill_menu)
        self.choose.setMenu(self._menu)
        self.new.clicked.connect(self._on_new)
        outer = column(self)
        outer.addLayout(row((self.name, 1), self.held))
        outer.addLayout(row((self.choose, 1), (self.new, 1)))
        self.refresh()

    def refresh(self) -> None:
        """Show the dataset as it is."""
        shelf = self._deck.shelf
        contents = shelf.contents
        shown = self.name.fontMetrics().elidedText(shelf.name, Qt.TextElideMode.ElideMiddle, 180)
        self.name.setText(shown)
        self.name.setToolTip(f"The dataset's folder: {shelf.folder}")
        count = len(contents.episodes)
        if contents.hertz is None:
            self.held.setText("new")
        else:
            episodes = "episode" if count == 1 else "episodes"
            self.held.setText(f"{count} {episodes}, {contents.hertz:g} Hz")
        free = not self._deck.recording and not self._deck.saving
        self.choose.setEnabled(free)
        self.new.setEnabled(free)

    def fill_menu(self) -> QMenu:
        """List the datasets used lately, and the way to any other."""
        self._menu.clear()
        present = self._deck.shelf.folder
        for folder in dict.fromkeys([*work.recent_folders(), work.default_folder()]):
            action = self._menu.addAction(folder.name)
            action.setToolTip(str(folder))
            action.setCheckable(True)
            action.setChecked(folder == present)
            action.triggered.connect(partial(self._use, folder))
        self._menu.addSeparator()
        other = self._menu.addAction("A folder...")
        other.setToolTip("A folder with a dataset, or an empty one to begin a dataset in")
        other.triggered.connect(self._on_folder)
        return self._menu

    def _use(self, folder: Path, _: bool = False) -> None:
        self._deck.choose_dataset(folder)

    def _on_folder(self) -> None:
        start = str(self._deck.shelf.folder.parent)
        folder = QFileDialog.getExistingDirectory(self, "Dataset of flights", start)
        if folder:
            self._deck.choose_dataset(Path(folder))

    def _on_new(self) -> None:
        self._deck.choose_dataset(work.new_folder())
