"""Rows that ask for something, never modal: a missing navigator, recordings that were cut off."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout, QWidget

from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.parts import button, row, sentence
from napari_mrissl.ui.recorder.shelf import Ending
from napari_mrissl.ui.recorder.work import CutOff

_ROW = "QFrame#mrissl_notice { border: 1px solid #e0a030; border-radius: 4px; }"
_MOST = 3


class Notices(QWidget):
    """What the user should know before anything else.

    Parameters
    ----------
    deck
        Whose datasets were looked through.

    Attributes
    ----------
    navigator_wanted : Signal()
        The user wants a slice navigator.
    navigator_missing
        Whether there is none in the window.
    """

    navigator_wanted = Signal()

    def __init__(self, deck: FlightDeck, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck = deck
        self._shown: object = None
        self.navigator_missing = False
        self.open_navigator: QPushButton | None = None
        self.recover: list[QPushButton] = []
        self.dismiss: list[QPushButton] = []
        self.save_again: list[QPushButton] = []
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(4)
        self.refresh()

    def refresh(self) -> None:
        """Show a row for each thing there is to say."""
        missing = self.navigator_missing
        shelf = self._deck.shelf
        if (missing, shelf.cut_off, shelf.unsaved) != self._shown:
            self._shown = (missing, shelf.cut_off, shelf.unsaved)
            self._fill(missing, shelf.cut_off, shelf.unsaved)
        for one in (*self.recover, *self.dismiss, *self.save_again):
            one.setEnabled(not shelf.busy)

    def texts(self) -> list[str]:
        """The sentences shown."""
        return [
            self._rows.itemAt(n).widget().property("sentence") for n in range(self._rows.count())
        ]

    def _fill(self, missing: bool, found: tuple[CutOff, ...], unsaved: tuple[Ending, ...]) -> None:
        while self._rows.count():
            old = self._rows.takeAt(0).widget()
            old.setParent(None)
            old.deleteLater()
        self.open_navigator = None
        self.recover, self.dismiss, self.save_again = [], [], []
        if missing:
            self.open_navigator = button(
                "Open the slice navigator", "Flights are flown with the slice navigator"
            )
            self.open_navigator.clicked.connect(self.navigator_wanted)
            self._add("To record or replay, open the slice navigator.", self.open_navigator)
        for ending in unsaved:
            again = button("Save again", "Try again, once there is space or the folder is back")
            again.clicked.connect(partial(self._save_again, ending))
            self.save_again.append(again)
            self._add(f"A flight of {ending.recorder.seconds:.0f} s could not be saved.", again)
        for one in found[:_MOST]:
            recover = button("Recover", "Make an episode of what was recorded until then")
            aside = button("Put aside", "Do not offer it again; it stays in the dataset's folder")
            recover.clicked.connect(partial(self._recover, one))
            aside.clicked.connect(partial(self._put_aside, one))
            self.recover.append(recover)
            self.dismiss.append(aside)
            self._add(described(one), recover, aside)
        more = len(found) - _MOST
        if more > 0:
            self._add(f"{more} more recordings were cut off; they are offered after these.")
        self.setVisible(self._rows.count() > 0)

    def _recover(self, one: CutOff) -> None:
        self._deck.shelf.recover(one, self._deck.volume)

    def _save_again(self, ending: Ending) -> None:
        self._deck.save_again(ending)

    def _put_aside(self, one: CutOff) -> None:
        self._deck.shelf.dismiss(one)

    def _add(self, text: str, *buttons: QPushButton) -> None:
        frame = QFrame()
        frame.setObjectName("mrissl_notice")
        frame.setStyleSheet(_ROW)
        frame.setProperty("sentence", text)
        label = sentence(text)
        label.setText(text)
        inner = QVBoxLayout(frame)
        inner.setContentsMargins(6, 4, 6, 4)
        inner.setSpacing(4)
        inner.addWidget(label)
        if buttons:
            inner.addLayout(row(*((one, 1) for one in buttons)))
        self._rows.addWidget(frame)


def described(one: CutOff) -> str:
    """What was cut off, when it was begun, and in which dataset."""
    recording = one.recording
    task = f' "{recording.task}"' if recording.task else ""
    return (
        f"A recording of {recording.seconds:.0f} s{task} from {recording.started:%d %b %H:%M}"
        f" was cut off (dataset {shown_name(one)})."
    )


def shown_name(one: CutOff) -> str:
    """The dataset's name, fit to be shown."""
    return "".join(c if c.isprintable() else "?" for c in one.folder.name)
