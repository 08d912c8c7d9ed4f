"""Several job runners that are told of, stopped and ended together."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal

from napari_mrissl.ui.jobs import JobRunner


class JobGroup(QObject):
    """Makes job runners and passes on what they tell.

    Attributes
    ----------
    failed : Signal(str)
        One sentence of any of them.
    cancelled : Signal()
        A job that napari lists noticed that it was cancelled.
    progressed : Signal(float, str)
        Of those that tell of their progress.
    idle : Signal()
        One of them has nothing more to do; others may have.
    """

    failed = Signal(str)
    cancelled = Signal()
    progressed = Signal(float, str)
    idle = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runners: list[JobRunner] = []
        self._told: list[JobRunner] = []

    @property
    def runners(self) -> tuple[JobRunner, ...]:
        """All that were made."""
        return tuple(self._runners)

    @property
    def busy(self) -> bool:
        """Whether any of them runs or waits."""
        return any(runner.running for runner in self._runners)

    @property
    def telling(self) -> bool:
        """Whether one runs that tells of its progress."""
        return any(runner.running for runner in self._told)

    def runner(self, *, listed: bool, told: bool | None = None) -> JobRunner:
        """Runs jobs of one kind.

        Parameters
        ----------
        listed
            Whether napari lists them among its tasks; the user learns of their cancelling.
        told
            Whether they tell of their progress; as ``listed`` when left out.
        """
        made = JobRunner(self, listed=listed)
        made.failed.connect(self.failed)
        made.idle.connect(self.idle)
        if listed:
            made.cancelled.connect(self.cancelled)
        if listed if told is None else told:
            made.progressed.connect(self.progressed)
            self._told.append(made)
        self._runners.append(made)
        return made

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        for runner in self._runners:
            runner.cancel()

    def close(self) -> None:
        """End all jobs; nothing is told any more."""
        for runner in self._runners:
            runner.close()
