"""Measures what another appearance of the same anatomy does to features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel
from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.drift import Series
from napari_mrissl.features.recolouring import Recolouring
from napari_mrissl.ui.explorer import measure_work
from napari_mrissl.ui.job_group import JobGroup
from napari_mrissl.ui.layers import reading_of
from napari_mrissl.volumes.atomic import write_text

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_mrissl.ui.jobs import Control
    from napari_mrissl.volumes import Volume


class Features(NamedTuple):
    """How features are computed and compared.

    Attributes
    ----------
    settings
        Gives what computes them.
    standardised
        Whether each channel counts by its spread.
    title
        What the features are called.
    """

    settings: Callable[[], BaseModel]
    standardised: bool
    title: str


class Measuring(QObject):
    """Runs the measurements of the tab "Invariance", one at a time.

    Parameters
    ----------
    jobs
        Runs the work.

    Attributes
    ----------
    measured : Signal(object)
        What two images of one anatomy show.
    drifted : Signal(object)
        How far features move as one change grows.
    said, failed : Signal(str)
        A sentence for the user; why nothing can be measured.
    started : Signal()
        Something began in the background.
    """

    measured = Signal(object)
    drifted = Signal(object)
    said = Signal(str)
    failed = Signal(str)
    started = Signal()

    def __init__(self, jobs: JobGroup, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = jobs.runner(listed=True)
        self._writing = jobs.runner(listed=True)

    def measure_pair(self, features: Features, drawn: tuple[int, int, int]) -> None:
        """Measure on a pair of views: seed, number of the pair, and side."""
        settings, standardised, _ = features
        self._start(
            lambda control: measure_work.measure_pair(control, settings, *drawn, standardised),
            "Measuring invariance",
            self.measured.emit,
        )

    def measure_recoloured(self, features: Features, layer: Image, change: Recolouring) -> None:
        """Measure on a scan and a recoloured copy of it."""
        settings, standardised, _ = features
        self._read(
            layer,
            lambda control, read: measure_work.measure_recoloured(
                control, settings, read, change, standardised
            ),
            "Measuring invariance",
            self.measured.emit,
        )

    def measure_drift(self, features: Features, layer: Image, series: Series) -> None:
        """Measure how far a scan's features move as one change of its appearance grows."""
        settings, standardised, title = features
        called = measure_work.Called(title, layer.name, standardised)
        self._read(
            layer,
            lambda control, read: measure_work.drift(control, settings, read, series, called),
            "Measuring the drift of features",
            self.drifted.emit,
        )

    def export(self, path: Path, text: str) -> None:
        """Write text to a file, whole or not at all."""
        self._writing.start(
            lambda _: write_text(path, text),
            title="Writing the curves",
            done=lambda _: self.said.emit(f"Written: {path.name}"),
            queue=True,
        )

    def _read(
        self,
        layer: Image,
        job: Callable[[Control, Callable[[], Volume]], Any],
        title: str,
        done: Callable[[Any], None],
    ) -> None:
        try:
            read = reading_of(layer)
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        self._start(lambda control: job(control, read), title, done)

    def _start(self, job: Any, title: str, done: Callable[[Any], None]) -> None:
        self._runner.start(job, title=title, done=done)
        self.started.emit()
