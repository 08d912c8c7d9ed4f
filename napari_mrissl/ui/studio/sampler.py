"""Keeps the newest wanted sample coming: one job at a time, latest request wins."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal

from napari_mrissl.synthesis.templates import Templates
from napari_mrissl.ui.jobs import Control, JobRunner
from napari_mrissl.ui.studio.sample import Request, Sample
from napari_mrissl.ui.studio.work import Made, Refused, Source, make, procedural


class Sampler(QObject):
    """Makes samples in the background.

    Attributes
    ----------
    made : Signal(object)
        A new `Sample`.
    failed : Signal(str)
        One sentence; sample and templates are as before.
    said : Signal(str)
        What became of the work, where no sample did.
    progressed : Signal(float, str)
        Fraction done and what is being done.
    busy_changed : Signal()
        Work began or ended.
    """

    made = Signal(object)
    failed = Signal(str)
    said = Signal(str)
    progressed = Signal(float, str)
    busy_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.sample: Sample | None = None
        self._request: Request | None = None
        self._wanted = procedural()
        self._loaded: tuple[Source, Templates] | None = None
        self._jobs = JobRunner(self)
        self._jobs.started.connect(self._on_busy)
        self._jobs.idle.connect(self._on_busy)
        self._jobs.progressed.connect(self.progressed)
        self._jobs.failed.connect(self.failed)
        self._jobs.cancelled.connect(self._on_cancelled)

    @property
    def busy(self) -> bool:
        """Whether something is being made."""
        return self._jobs.running

    @property
    def source(self) -> Source:
        """Where templates come from, or will once they are read."""
        return self._wanted

    @property
    def templates(self) -> Templates | None:
        """The pool in use; None until the first was read."""
        return self._loaded[1] if self._loaded else None

    def request(self, request: Request) -> None:
        """Make this sample, and forget an older one that is not made yet."""
        self._request = request
        self._start()

    def take(self, source: Source) -> None:
        """Read templates, and make the present sample with them."""
        self._wanted = source
        self._start()

    def cancel(self) -> None:
        """Stop; sample and templates stay as they are."""
        self._jobs.cancel()

    def close(self) -> None:
        """Stop, and deliver nothing any more."""
        self._jobs.close()

    def _start(self) -> None:
        request, source = self._request, self._wanted
        if request is None:
            return
        known = self._loaded is not None and self._loaded[0] is source
        templates = self._loaded[1] if self._loaded and known else None

        def work(control: Control) -> Made | Refused:
            return make(control, request, source, templates)

        self._jobs.start(work, title="Making a sample", done=self._on_done)

    def _on_done(self, result: Made | Refused) -> None:
        if isinstance(result, Refused):
            self._go_back()
            self.failed.emit(result.sentence)
            if self.sample is None or self.sample.request != self._request:
                self._start()
            return
        self._loaded = result.source, result.templates
        self.sample = result.sample
        self.made.emit(result.sample)

    def _go_back(self) -> None:
        """Templates that could be read before are still there."""
        self._wanted = self._loaded[0] if self._loaded else procedural()

    def _on_cancelled(self) -> None:
        self._go_back()
        self.said.emit("Cancelled; press New sample to go on.")

    def _on_busy(self, _: str = "") -> None:
        self.busy_changed.emit()
