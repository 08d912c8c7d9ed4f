"""Work of the recorder that is not the dataset's own: one job, its progress and its end."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal
from qtpy.QtCore import QObject

from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.ui.jobs import Control, JobRunner
from napari_mrissl.ui.navigator.flights import FlightDeck


class DeckWork(QObject):
    """Runs jobs in the background, and tells through the deck how they ended.

    Parameters
    ----------
    deck
        Says what was done and what went wrong.
    left
        What a cancelled job leaves, as the end of a sentence.

    Attributes
    ----------
    changed : psygnal.Signal()
        Something is being done, or no more.
    progressed : psygnal.Signal(float)
        How much of it is done, 0 to 1.
    """

    changed = Signal()
    progressed = Signal(float)

    def __init__(self, deck: FlightDeck, left: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._deck, self._left = deck, left
        self._jobs = JobRunner(self)
        self._jobs.progressed.connect(self._on_progress)
        self._jobs.failed.connect(self._on_failed)
        self._jobs.cancelled.connect(self._on_cancelled)
        self._jobs.idle.connect(self._on_idle)

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._jobs.running

    def cancel(self) -> None:
        """Stop what is being done."""
        self._jobs.cancel()

    def close(self) -> None:
        """Stop, and deliver nothing any more."""
        self._jobs.close()

    def _on_progress(self, part: float, _: str) -> None:
        self.progressed.emit(part)

    def _on_failed(self, sentence: str) -> None:
        self._deck.failed.emit(sentence)

    def _on_cancelled(self) -> None:
        self._deck.said.emit(f"Cancelled; {self._left}.")

    def _on_idle(self) -> None:
        self.changed.emit()


def telling(control: Control) -> Callable[[float], None]:
    """Tells a job's progress, and ends it when it was cancelled."""

    def tell(part: float) -> None:
        if control.cancelled():
            raise Cancelled
        control.progress(part)

    return tell
