"""The episodes of the dataset: choose one to replay, take the last one back, say its task."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.parts import button, column, row
from napari_mrissl.ui.recorder.work import Episode

_COLUMNS = ("", "Task", "s", "Frames", "Scan")
_TASK = 1
_LIST_HEIGHT = 112
_MADE = {"recorded": "Recorded", "policy": "Flown by a policy", "spline": "Through key poses"}


class EpisodesBox(QWidget):
    """The list of episodes and what can be done with it.

    Parameters
    ----------
    deck
        Whose dataset it is.

    Attributes
    ----------
    scan_wanted : Signal(object)
        The path of the scan that the chosen episode was flown over, to be opened.
    """

    scan_wanted = Signal(object)

    def __init__(self, deck: FlightDeck, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck = deck
        self._shown: object = None
        self._filling = False
        self.list = QTreeWidget()
        self.list.setColumnCount(len(_COLUMNS))
        self.list.setHeaderLabels(_COLUMNS)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setToolTip("Choose an episode to replay it")
        self.list.setFixedHeight(_LIST_HEIGHT)
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(22)
        for number in range(len(_COLUMNS)):
            mode = QHeaderView.ResizeMode
            header.setSectionResizeMode(
                number, mode.Stretch if number == _TASK else mode.ResizeToContents
            )
        self.undo = button("Undo last", "Take the last episode out of the dataset; Redo returns it")
        self.redo = button("Redo", "Bring back the episode that was taken out last")
        self.edit = button("Edit task", "Change the task text of the last episode")
        self.open = button("Open scan", "Open the scan that the chosen episode was flown over")
        outer = column(self)
        outer.addWidget(self.list)
        outer.addLayout(row((self.undo, 1), (self.redo, 1), (self.edit, 1), (self.open, 1)))
        self.list.currentItemChanged.connect(self._on_chosen)
        self.list.itemChanged.connect(self._on_edited)
        self.undo.clicked.connect(deck.shelf.undo_last)
        self.redo.clicked.connect(deck.shelf.redo_last)
        self.edit.clicked.connect(self._on_edit)
        self.open.clicked.connect(self._on_open)
        self.refresh()

    def refresh(self) -> None:
        """Show the dataset as it is."""
        deck = self._deck
        contents = deck.shelf.contents
        volume = deck.volume
        # Only when it is known: finding an identity costs a pass over the voxels.
        here = volume.__dict__.get("identity") if volume is not None else None
        if (contents, here) != self._shown:
            self._shown = (contents, here)
            self._fill(contents.episodes, here)
        self._select(deck.number)
        free = not deck.recording and not deck.shelf.busy
        self.undo.setEnabled(free and bool(contents.episodes))
        self.redo.setEnabled(free and contents.undone)
        self.edit.setEnabled(free and bool(contents.episodes))
        episode = self._chosen()
        known = episode is not None and episode.scan is not None
        self.open.setEnabled(known and episode.identity != here and not deck.recording)

    def _fill(self, episodes: tuple[Episode, ...], here: str | None) -> None:
        self._filling = True
        try:
            self.list.clear()
            for one in episodes:
                scan = "this" if one.identity == here else "known" if one.scan else "unknown"
                item = QTreeWidgetItem(
                    [str(one.number + 1), one.task, f"{one.seconds:.1f}", str(one.frames), scan]
                )
                for number in (0, 2, 3):
                    item.setTextAlignment(number, Qt.AlignmentFlag.AlignRight)
                item.setToolTip(_TASK, one.task or "No task text")
                item.setToolTip(0, _MADE.get(one.source, one.source))
                item.setToolTip(4, f"Identity of the scan: {one.identity[:12]}...")
                self.list.addTopLevelItem(item)
            if episodes:
                self.list.scrollToItem(self.list.topLevelItem(len(episodes) - 1))
        finally:
            self._filling = False

    def _select(self, number: int | None) -> None:
        self._filling = True
        try:
            item = self.list.topLevelItem(number) if number is not None else None
            if item is not None and item is not self.list.currentItem():
                self.list.setCurrentItem(item)
            elif item is None:
                self.list.setCurrentItem(None)
        finally:
            self._filling = False

    def _chosen(self) -> Episode | None:
        number = self._deck.number
        episodes = self._deck.shelf.contents.episodes
        return episodes[number] if number is not None and number < len(episodes) else None

    def _on_chosen(self, item: QTreeWidgetItem | None) -> None:
        if not self._filling and item is not None:
            self._deck.select(self.list.indexOfTopLevelItem(item))

    def _on_edit(self) -> None:
        item = self.list.topLevelItem(self.list.topLevelItemCount() - 1)
        if item is None:
            return
        self._filling = True
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        self._filling = False
        self.list.scrollToItem(item)
        self.list.editItem(item, _TASK)

    def _on_edited(self, item: QTreeWidgetItem, changed: int) -> None:
        if self._filling or changed != _TASK:
            return
        number = self.list.indexOfTopLevelItem(item)
        text = item.text(_TASK).strip()
        if text != self._deck.shelf.contents.episodes[number].task:
            # The list is filled anew with what the dataset says afterwards, whatever that is.
            self._shown = None
            self._deck.shelf.set_task(number, text)

    def _on_open(self) -> None:
        episode = self._chosen()
        if episode is not None and episode.scan is not None:
            self.scan_wanted.emit(episode.scan)
