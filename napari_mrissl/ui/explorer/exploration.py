"""The state behind the panel: explored scans, clicks and their answers, and the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.features.similarity import Comparison
from napari_mrissl.registration.correspondence import Correspondence
from napari_mrissl.ui.explorer import work
from napari_mrissl.ui.explorer.computing import Computing
from napari_mrissl.ui.explorer.explored import Explored, Found, Place, asked_by, clicked_in
from napari_mrissl.ui.explorer.landmark_pair import LandmarkPair
from napari_mrissl.ui.explorer.layers import ExplorerLayers
from napari_mrissl.ui.explorer.measuring import Measuring
from napari_mrissl.ui.explorer.showing import Showing
from napari_mrissl.ui.explorer.sources import SourceChoice
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.job_group import JobGroup
from napari_mrissl.ui.navigator.units import position_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


# Longer than Qt waits before it paints what changed.
_PAINTED_MS = 20


class Exploration(QObject):
    """Computes features of scans and answers clicks; holds what shows and measures them.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.

    Attributes
    ----------
    explored : list of Explored
        The scans with features, as they were ticked.
    history : SettingsHistory
        The clicks; None is no click.
    found : dict
        The answer of each scan to the present click, as far as it is there.
    computing : Computing
        Makes features.
    showing : Showing
        Colours and channels.
    measuring : Measuring
        What another appearance does to features.
    landmarks : LandmarkPair
        Finds and shows landmarks of two scans.
    changed : Signal()
        Other scans or features are explored.
    answered : Signal()
        There is another click, or another answer to it.
    said, failed : Signal(str)
        A sentence for the user.
    progressed : Signal(float, str)
        Of what is being done in the background.
    busy_changed : Signal()
        Something began or ended.
    """

    changed = Signal()
    answered = Signal()
    said = Signal(str)
    failed = Signal(str)
    progressed = Signal(float, str)
    busy_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._truth = False
        self.found: dict[Explored, Found] = {}
        self.history: SettingsHistory[Place | None] = SettingsHistory(None)
        self.layers = ExplorerLayers(viewer)
        self.jobs = JobGroup(self)
        self._matching = self.jobs.runner(listed=False)
        self._judging = self.jobs.runner(listed=False)
        self.computing = Computing(viewer, self.jobs, self)
        self.computing.started.connect(self._on_started)
        self.computing.computed.connect(self._on_computed)
        self.computing.recompared.connect(self._on_recompared)
        self.computing.ended.connect(self._catch_up)
        self.computing.failed.connect(self.failed)
        self.showing = Showing(viewer, self.layers, self.jobs, self)
        self.measuring = Measuring(self.jobs, self)
        self.measuring.failed.connect(self.failed)
        self.measuring.said.connect(self.said)
        self.jobs.failed.connect(self.failed)
        self.jobs.progressed.connect(self.progressed)
        self.jobs.idle.connect(self.busy_changed)
        self.jobs.cancelled.connect(lambda: self.said.emit("Cancelled; nothing half-done is kept."))
        self.landmarks = LandmarkPair(viewer, self.jobs, self)
        self.landmarks.failed.connect(self.failed)
        self.landmarks.said.connect(self.said)
        for part in (self.showing, self.measuring, self.landmarks):
            part.started.connect(self.busy_changed)
        # A child, so that it ends with the panel.
        self._after_slice = QTimer(self)
        self._after_slice.setSingleShot(True)
        self._after_slice.setInterval(_PAINTED_MS)
        self._after_slice.timeout.connect(self._compare_whole)
        self._unanswered: tuple[list[Explored], NDArray[np.float32]] | None = None
        self.explored = []

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        return self.jobs.busy or self._after_slice.isActive()

    @property
    def explored(self) -> list[Explored]:
        """The scans with features, as they were ticked."""
        return self._explored

    @explored.setter
    def explored(self, explored: list[Explored]) -> None:
        self._explored = explored
        self.showing.explored = self.computing.explored = explored

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels."""
        return self.explored[0].stack.names if self.explored else ()

    @property
    def place(self) -> Place | None:
        """The click that is answered."""
        return self.history.present

    @property
    def asked(self) -> Explored | None:
        """The scan in which the present click finds what it asks for."""
        return None if self.place is None else asked_by(self.place, self.explored)

    def compute(
        self, layers: Sequence[Image], choice: SourceChoice, tap: int | None, comparison: Comparison
    ) -> None:
        """Compute the features of some scans in the background, or take them from the cache."""
        if layers:
            self.showing.cancel()
        self.computing.compute(layers, choice, tap, comparison)

    def prepare_clicks(self) -> None:
        """Make the layers that a click fills, so that the first click is as fast as others."""
        for one in self.explored:
            self.layers.need_marks(one.layer)
            if self.place is None:
                self.layers.show_similarity(one)

    def pick(self, world: tuple[float, float, float]) -> None:
        """Ask for places like this one; in the active scan, or the topmost that has it."""
        asked = clicked_in(world, self.explored, self._viewer.layers)
        if asked is None:
            self.failed.emit(
                "The click lies outside all scans that have features."
                if self.explored
                else "Compute features first, then click."
            )
            return
        self.ask(Place(asked.layer.name, world))

    def ask(self, place: Place | None) -> None:
        """Answer a click, or none; can be taken back."""
        self.history.change(place)
        self._answer()

    def step_back(self) -> None:
        """The click before."""
        if self.history.undo():
            self._answer()

    def step_forward(self) -> None:
        """The click that was taken back."""
        if self.history.redo():
            self._answer()

    def set_truth(self, truth: bool) -> None:
        """Whether the same millimetre is the same anatomy in all scans."""
        self._truth = truth
        self.found = {
            one: self._found(one, held.match, held.trust) for one, held in self.found.items()
        }
        self.answered.emit()

    def go_to(self, world: tuple[float, float, float]) -> None:
        """Bring the main view to a place in RAS mm."""
        dims = self._viewer.dims
        if dims.ndim >= 3:
            dims.set_point(range(dims.ndim - 3, dims.ndim), position_of(self._viewer, world))

    def forget(self, layer: Image) -> None:
        """Let go of a scan that has left the viewer."""
        gone = [one for one in self.explored if one.layer is layer]
        for one in gone:
            self.showing.cancel()
            self.explored.remove(one)
            self.layers.forget(one)
        if gone:
            self.changed.emit()
            # Another scan may have to be asked; and the others' answers may have been on the way.
            self._answer()

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        self._stop_comparing()
        self.jobs.cancel()

    def shut_down(self) -> None:
        """End all work and remove the layers."""
        self._after_slice.stop()
        self.jobs.close()
        self.layers.remove()
        self.landmarks.let_go()
        self.explored.clear()
        self.found.clear()
        self.computing.shut_down()

    def _on_started(self) -> None:
        self._stop_comparing()
        self.busy_changed.emit()

    def _on_computed(self, explored: list[Explored]) -> None:
        for one in self.explored:
            self.layers.forget(one)
        self.explored = explored
        self._on_recompared()

    def _on_recompared(self) -> None:
        self.showing.standardised = self.computing.comparison == "standardised"
        self.found.clear()
        self.changed.emit()

    def _catch_up(self) -> None:
        """Answer the click that waited while features were being computed."""
        if self.place is not None and len(self.found) < len(self.explored):
            self._answer()

    def _answer(self) -> None:
        """Show what is like the present click: the planes in view now, the rest in a moment."""
        place = self.place
        self._stop_comparing()
        self.found.clear()
        asked = self.asked
        if place is None or asked is None:
            self.layers.clear_similarity(self.explored)
            self.answered.emit()
            return
        voxel = asked.voxel_at(place.world)
        query = None if voxel is None else asked.compared.at(voxel)
        if query is None or not np.any(query):
            self.layers.clear_similarity(self.explored)
            self.answered.emit()
            self.failed.emit("The features of this place are all zero: nothing is similar to it.")
            return
        # The scan that was clicked is what the user looks at.
        ordered = sorted(self.explored, key=lambda one: one is not asked)
        for one in ordered:
            self.layers.show_similarity_plane(one, query)
        # The volume would take cores and the interpreter from the painting of the slice, and
        # filling tables takes milliseconds too.
        self._unanswered = ordered, query
        self._after_slice.start()

    def _stop_comparing(self) -> None:
        self._after_slice.stop()
        self._unanswered = None
        self._matching.cancel()
        self._judging.cancel()

    def _compare_whole(self) -> None:
        if self._unanswered is None:
            return
        (ordered, query), self._unanswered = self._unanswered, None
        self.answered.emit()
        self._matching.start(
            lambda control: work.compare(control, ordered, query),
            title="Similar places",
            received=lambda sent: self._on_compared(*sent),
            # Points are slow to replace: once, and after the slice was shown.
            done=lambda _: self._on_matched(),
        )

    def _on_compared(self, one: Explored, match: Any) -> None:
        if one not in self.explored:
            return
        one.swap()
        self.layers.show_similarity(one)
        self.found[one] = self._found(one, match)
        self.answered.emit()

    def _on_matched(self) -> None:
        self._show_marks()
        place, asked = self.place, self.asked
        others = [one for one in self.found if one is not asked]
        if place is None or asked is None or not others:
            return
        # The way back takes as long as the match itself, which need not wait for it.
        self._judging.start(
            lambda control: work.judge(control, asked, others, place.world),
            title="Confidence",
            received=lambda sent: self._on_judged(*sent),
        )

    def _on_judged(self, one: Explored, trust: Correspondence) -> None:
        if one in self.found:
            self.found[one] = self.found[one]._replace(trust=trust)
            self.answered.emit()

    def _found(self, one: Explored, match: Any, trust: Correspondence | None = None) -> Found:
        world = one.world_of(match.voxel)
        place, distance = self.place, None
        if place is not None and (self._truth or one is self.asked):
            distance = float(np.linalg.norm(np.subtract(world, place.world)))
        return Found(match, world, distance, trust)

    def _show_marks(self) -> None:
        place, asked = self.place, self.asked
        matches = {one.name: found.world for one, found in self.found.items() if one is not asked}
        clicked = None if place is None or asked is None else (place.scan, place.world)
        self.layers.show_marks(clicked, matches, None if asked is None else asked.layer)
