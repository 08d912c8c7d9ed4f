"""Buttons to record, replay, generate, load and save flights."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.trajectories import flight_of
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.navigator.flights import FlightDeck, flights_directory, new_flight_folder
from napari_mrissl.ui.navigator.state import NavigatorState

POLICIES = {
    "scroll": "Through the scan along the normal of one anatomical plane",
    "rotate": "About a random axis in the slice",
    "zoom": "Closer or further away",
    "pan": "Sideways in the slice",
    "walk": "Free random walk in all seven dimensions",
    "mixture": "A random mixture of the others",
}
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)
_RECORDING = "QPushButton { background-color: #c92a2a; color: white; font-weight: bold; }"


class FlightPanel(QWidget):
    """Flights: poses with time stamps over the scan.

    Parameters
    ----------
    deck
        Records and replays.
    state
        Where the volume is.
    """

    def __init__(
        self, deck: FlightDeck, state: NavigatorState, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._deck, self._state = deck, state
        self.jobs = JobRunner(self)
        self.record = _button("Record", "Record every move into a flight, or stop recording (Q)")
        self.replay = _button("Replay", "Replay the flight, or stop; undo returns (H)")
        self.speed = QComboBox()
        for speed in SPEEDS:
            self.speed.addItem(f"{speed:g}x", speed)
        self.speed.setCurrentIndex(SPEEDS.index(1.0))
        self.speed.setToolTip("Speed of the replay")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setToolTip("How far the replay is")
        self.policy = QComboBox()
        for number, (name, meaning) in enumerate(POLICIES.items()):
            self.policy.addItem(name)
            self.policy.setItemData(number, meaning, 3)
        self.policy.setToolTip("How a generated flight moves: " + "; ".join(POLICIES))
        self.frames = _number(2, 100_000, 120, "Poses in the generated flight, 30 a second")
        self.seed = _number(0, 2**31 - 1, 0, "Seed: the same seed gives the same flight")
        self.generate = _button("Generate", "Generate a flight by policy, frames and seed")
        self.load = _button("Open...", "Open a recorded flight: choose its folder")
        self.save = _button("Save as...", "Save this flight: choose the folder to put it in")
        self.folder = _button("Folder...", "Choose where recordings go; now: your data folder")
        self.message = QLabel("No flight yet.")
        self.message.setWordWrap(True)
        self.message.setToolTip("The flight at hand, or what went wrong")
        self._arrange()

        self.record.clicked.connect(self.toggle_recording)
        self.replay.clicked.connect(self.toggle_replay)
        self.speed.currentIndexChanged.connect(self._on_speed)
        self.generate.clicked.connect(self._on_generate)
        self.load.clicked.connect(self._on_load)
        self.save.clicked.connect(self._on_save)
        self.folder.clicked.connect(self._on_folder)
        self.jobs.failed.connect(self.say)
        self.jobs.idle.connect(self.update_buttons)
        deck.changed.connect(self.update_buttons)
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

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self.message.setText(sentence)

    def update_buttons(self) -> None:
        """Show what is going on and what can be done."""
        deck, busy = self._deck, self.jobs.running
        has_scan = self._state.volume is not None
        recording, replaying = deck.recording, deck.replaying
        self.record.setText(f"Stop ({deck.frames})" if recording else "Record")
        if recording != bool(self.record.styleSheet()):
            self.record.setStyleSheet(_RECORDING if recording else "")
        self.record.setEnabled(has_scan)
        self.replay.setText("Stop" if replaying else "Replay")
        has_flight = deck.flight is not None and len(deck.flight) > 0
        self.replay.setEnabled(has_flight and has_scan and not recording)
        self.progress.setValue(round(1000 * deck.progress) if has_flight else 0)
        self.generate.setEnabled(has_scan and not recording and not busy)
        self.load.setEnabled(not recording and not busy)
        self.save.setEnabled(has_flight and not recording)

    def close_jobs(self) -> None:
        """Cancel what runs; nothing is delivered any more."""
        self.jobs.close()

    def _on_speed(self) -> None:
        self._deck.speed = float(self.speed.currentData())

    def _on_generate(self) -> None:
        volume = self._state.volume
        if volume is None:
            return
        policy, frames, seed = self.policy.currentText(), self.frames.value(), self.seed.value()

        def work(control):
            from napari_mrissl.slicing import policies

            poses = policies.generate(volume, policy, frames, seed)
            return flight_of(volume, poses, policy=policy, seed=seed)

        def done(flight) -> None:
            if self._state.volume is volume:
                self._deck.set_flight(flight)
                self.say(f"Generated {len(flight)} poses: {policy}, seed {seed}.")

        self.jobs.start(work, title="Generating a flight", done=done)
        self.say("Generating...")
        self.update_buttons()

    def _on_load(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a flight", str(flights_directory()))
        if folder:
            self._deck.load(Path(folder))

    def _on_save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Put the flight into", "")
        if folder:
            self._deck.save(new_flight_folder(Path(folder)))

    def _on_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Recordings go into", "")
        if folder:
            self._deck.parent_folder = Path(folder)
            self.folder.setToolTip(f"Choose where recordings go; now: {Path(folder).name}")
            self.say(f"Recordings go into {Path(folder).name}.")

    def _arrange(self) -> None:
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 2, 0, 2)
        outer.setSpacing(4)
        top = QHBoxLayout()
        for widget, stretch in ((self.record, 3), (self.replay, 3), (self.speed, 2)):
            top.addWidget(widget, stretch)
        outer.addLayout(top)
        outer.addWidget(self.progress)
        made = QGridLayout()
        made.setHorizontalSpacing(4)
        made.setVerticalSpacing(4)
        for column, (name, widget) in enumerate(
            (("frames", self.frames), ("seed", self.seed)), start=0
        ):
            label = QLabel(name)
            label.setToolTip(widget.toolTip())
            made.addWidget(label, 1, 2 * column)
            made.addWidget(widget, 1, 2 * column + 1)
        made.addWidget(self.policy, 0, 0, 1, 2)
        made.addWidget(self.generate, 0, 2, 1, 2)
        for column in (1, 3):
            made.setColumnStretch(column, 1)
        outer.addLayout(made)
        files = QHBoxLayout()
        for widget in (self.load, self.save, self.folder):
            files.addWidget(widget)
        outer.addLayout(files)
        outer.addWidget(self.message)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _number(low: int, high: int, value: int, tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    box.setToolTip(tip)
    return box
