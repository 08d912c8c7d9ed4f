"""Computes features of scans, and makes them ready for one or another way of comparing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import set_cache_limit
from napari_mrissl.features.similarity import Compared, Comparison
from napari_mrissl.ui.explorer import work
from napari_mrissl.ui.explorer.explored import Explored
from napari_mrissl.ui.explorer.sources import SourceChoice, settings_of, title_of
from napari_mrissl.ui.job_group import JobGroup
from napari_mrissl.ui.layers import reading_of
from napari_mrissl.ui.preferences import preferences

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class Computing(QObject):
    """Runs one computation at a time; until it is done, what was there is as it was.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    jobs
        Runs the work.

    Attributes
    ----------
    explored : list of Explored
        The scans with features.
    comparison : str
        How they are compared.
    computed : Signal(object)
        A list of scans with features that take the place of those that were explored.
    recompared : Signal()
        The explored scans are compared in another way.
    started, ended : Signal()
        Something began in the background; it ended, in whatever way.
    failed : Signal(str)
        Why nothing can be computed.
    """

    computed = Signal(object)
    recompared = Signal()
    started = Signal()
    ended = Signal()
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, jobs: JobGroup, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._title = ""
        self._wanted: Comparison | None = None
        self._asking: list[Image] = []
        self._runner = jobs.runner(listed=True)
        self._runner.idle.connect(self._on_idle)
        self.explored: list[Explored] = []
        self.comparison: Comparison = "plain"

    @property
    def running(self) -> bool:
        """Whether features are being computed or made ready."""
        return self._runner.running

    @property
    def title(self) -> str:
        """What the features are called that are there, and how they are compared."""
        return self._title + (", standardised" if self.comparison == "standardised" else "")

    def compute(
        self, layers: Sequence[Image], choice: SourceChoice, tap: int | None, comparison: Comparison
    ) -> None:
        """Compute the features of some scans in the background, or take them from the cache."""
        try:
            scans = [(layer.name, reading_of(layer)) for layer in layers]
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        if not scans:
            self.failed.emit("Tick at least one scan: any 3-D image of the viewer.")
            return
        self._asking, self._wanted = list(layers), None
        fresh: dict[int, Explored] = {}
        set_cache_limit(preferences().feature_cache_gib)
        self._runner.start(
            partial(
                work.compute, scans=scans, settings=settings_of(choice, tap), comparison=comparison
            ),
            title=f"Computing features of {len(scans)} scan{'s' if len(scans) > 1 else ''}",
            received=partial(self._on_ready, fresh),
            done=lambda _: self._on_computed(fresh, comparison, title_of(choice, tap)),
        )
        self.started.emit()

    def compare_by(self, comparison: Comparison) -> None:
        """Compare features in another way: those that are there, or are being computed."""
        self._wanted = comparison
        if not self.running:
            self._take_wanted()

    def shut_down(self) -> None:
        """Let go of scans."""
        self._asking.clear()
        self.explored = []

    def _on_idle(self) -> None:
        # Chosen meanwhile; for the scans that were there before, where computing failed.
        if not self._take_wanted():
            self.ended.emit()

    def _take_wanted(self) -> bool:
        wanted, self._wanted = self._wanted, None
        if wanted is None or wanted == self.comparison or not self.explored:
            return False
        self._recompare(wanted)
        return True

    def _recompare(self, comparison: Comparison) -> None:
        explored = list(self.explored)
        self._runner.start(
            lambda control: work.recompare(control, explored, comparison),
            title="Comparing features in another way",
            done=lambda made: self._on_recompared(explored, made, comparison),
        )
        self.started.emit()

    def _on_ready(self, fresh: dict[int, Explored], ready: work.Ready) -> None:
        layer = self._asking[ready.number]
        if layer in self._viewer.layers:
            fresh[ready.number] = Explored(layer, ready.volume, ready.stack, ready.compared)

    def _on_computed(self, fresh: dict[int, Explored], comparison: Comparison, title: str) -> None:
        # Not before: what was there is compared as it was until there is something new.
        self.comparison, self._title = comparison, title
        self._asking.clear()
        self.computed.emit([one for one in fresh.values() if one.layer in self._viewer.layers])

    def _on_recompared(
        self, explored: list[Explored], made: list[Compared], comparison: Comparison
    ) -> None:
        self.comparison = comparison
        for one, compared in zip(explored, made, strict=True):
            one.compared = compared
        self.recompared.emit()
