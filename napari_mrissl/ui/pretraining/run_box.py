"""One run: its state, what can be done with it, curves, pictures and log."""

from __future__ import annotations

import math
import time

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPlainTextEdit, QProgressBar, QVBoxLayout, QWidget

from napari_mrissl.errors import printable
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.pretraining.curves import Curves
from napari_mrissl.ui.pretraining.follower import Follower
from napari_mrissl.ui.pretraining.pictures import Pictures
from napari_mrissl.ui.recorder.parts import button, label_of, row, sentence, whole_number

_ERROR = "color: #e5484d; font-weight: bold;"
_LOG_LINES = 6
_PERMILLE = 1000
_MOST_STEPS = 100_000_000

WORDS = {
    "queued": "Queued", "running": "Running", "pausing": "Pausing after this step",
    "paused": "Paused", "stopping": "Stopping after this step", "stopped": "Stopped",
    "finished": "Finished", "failed": "Failed",
}  # fmt: skip
"""What states are called."""


class RunBox(QWidget):
    """Shows what a `Follower` knows.

    Parameters
    ----------
    follower
        Of the run.

    Attributes
    ----------
    pause_wanted, stop_wanted, resume_wanted : Signal()
        A button was pressed.
    more_wanted : Signal(int)
        A finished run is to go on with so many more steps.
    """

    pause_wanted = Signal()
    stop_wanted = Signal()
    resume_wanted = Signal()
    more_wanted = Signal(int)

    def __init__(self, follower: Follower, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._follower = follower
        self._asked = ""
        self._stale = False
        self._logged = 0
        self.name = sentence("The run that is shown, and its method")
        self.name.setStyleSheet("font-weight: bold;")
        self.state = sentence("State of the run, as its folder says")
        self.reason = sentence("Why the run is in this state, and the way on")
        self.progress = QProgressBar()
        self.progress.setRange(0, _PERMILLE)
        self.progress.setToolTip("Steps that are done")
        self.pace = sentence("Pace of the last steps: samples, time, and time spent waiting")
        self.pause = button("Pause", "Pause after the running step; memory stays in use")
        self.stop = button(
            "Stop", "End after the running step, or within 5 s; the run is saved and can go on"
        )
        self.resume = button("Resume", "Go on from where it was paused or last saved")
        self.pause.clicked.connect(self._on_pause)
        self.stop.clicked.connect(self._on_stop)
        self.resume.clicked.connect(self._on_resume)
        self.more = whole_number(1, _MOST_STEPS, 1000, "How many steps a finished run gets more")
        self.go_on = button(
            "Go on", "Train the finished run further; the learning rate follows the longer schedule"
        )
        self.go_on.clicked.connect(self._on_go_on)
        self.further = QWidget()
        self.further.setLayout(
            row(label_of("With", self.more), (self.more, 1), label_of("more steps", self.more),
                (self.go_on, 1))
        )  # fmt: skip
        self.curves = Curves()
        self.pictures = Pictures()
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setToolTip("States, checkpoints, measurements on held-out subjects, warnings")
        self.log.setFixedHeight(_LOG_LINES * self.log.fontMetrics().lineSpacing() + 12)
        self.log.setMaximumBlockCount(1000)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(3)
        layout.addWidget(self.name)
        layout.addWidget(self.state)
        layout.addLayout(row((self.pause, 1), (self.resume, 1), (self.stop, 1)))
        for part in (self.further, self.progress, self.pace, self.reason):
            layout.addWidget(part)
        self.sections = {
            title: section(title, part)
            for title, part in (
                ("Curves", self.curves),
                ("Samples", self.pictures),
                ("Log", self.log),
            )
        }
        for folding in self.sections.values():
            layout.addWidget(folding)
        layout.addStretch(1)
        follower.opened.connect(self._on_opened)
        follower.changed.connect(self._on_changed)
        follower.state_changed.connect(self._on_state)
        follower.pictured.connect(self._on_picture)
        self._on_opened()

    def refresh(self) -> None:
        """Draw what has come since the last time; called often, and only then it costs."""
        if not self._stale or not self.isVisible():
            return
        self._stale = False
        history = self._follower.history
        self.curves.present(history)
        fresh = history.line_count - self._logged
        for line in list(history.lines)[-fresh:] if fresh else ():
            at = time.strftime("%H:%M:%S", time.localtime(line.time))
            self.log.appendPlainText(f"{at}  {printable(line.text)}")
        self._logged = history.line_count
        self._show_pace()

    def forget_request(self) -> None:
        """What was asked for did not work: allow to ask again."""
        self._asked = ""
        self._show_state()

    def _on_opened(self) -> None:
        run = self._follower.run
        if run is None:
            self.curves.clear()
            self.pictures.clear()
            self.log.clear()
            self._logged = 0
            self._asked = ""
            self.name.setText("No run is shown. Start one, or open one from the list of runs.")
        else:
            self.name.setText(f"{printable(run.folder.name)}: {run.settings.method}")
            self.more.setValue(run.settings.optimisation.steps)
        self._stale = True
        self._show_state()
        self._show_pace()

    def _on_changed(self) -> None:
        self._stale = True

    def _on_state(self) -> None:
        name = self._follower.state.name
        if self._asked and (name == self._asked or not self._follower.alive):
            self._asked = ""
        if self._asked == "resuming" and name == "running":
            self._asked = ""
        self._stale = True
        self._show_state()

    def _on_picture(self, picture, image, scan: str = "") -> None:
        captions = [printable(one) for one in picture.captions]
        name = printable(picture.name)
        self.pictures.present(name, picture.step, captions, image, printable(scan))

    def _on_pause(self) -> None:
        self._ask("paused")
        self.pause_wanted.emit()

    def _on_stop(self) -> None:
        self._ask("stopped")
        self.stop_wanted.emit()

    def _on_resume(self) -> None:
        self._ask("resuming")
        self.resume_wanted.emit()

    def _on_go_on(self) -> None:
        self._ask("resuming")
        self.more_wanted.emit(self.more.value())

    def _ask(self, wanted: str) -> None:
        """The click is answered at once; the run answers through its folder."""
        self._asked = wanted
        self._show_state()

    def _show_state(self) -> None:
        state = self._follower.state
        name = state.name if state is not None else ""
        asked = {"paused": "pausing", "stopped": "stopping"}.get(self._asked)
        text = WORDS.get(asked or name, "")
        if self._asked == "resuming":
            text = "Resuming"
        away = state is not None and state.unsure
        if state is not None and (state.alive or away) and not state.here:
            text += " on another machine"
        self.state.setText(text)
        self.state.setStyleSheet(_ERROR if name == "failed" and not self._asked else "")
        reason = printable(state.reason) if state is not None and not self._asked else ""
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))
        self.reason.setStyleSheet(_ERROR if name == "failed" else "")
        free = not self._asked
        alive = self._follower.alive
        self.pause.setEnabled(free and name == "running")
        self.stop.setEnabled((alive or away) and "stop" not in (asked or name))
        self.resume.setEnabled(
            free and (name == "paused" or (not alive and name not in ("", "finished")))
        )
        self.further.setVisible(name == "finished" and not alive)
        self.go_on.setEnabled(free)
        done = state.step / state.steps if state is not None and state.steps else 0.0
        self.progress.setValue(round(_PERMILLE * done))
        self.progress.setFormat(
            f"step {state.step} of {state.steps}" if state is not None else "no run"
        )

    def _show_pace(self) -> None:
        history, state = self._follower.history, self._follower.state
        words = []
        if math.isfinite(history.samples_per_second):
            words.append(f"{history.samples_per_second:.3g} samples/s")
        if math.isfinite(history.seconds_per_step):
            words.append(f"{history.seconds_per_step:.3g} s/step")
        if state is not None and self._follower.alive:
            left = history.seconds_left(state.steps)
            if math.isfinite(left):
                words.append(f"about {duration(left)} left")
            if history.step > state.step:
                done = history.step / state.steps if state.steps else 0.0
                self.progress.setValue(round(_PERMILLE * done))
                self.progress.setFormat(f"step {history.step} of {state.steps}")
        if math.isfinite(history.waiting):
            words.append(f"{100 * history.waiting:.0f} % waiting for data")
        if math.isfinite(history.memory) and history.memory > 0:
            words.append(f"{history.memory / 2**30:.1f} GiB")
        self.pace.setText(", ".join(words))
        self.pace.setVisible(bool(words))


def duration(seconds: float) -> str:
    """E.g. ``40 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
