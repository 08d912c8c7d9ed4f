"""What several job runners are doing, as one progress bar and one status line say it."""

from __future__ import annotations

import time
from functools import partial

from qtpy.QtCore import QObject, Signal

from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.segmenter import words


class JobBoard(QObject):
    """Collects progress, errors and business of job runners.

    Attributes
    ----------
    said : Signal(str, str)
        A kind (``"info"``, ``"ready"``, ``"error"``) and one sentence.
    progressed : Signal(float, str)
        Of whatever is running; the fraction is negative while unknown.
    busy_changed : Signal(bool)
        Whether something is running.
    """

    said = Signal(str, str)
    progressed = Signal(float, str)
    busy_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runners: list[JobRunner] = []
        self._started = 0.0

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return any(runner.running for runner in self._runners)

    @property
    def elapsed(self) -> float:
        """Seconds since the newest job was started."""
        return time.monotonic() - self._started

    def say(self, kind: str, sentence: str) -> None:
        """Tell the user; kinds are ``"info"``, ``"ready"`` and ``"error"``."""
        self.said.emit(kind, sentence)

    def watch(self, runner: JobRunner) -> JobRunner:
        """Show a runner's progress and errors, and end it with the others."""
        self._runners.append(runner)
        runner.started.connect(self._on_started)
        runner.progressed.connect(self._on_progress)
        runner.failed.connect(partial(self.say, "error"))
        runner.idle.connect(self._on_idle)
        return runner

    def close_jobs(self) -> None:
        """End all jobs; nothing is told any more."""
        for runner in self._runners:
            runner.close()

    def _on_started(self, title: str) -> None:
        self._started = time.monotonic()
        self.busy_changed.emit(True)
        self.progressed.emit(-1.0, f"{title} …")

    def _on_progress(self, fraction: float, text: str) -> None:
        self.progressed.emit(fraction, words.progress(fraction, text, self.elapsed))

    def _on_idle(self) -> None:
        if not self.busy:
            self.busy_changed.emit(False)
