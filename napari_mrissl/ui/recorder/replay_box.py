"""Play, pause, step and scrub the flight at hand."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QSlider, QWidget

from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.parts import button, clock, column, label_of, row
from napari_mrissl.ui.recorder.player import SPEEDS

_STEPS = 1000


class ReplayBox(QWidget):
    """The replay's controls.

    Parameters
    ----------
    deck
        Replays.
    """

    def __init__(self, deck: FlightDeck, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deck = deck
        self.play = button("Play", "Play from here, or pause (from the start: H); undo returns")
        self.back = button("<", "One pose back")
        self.forward = button(">", "One pose on")
        for step in (self.back, self.forward):
            step.setFixedWidth(30)
        self.speed = QComboBox()
        for speed in SPEEDS:
            self.speed.addItem(f"{speed:g}x", speed)
        self.speed.setToolTip("How many seconds of the flight pass in one second")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setToolTip("Drag to any moment of the flight")
        self.time = QLabel()
        self.time.setToolTip("Where the replay is, how long the flight is, and the pose's number")
        outer = column(self)
        outer.addLayout(
            row(
                (self.play, 2),
                self.back,
                self.forward,
                label_of("Speed", self.speed),
                (self.speed, 1),
            )
        )
        outer.addWidget(self.slider)
        outer.addWidget(self.time)
        self.play.clicked.connect(self._on_play)
        self.back.clicked.connect(self._on_back)
        self.forward.clicked.connect(self._on_forward)
        self.speed.currentIndexChanged.connect(self._on_speed)
        self.slider.valueChanged.connect(self._on_slider)
        self.refresh()

    def refresh(self) -> None:
        """Show where the replay is."""
        deck, player = self._deck, self._deck.player
        can = player.ready and not deck.recording
        for widget in (self.play, self.back, self.forward, self.slider):
            widget.setEnabled(can)
        self.play.setText("Pause" if player.playing else "Play")
        self.slider.blockSignals(True)
        self.slider.setValue(round(_STEPS * player.progress))
        self.slider.blockSignals(False)
        self.speed.blockSignals(True)
        self.speed.setCurrentIndex(max(0, self.speed.findData(player.speed)))
        self.speed.blockSignals(False)
        flight = player.flight
        if flight is None or not len(flight):
            self.time.setText("No flight: choose an episode, or record one.")
            return
        here, end = clock(player.position_ns / 1e9), clock(player.duration_ns / 1e9)
        which = f"episode {deck.number + 1}" if deck.number is not None else "not an episode"
        self.time.setText(f"{here} / {end}  ·  pose {player.frame + 1} of {len(flight)}, {which}")

    def _on_play(self) -> None:
        player = self._deck.player
        if player.playing:
            player.pause()
        else:
            player.play()

    def _on_back(self) -> None:
        self._deck.player.step(-1)

    def _on_forward(self) -> None:
        self._deck.player.step(1)

    def _on_speed(self) -> None:
        self._deck.speed = float(self.speed.currentData())

    def _on_slider(self, value: int) -> None:
        player = self._deck.player
        player.pause()
        player.seek(value / _STEPS * player.duration_ns)
