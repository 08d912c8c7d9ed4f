"""The navigator's short way to flights: record, replay, and the door to the flight recorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.parts import RECORDING_STYLE, button, clock, column, row, sentence

if TYPE_CHECKING:
    import napari.viewer

PLUGIN, RECORDER = "napari-mrissl", "Flight recorder"
_REFRESH_MS = 200
_FIRST_LOOK_MS = 1000
_NO_FLIGHT = "No flight yet."
_CUT_OFF = "A recording was cut off; Recorder... offers to bring it back."


class FlightPanel(QWidget):
    """Flights: poses with time stamps over the scan.

    Parameters
    ----------
    deck
        Records and replays.
    viewer
        In whose window the flight recorder is opened.
    """

    def __init__(
        self, deck: FlightDeck, viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._deck, self._viewer = deck, viewer
        self.record = button("Record", "Record every move as an episode, or stop recording (Q)")
        self.replay = button(
            "Replay", "Replay the flight from its start, or stop (H); undo returns"
        )
        self.recorder = button(
            "Recorder...",
            "Open the flight recorder: datasets, episodes, pause, scrubbing, smooth flights, "
            "flights by policy",
        )
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setToolTip("How far the replay is")
        self.message = sentence("The flight at hand, or what went wrong")
        self.message.setText(_NO_FLIGHT)
        outer = column(self)
        outer.addLayout(row((self.record, 3), (self.replay, 2), (self.recorder, 2)))
        outer.addWidget(self.progress)
        outer.addWidget(self.message)
        # Not while the window is still being built.
        self._first_look = QTimer(self)
        self._first_look.setSingleShot(True)
        self._first_look.setInterval(_FIRST_LOOK_MS)
        self._first_look.timeout.connect(deck.shelf.look_once)
        self._first_look.start()
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self.update_buttons)

        self.record.clicked.connect(self.toggle_recording)
        self.replay.clicked.connect(self.toggle_replay)
        self.recorder.clicked.connect(self.open_recorder)
        deck.changed.connect(self.update_buttons)
        deck.player.changed.connect(self.update_buttons)
        deck.said.connect(self.say)
        deck.failed.connect(self.say)
        self.update_buttons()

    def toggle_recording(self) -> None:
        """Start to record, or stop."""
        if self._deck.recording:
            self._deck.stop_recording()
        else:
            self._deck.record()

    def toggle_replay(self) -> None:
        """Start the replay, or stop."""
        if self._deck.replaying:
            self._deck.stop_replay()
        else:
            self._deck.replay()

    def open_recorder(self) -> None:
        """Open the flight recorder beside the navigator, or bring it to the front."""
        dock, _ = self._viewer.window.add_plugin_dock_widget(PLUGIN, RECORDER)
        dock.show()
        dock.raise_()

    def say(self, text: str) -> None:
        """Show a sentence."""
        self.message.setText(text)

    def update_buttons(self) -> None:
        """Show what is going on and what can be done."""
        deck = self._deck
        has_scan = deck.volume is not None
        recording = deck.recording
        self.record.setText(_recording(deck) if recording else "Record")
        if recording != bool(self.record.styleSheet()):
            self.record.setStyleSheet(RECORDING_STYLE if recording else "")
        self.record.setEnabled(has_scan or recording)
        self.replay.setText("Stop" if deck.replaying else "Replay")
        self.replay.setEnabled(deck.player.ready and not recording)
        self.progress.setValue(round(1000 * deck.progress))
        if deck.shelf.cut_off and self.message.text() == _NO_FLIGHT:
            self.message.setText(_CUT_OFF)
        if recording != self._timer.isActive():
            self._timer.start() if recording else self._timer.stop()

    def let_go(self) -> None:
        """Hear nothing of the deck any more."""
        self._timer.stop()
        self._first_look.stop()
        self._deck.changed.disconnect(self.update_buttons)
        self._deck.player.changed.disconnect(self.update_buttons)
        self._deck.said.disconnect(self.say)
        self._deck.failed.disconnect(self.say)


def _recording(deck: FlightDeck) -> str:
    return f"Stop ({'paused' if deck.paused else clock(deck.seconds)})"
