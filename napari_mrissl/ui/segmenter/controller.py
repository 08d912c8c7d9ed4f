"""Scans, sessions and background jobs behind the panel; it knows no widget."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack, set_cache_limit
from napari_mrissl.geometry import Pose
from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.preferences import preferences
from napari_mrissl.ui.segmenter import words, work
from napari_mrissl.ui.segmenter.board import JobBoard
from napari_mrissl.ui.segmenter.session import ScanSession
from napari_mrissl.ui.segmenter.state import Change
from napari_mrissl.ui.segmenter.view import planes_in_view

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

NO_SCAN = "Open a scan, then mark a few places of each class."
ONE_CLASS = "Mark places of at least two classes: choose another class and click in the scan."


class Controller(JobBoard):
    """Sessions by scan, one job runner per kind of work.

    Attributes
    ----------
    session_changed : Signal()
        Another scan is current, or none.
    prompts_changed : Signal()
        Of the current scan.
    labels_shown : Signal(object)
        The segmentation's Labels layer, after its planes or all of it changed.
    finished : Signal(object)
        A whole `Segmentation` is shown.
    class_chosen : Signal(int)
        A label was chosen somewhere else than in the table of classes.
    """

    session_changed = Signal()
    prompts_changed = Signal()
    labels_shown = Signal(object)
    finished = Signal(object)
    class_chosen = Signal(int)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.settings = SegmentSettings()
        self.live = True
        self.session: ScanSession | None = None
        self.slice_pose: Callable[[], Pose | None] = lambda: None
        self.sessions: list[ScanSession] = []
        # Of a reopened window session: in which journal a layer's marks are, by its name.
        self.expected_journals: dict[str, str] = {}
        self._computing: ScanSession | None = None
        self._closed = False
        self.opening = self.watch(JobRunner(self))
        self.features = self.watch(JobRunner(self))
        self.segmenting = self.watch(JobRunner(self))
        self.suggesting = self.watch(JobRunner(self))
        self.features.cancelled.connect(self._on_features_cancelled)
        self.features.failed.connect(self._on_features_failed)
        self.features.idle.connect(self._compute_wanted)
        self.segmenting.cancelled.connect(partial(self.said.emit, "info", "Cancelled."))
        viewer.layers.events.removed.connect(self._on_layer_removed)

    def choose(self, layer: Image | None) -> None:
        """Make a scan the current one; its prompts and result are taken up again."""
        if self.session is not None and layer is self.session.layer:
            return
        self.segmenting.cancel()
        self.session = None
        if layer is not None:
            try:
                self.session = self._session_of(layer)
            except MrisslError as error:
                self.say("error", str(error))
        self.session_changed.emit()
        if self.session is None:
            if layer is None:
                self.say("info", NO_SCAN)
            return
        self._open(self.session)

    def need_session(self) -> ScanSession:
        """The current scan's session.

        Raises
        ------
        MrisslError
            If no scan is open.
        """
        if self.session is None:
            raise MrisslError("no scan is open", remedy=NO_SCAN)
        return self.session

    def set_live(self, live: bool) -> None:
        """Whether every change of the prompts updates the segmentation."""
        self.live = live
        if live:
            self._update()

    def set_settings(self, settings: SegmentSettings) -> None:
        """Use other features or another classifier from now on."""
        self.take_settings(settings)
        if self.session is not None:
            self._update()

    def take_settings(self, settings: SegmentSettings) -> None:
        """As `set_settings`, without computing anything before the user asks for it."""
        refeature = settings.features != self.settings.features
        self.settings = settings
        if self.session is not None and refeature:
            for session in self.sessions:
                session.stack = None
                session.segmenters.clear()
            self.features.cancel()
            self._open(self.session)

    def segment(self) -> None:
        """Segment now; the features are computed first when there are none."""
        session = self.session
        if session is None:
            self.say("info", NO_SCAN)
            return
        session.sync.read_scribbles()
        if session.stack is None:
            session.wanted = True
            self._compute(session)
            return
        if len(session.state.labels_in_use()) < 2:
            self.segmenting.cancel()
            self._clear_result(session)
            self.say("info", ONE_CLASS)
            return
        session.wanted = False
        session.results.ensure(session.state.classes, session.hidden)
        self.segmenting.start(
            partial(
                work.segment_view_first,
                session.segmenters,
                session.volume,
                session.stack,
                self.settings,
                session.state.snapshot(),
                planes_in_view(self.viewer, session.results.ensure((), ()), self.slice_pose()),
            ),
            title=f"Segmenting {session.volume.name}",
            received=partial(self._show_planes, session),
            done=partial(self._show_result, session),
        )

    def cancel(self) -> None:
        """Stop everything that runs, except files being written."""
        for session in self.sessions:
            session.wanted = False
        for runner in (self.opening, self.features, self.segmenting, self.suggesting):
            runner.cancel()

    def close(self) -> None:
        """End all jobs and sessions; layers stay as they are."""
        if self._closed:
            return
        self._closed = True
        self.close_jobs()
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        for session in self.sessions:
            session.close()
        self.sessions, self.session = [], None

    def abandon(self) -> None:
        """The window was destroyed around us: end what is not Qt's, jobs and journals."""
        if self._closed:
            return
        self._closed = True
        self.close_jobs()
        for session in self.sessions:
            session.close_journal()

    def take_up_layers(self) -> None:
        """Layers with marks were brought back: scans without any are opened anew with them."""
        for session in list(self.sessions):
            if session.state.empty:
                self.sessions.remove(session)
                session.close()
                if session is self.session:
                    self.session = None

    def _session_of(self, layer: Image) -> ScanSession:
        for session in self.sessions:
            if session.layer is layer:
                return session
        session = ScanSession(self.viewer, layer)
        session.changed.connect(partial(self._on_prompts_changed, session))
        session.complaint.connect(partial(self.said.emit, "error"))
        session.class_chosen.connect(self.class_chosen)
        self.sessions.append(session)
        return session

    def _open(self, session: ScanSession) -> None:
        self.opening.start(
            partial(work.open_scan, session.volume, self.settings),
            title=f"Reading {session.volume.name}",
            done=partial(self._opened, session),
        )

    def _opened(self, session: ScanSession, opened: work.Opened) -> None:
        if session not in self.sessions:
            return
        session.stack = opened.stack
        if session.identity is None:
            expected = self.expected_journals.pop(session.layer.name, None)
            session.start_journal(opened.identity, opened.unfinished, expected)
        if session is not self.session:
            return
        self.session_changed.emit()
        if opened.needed is None:
            self.say("error", opened.problem)
        elif session.stack is None and not session.wanted:
            self.say("info", " ".join((words.cost(opened.needed), *opened.remarks)))
        elif session.wanted or not session.state.empty:
            self.segment()
        else:
            self.say("ready", "Ready: choose a class and click in the scan.")

    def _compute(self, session: ScanSession) -> None:
        if self.features.running:
            # One at a time; `_compute_wanted` goes on when it has ended.
            return
        self._computing = session
        set_cache_limit(preferences().feature_cache_gib)
        self.features.start(
            partial(work.compute_features, session.volume, self.settings),
            title=f"Computing features of {session.volume.name}",
            done=partial(self._have_features, session),
        )

    def _have_features(self, session: ScanSession, stack: FeatureStack) -> None:
        if stack.settings != self.settings.features:
            return
        session.stack = stack
        if session.identity is None:
            session.start_journal(stack.identity)
        if session is self.session and session.wanted:
            self.segment()
        elif session is self.session:
            self.say("ready", "Features are ready: each click now updates the segmentation.")

    def _on_features_failed(self, _: str) -> None:
        """What failed once fails again: it is tried when the user asks next."""
        if self._computing is not None:
            self._computing.wanted = False

    def _compute_wanted(self) -> None:
        self._computing = None
        session = self.session
        if session is not None and session.wanted and session.stack is None:
            self._compute(session)

    def _update(self) -> None:
        """Follow a change of prompts or settings when live."""
        if self.live and self.session is not None and not self.session.state.empty:
            self.segment()
        elif self.session is not None and self.session.state.empty:
            self.segmenting.cancel()
            self._clear_result(self.session)

    def _on_prompts_changed(self, session: ScanSession, change: Change) -> None:
        if session is not self.session:
            return
        self.prompts_changed.emit()
        if change.clicks is not None or change.scribble is not None:
            self._update()

    def _show_planes(self, session: ScanSession, planes: work.PredictedPlanes) -> None:
        session.results.show_planes(planes)
        self.labels_shown.emit(session.results.labels)

    def _show_result(self, session: ScanSession, segmented: work.Segmented) -> None:
        result = segmented.result
        if session.results.array() is None:
            return
        session.results.show(result)
        session.results.show_maps(result, segmented.labels, session.state.classes)
        self.labels_shown.emit(session.results.labels)
        placed = len(result.metadata["prompts"]["points"])
        self.say("ready", words.segmented(placed, segmented.outside, self.elapsed))
        self.finished.emit(result)

    def _clear_result(self, session: ScanSession) -> None:
        if session.results.array() is not None:
            session.results.clear()
            self.labels_shown.emit(session.results.labels)

    def _on_layer_removed(self, event: Any) -> None:
        layer: Layer = event.value
        for session in list(self.sessions):
            if layer is session.layer:
                self._drop(session)
                continue
            name = session.forget_layer(layer)
            if name == "segmentation":
                self.segmenting.cancel()
                self.say("info", "The segmentation layer was deleted; Segment makes it again.")
            elif name is not None:
                self.say("info", f"The {name} layer was deleted; its marks stay until cleared.")
            if name is not None and session is self.session:
                self.prompts_changed.emit()

    def _drop(self, session: ScanSession) -> None:
        """The scan left the viewer: nothing is computed for it any more."""
        self.sessions.remove(session)
        session.close()
        if session is self._computing:
            self.features.cancel()
        if session is self.session:
            self.cancel()
            self.session = None
            self.session_changed.emit()
            self.say("info", f"{session.volume.name} was removed from the viewer.")

    def _on_features_cancelled(self) -> None:
        if self.session is None or not self.session.wanted:
            self.say("info", "Cancelled: no features were kept. Segment starts them again.")
