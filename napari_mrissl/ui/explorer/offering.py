"""Finds in the background what the explorer offers: weights, layers, and what features take."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.explorer import sources, work
from napari_mrissl.ui.explorer.drift_page import DriftInputs
from napari_mrissl.ui.explorer.scans_box import ScansBox
from napari_mrissl.ui.explorer.sources import settings_of
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.layers import reading_of


class Offering(QObject):
    """Fills the list of networks and of their layers, and says what computing takes.

    Parameters
    ----------
    scans
        What is chosen, and where it is said.
    series
        Where the time of a series of measurements is said.

    Attributes
    ----------
    failed : Signal(str)
        Why weights cannot be listed.
    idle : Signal()
        Nothing goes on any more in one of the two.
    """

    failed = Signal(str)
    idle = Signal()

    def __init__(self, scans: ScansBox, series: DriftInputs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scans, self._series = scans, series
        self._costing = JobRunner(self, listed=False)
        self._listing = JobRunner(self, listed=False)
        self.runners = (self._costing, self._listing)
        for runner in self.runners:
            runner.idle.connect(self.idle)
        self._listing.failed.connect(self.failed)
        self._costing.failed.connect(scans.facts.setText)

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        return any(runner.running for runner in self.runners)

    def list_networks(self) -> None:
        """Offer the weights there are now."""
        self._listing.start(
            lambda _: sources.known_networks(), title="list of weights", done=self._scans.offer
        )

    def find_cost(self) -> None:
        """Say what the ticked scans would take, while nothing is being computed."""
        box = self._scans
        box.compute.setEnabled(bool(box.ticked))
        self._series.show_seconds(None)
        if not box.ticked:
            box.facts.setText("Open a scan and tick it.")
            return
        try:
            reads = [reading_of(layer) for layer in box.ticked]
        except MrisslError as error:
            box.facts.setText(str(error))
            return
        settings = settings_of(box.choice, box.chosen_tap)
        self._costing.start(
            lambda control: work.cost(control, reads, settings),
            title="what features take",
            done=self._show_cost,
        )

    def _show_cost(self, found: work.Cost) -> None:
        self._scans.offer_layers(found.layers)
        self._scans.facts.setText(" ".join((found.sentence, *found.remarks)))
        self._series.show_seconds(found.first_seconds)

    def close(self) -> None:
        """End all work; nothing is told any more."""
        for runner in self.runners:
            runner.close()
