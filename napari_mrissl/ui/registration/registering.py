"""Runs one registration at a time, and keeps results to go back to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import printable
from napari_mrissl.registration import Cost, RegistrationSettings
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.registration import work
from napari_mrissl.ui.registration.asked import Asked
from napari_mrissl.ui.registration.result import Result
from napari_mrissl.ui.registration.work import Aligned

_KEPT = 4
"""Results that can be gone back to: each holds a scan."""


class Registering(QObject):
    """Registers and saves in the background.

    Attributes
    ----------
    running, saving : JobRunner
        Of registrations, and of files.
    cost_told : Signal(object)
        One more `Cost` of the refinement.
    changed : Signal()
        Another result is the present one.
    said, failed : Signal(str)
        What was done; what went wrong.
    busy_changed : Signal()
        Something began or ended.
    """

    cost_told = Signal(object)
    changed = Signal()
    said = Signal(str)
    failed = Signal(str)
    busy_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.running, self.saving = JobRunner(self), JobRunner(self)
        self._aligned: Aligned | None = None
        self._asked: Asked | None = None
        self._history: SettingsHistory[Result | None] = SettingsHistory(None, most=_KEPT)
        for runner in (self.running, self.saving):
            runner.failed.connect(self.failed)
            runner.idle.connect(self.busy_changed)
        self.running.failed.connect(lambda _: self._forget_all())
        self.running.cancelled.connect(self._on_cancelled)
        self.saving.cancelled.connect(lambda: self.said.emit("Cancelled; nothing was written."))

    @property
    def busy(self) -> bool:
        """Whether something goes on."""
        return self.running.running or self.saving.running

    @property
    def result(self) -> Result | None:
        """The present result."""
        return self._history.present

    @property
    def can_undo(self) -> bool:
        """Whether a result can be taken back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether one was taken back."""
        return self._history.can_redo

    def register(self, asked: Asked, settings: RegistrationSettings, title: str) -> None:
        """Register what is chosen; what was found before is kept until this is done."""
        self._forget_aligned()
        self._asked = asked
        self.running.start(
            lambda control: work.register(control, asked, settings),
            title=title,
            done=self._on_done,
            received=self._on_told,
        )
        self.busy_changed.emit()

    def save(self, folder: Path) -> None:
        """Write the files of ``mrissl register`` of the present result."""
        result = self.result
        if result is None:
            self.failed.emit("There is no result to save; register two scans first.")
            return
        self.saving.start(
            lambda control: work.save(control, folder, result),
            title=f"saving {printable(folder.name)}",
            done=lambda path: self.said.emit(f"Written to {printable(path.name)}."),
            queue=True,
        )
        self.busy_changed.emit()

    def undo(self) -> None:
        """Back to the result before."""
        if self._history.undo():
            self.changed.emit()

    def redo(self) -> None:
        """Take the result again that was taken back."""
        if self._history.redo():
            self.changed.emit()

    def cancel(self) -> None:
        """Stop; the linear alignment is kept where it is there already."""
        for runner in (self.running, self.saving):
            runner.cancel()

    def close(self) -> None:
        """End all work and let go of all results."""
        for runner in (self.running, self.saving):
            runner.close()
        self._forget_all()
        self._history = SettingsHistory(None)

    def _on_told(self, message: Any) -> None:
        if isinstance(message, Cost):
            self.cost_told.emit(message)
        elif isinstance(message, Aligned):
            self._aligned = message

    def _on_done(self, result: Result) -> None:
        self._forget_aligned()
        self._history.change(result)
        asked, self._asked = self._asked, None
        self.changed.emit()
        said = "Registered." if result.whole else "Stopped; the linear alignment was kept."
        if asked is not None and asked.displaced:
            said += (
                f" {' and '.join(asked.displaced)} was moved since it began: the result is that "
                "of the scans as they lay then."
            )
        self.said.emit(said)

    def _on_cancelled(self) -> None:
        aligned, self._aligned = self._aligned, None
        if aligned is None:
            self._asked = None
            self.said.emit("Cancelled; nothing was changed.")
            return
        self.running.start(
            lambda control: work.keep_linear(control, aligned),
            title="keeping the linear alignment",
            done=self._on_done,
        )
        self.busy_changed.emit()

    def _forget_aligned(self) -> None:
        self._aligned = None

    def _forget_all(self) -> None:
        self._aligned = self._asked = None
