"""Record, pause, stop and discard; what an episode is about, and what it keeps."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QLineEdit, QWidget

from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.parts import (
    RECORDING_STYLE,
    WARNING_STYLE,
    button,
    clock,
    column,
    decimal,
    label_of,
    row,
    sentence,
)

_REFRESH_MS = 200
_LONGEST_TASK = 200
_KEPT = {
    "cursor": ("Cursor", "Where the mouse points in the scan, mm"),
    "window": ("Contrast", "The contrast limits (window and level) of the scan"),
    "clicks": ("Clicks", "Clicks placed in the segmentation panel, with their class"),
    "layers": ("Layers", "Which scans and labels are visible; never their names"),
}
STAYS = "It stays in the dataset's removed folder until mrissl trajectory clean."
FACES = "Faces in them identify people."


class RecordBox(QWidget):
    """Buttons and settings of the recording.

    Parameters
    ----------
    deck
        Records.
    """

    def __init__(self, deck: FlightDeck, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck = deck
        self.record = button("Record", "Record every move as an episode, or stop (Q)")
        self.pause = button("Pause", "Let the recording wait; what you do meanwhile is not in it")
        self.discard = button(
            "Discard", "End the recording without an episode; Redo returns it. " + STAYS
        )
        self.elapsed = QLabel()
        self.elapsed.setToolTip("Length of the recording without pauses, and its poses so far")
        self.task = QLineEdit()
        self.task.setMaxLength(_LONGEST_TASK)
        self.task.setPlaceholderText("e.g. find the hippocampus")
        self.task.setToolTip(
            "What is to be done in this and the next episodes, in a few words; no names of people"
        )
        self.rate = decimal(
            1,
            120,
            deck.hertz,
            " Hz",
            "Poses a second, for a new dataset; others have theirs",
        )
        self.kept = {name: _check(*words) for name, words in _KEPT.items()}
        self.frames = _check(
            "Rendered frames",
            "Keep every slice as it is rendered, lossless, in the dataset. Without them a reader "
            "renders the slices again from the scan. What is taken back is not gone: " + STAYS,
        )
        self.warning = sentence(
            "Faces can be rebuilt from head scans; share frames like the scan itself"
        )
        self.warning.setText(FACES)
        self.warning.setStyleSheet(WARNING_STYLE)
        self._arrange()
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._show_elapsed)
        self.record.clicked.connect(self._on_record)
        self.pause.clicked.connect(self._on_pause)
        self.discard.clicked.connect(deck.discard)
        self.task.textChanged.connect(self._on_task)
        self.rate.valueChanged.connect(self._on_rate)
        for box in self.kept.values():
            box.toggled.connect(self._on_kept)
        self.frames.toggled.connect(self._on_frames)
        self.refresh()

    def refresh(self) -> None:
        """Show what is going on and what can be done."""
        deck = self._deck
        recording = deck.recording
        self.record.setText("Stop" if recording else "Record")
        if recording != bool(self.record.styleSheet()):
            self.record.setStyleSheet(RECORDING_STYLE if recording else "")
        self.record.setEnabled(recording or deck.volume is not None)
        self.pause.setText("Go on" if deck.paused else "Pause")
        self.pause.setEnabled(recording)
        self.discard.setEnabled(recording)
        self.rate.setEnabled(not recording and deck.shelf.contents.hertz is None)
        for field in (self.frames, *self.kept.values()):
            field.setEnabled(not recording)
        self._show_settings()
        self._show_elapsed()
        if recording and not self._timer.isActive():
            self._timer.start()
        elif not recording:
            self._timer.stop()

    def _show_settings(self) -> None:
        deck = self._deck
        if self.task.text() != deck.task:
            self.task.setText(deck.task)
        if self.rate.value() != round(deck.hertz, 1):
            self.rate.blockSignals(True)
            self.rate.setValue(deck.hertz)
            self.rate.blockSignals(False)
        for name, box in self.kept.items():
            box.blockSignals(True)
            box.setChecked(name in deck.columns)
            box.blockSignals(False)
        self.frames.blockSignals(True)
        self.frames.setChecked(deck.keep_frames)
        self.frames.blockSignals(False)

    def _show_elapsed(self) -> None:
        deck = self._deck
        if deck.recording:
            state = "paused at " if deck.paused else ""
            self.elapsed.setText(f"{state}{clock(deck.seconds)}  ·  {deck.frames} poses")
        else:
            self.elapsed.setText("Saving..." if deck.saving else "Not recording.")

    def _on_record(self) -> None:
        if self._deck.recording:
            self._deck.stop_recording()
        else:
            self._deck.record()

    def _on_pause(self) -> None:
        if self._deck.paused:
            self._deck.resume()
        else:
            self._deck.pause()

    def _on_task(self, text: str) -> None:
        self._deck.task = text

    def _on_rate(self, hertz: float) -> None:
        self._deck.hertz = hertz

    def _on_kept(self) -> None:
        chosen = [name for name, box in self.kept.items() if box.isChecked()]
        self._deck.columns = frozenset(chosen)

    def _on_frames(self, wanted: bool) -> None:
        self._deck.keep_frames = wanted

    def _arrange(self) -> None:
        outer = column(self)
        outer.addLayout(row((self.record, 2), (self.pause, 2), (self.discard, 2)))
        outer.addWidget(self.elapsed)
        grid = QGridLayout()
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.addWidget(label_of("Task", self.task), 0, 0)
        grid.addWidget(self.task, 0, 1, 1, 3)
        grid.addWidget(label_of("Rate", self.rate), 1, 0)
        grid.addWidget(self.rate, 1, 1)
        keep = QLabel("Keep")
        keep.setToolTip("What an episode keeps beside the poses")
        grid.addWidget(keep, 2, 0)
        for number, box in enumerate(self.kept.values()):
            grid.addWidget(box, 2 + number // 2, 1 + number % 2)
        grid.addWidget(self.frames, 4, 1)
        grid.addWidget(self.warning, 4, 2, 1, 2)
        grid.setColumnStretch(3, 1)
        outer.addLayout(grid)


def _check(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tip)
    return box
