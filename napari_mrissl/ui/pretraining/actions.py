"""What can be done to runs: one thing after the other, in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import printable
from napari_mrissl.training import index
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.pretraining import work
from napari_mrissl.ui.pretraining.data_box import Sources
from napari_mrissl.ui.pretraining.draft import Draft

_LIST = "list of runs"


class RunActions(JobRunner):
    """Starts, pauses, stops, resumes, lists and forgets runs.

    Attributes
    ----------
    said : Signal(str)
        What was done; empty when something new begins.
    made : Signal(object)
        A run was started: `work.Started`.
    resumed : Signal(object)
        The folder of a run that goes on.
    list_changed : Signal()
        The list of runs is to be read again.
    """

    said = Signal(str)
    made = Signal(object)
    resumed = Signal(object)
    list_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._forgotten: list[index.Forgotten] = []

    @property
    def can_bring_back(self) -> bool:
        """Whether a run was forgotten and can be listed again."""
        return bool(self._forgotten)

    def make(self, draft: Draft, sources: Sources, folder: Path, initial: str) -> None:
        """Make a run and train it."""
        self._do(
            lambda control: work.start(control, draft, sources, folder, initial),
            f"start of the run {printable(folder.name)}",
            self.made.emit,
        )

    def pause(self, folder: Path) -> None:
        """Let a run wait after its running step."""
        self._do(lambda _: work.pause(folder), "pause", None)

    def stop(self, folder: Path) -> None:
        """End a run after its running step."""
        self._do(lambda _: work.stop(folder), "stop", self._on_listed)

    def resume(self, folder: Path, more: int | None = None) -> None:
        """Let a run go on; a finished one with so many more steps."""
        self._do(lambda control: work.resume(control, folder, more), "resume", self.resumed.emit)

    def add(self, folder: str | Path) -> None:
        """List a run from now on."""
        self._do(lambda _: index.remember(folder), _LIST, self._on_listed)

    def forget(self, folder: str | Path) -> None:
        """Take a run off the list; its folder stays as it is."""
        self._do(lambda _: index.forget(folder), _LIST, self._on_forgotten)

    def bring_back(self) -> None:
        """List the run again that was forgotten last."""
        if self._forgotten:
            gone = self._forgotten[-1]
            self._do(lambda _: index.bring_back(gone), _LIST, self._on_brought_back)

    def _do(self, action: Callable[..., Any], title: str, done: Any) -> None:
        self.said.emit("")
        self.start(action, title=title, done=done, queue=True)

    def _on_listed(self, _: object) -> None:
        self.list_changed.emit()

    def _on_forgotten(self, gone: index.Forgotten) -> None:
        self._forgotten.append(gone)
        name = printable(gone.folder.name)
        self.said.emit(f"The run {name} is off the list; its files are as they were.")
        self.list_changed.emit()

    def _on_brought_back(self, gone: index.Forgotten) -> None:
        self._forgotten.remove(gone)
        self.list_changed.emit()
