"""Brings a session back into a window, as much of it as there is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.ui import docks
from napari_mrissl.ui.jobs import JobRunner, sentence
from napari_mrissl.ui.layers import orient_camera
from napari_mrissl.ui.session import loading
from napari_mrissl.ui.session.layers import add_layer, put_in_order
from napari_mrissl.ui.session.store import StoredSession

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_mrissl.ui.session.keeper import SessionKeeper
    from napari_mrissl.ui.session.records import DockRecord

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Something that did not come back.

    Attributes
    ----------
    sentence
        What, and why.
    places
        Numbers of the layers.
    missing
        Whether pointing to a file would bring them back.
    """

    sentence: str
    places: tuple[int, ...] = ()
    missing: bool = False


class Reopening(QObject):
    """One session on its way back.

    Attributes
    ----------
    progressed : Signal(float, str)
        Fraction read and what is being read.
    problems_changed : Signal()
        Something did not come back, or came back since.
    finished : Signal()
        Everything that can come back is there, or the user cancelled.
    """

    progressed = Signal(float, str)
    problems_changed = Signal()
    finished = Signal()

    def __init__(self, keeper: SessionKeeper, stored: StoredSession) -> None:
        super().__init__(keeper)
        self._keeper = keeper
        self._stored = stored
        self._layers: dict[int, Layer] = {}
        self._names: dict[str, str] = {}
        self._carried: set[int] = set()
        self.problems = [Problem(said) for said in stored.problems]
        self.cancelled = False
        self.running = False
        self.jobs = JobRunner(self)
        self.jobs.progressed.connect(self.progressed)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)

    def start(self) -> None:
        """Read the scans in the background; layers appear as they come."""
        self.running = True
        self._keeper.pause()
        layers = dict(enumerate(self._stored.record.layers))
        self.jobs.start(
            partial(loading.load, self._stored.folder, layers, {}),
            title="Reopening the session",
            received=self._receive,
            done=lambda _: self._put_back(),
        )

    def cancel(self) -> None:
        """Read no further; what came back stays."""
        self.jobs.cancel()

    def locate(self, problem: Problem, path: Path) -> None:
        """Bring back what a problem names from where the user says that its scan lies."""
        layers = {place: self._stored.record.layers[place] for place in problem.places}
        self.jobs.start(
            partial(loading.locate, self._stored.folder, layers, path),
            title="Reading the scan",
            received=self._receive,
            done=lambda _: self._located(problem),
        )

    def forget(self, problem: Problem) -> None:
        """The user does not want back what a problem names."""
        self._carried -= set(problem.places)
        self._solve(problem)
        self._carry()

    def _solve(self, problem: Problem) -> None:
        self.problems = [one for one in self.problems if one is not problem]
        self.problems_changed.emit()

    def _receive(self, message: loading.Loaded | loading.Failed) -> None:
        if isinstance(message, loading.Failed):
            self._carried |= set(message.places)
            self._add_problem(Problem(message.sentence, message.places, message.missing))
            return
        record = self._stored.record.layers[message.place]
        try:
            layer = add_layer(self._keeper.viewer, record, message)
        except Exception as error:  # noqa: BLE001 - napari raises what it likes; the rest goes on
            self._carried.add(message.place)
            said = sentence(error, f"Bringing back {printable(record.look.name)}")
            self._add_problem(Problem(said, (message.place,)))
            return
        self._layers[message.place] = layer
        if layer.name != record.look.name:
            self._names[record.look.name] = layer.name

    def _add_problem(self, problem: Problem) -> None:
        self.problems.append(problem)
        self.problems_changed.emit()

    def _on_failed(self, said: str) -> None:
        self._add_problem(Problem(said))
        if self.running:
            self._put_back()

    def _on_cancelled(self) -> None:
        if not self.running:
            return
        self.running, self.cancelled = False, True
        # Not this session any more, but one of its own; the earlier one stays as it is.
        self._keeper.go_on(None)
        self.finished.emit()

    def _located(self, problem: Problem) -> None:
        put_in_order(self._keeper.viewer, self._layers)
        self._carried -= set(self._layers)
        self._solve(problem)
        self._dress(self._stored.record.docks)
        self._carry()

    def _put_back(self) -> None:
        """After the layers: docks with what they remember, then sliders and camera."""
        record = self._stored.record
        viewer = self._keeper.viewer
        put_in_order(viewer, self._layers)
        self._keeper.workspace = record.workspace
        if record.view.convention is not None and self._layers:
            try:
                orient_camera(viewer, record.view.convention)
            except MrisslError as error:
                self._add_problem(Problem(str(error)))
        opened = [dock for dock in record.docks if self._open(dock)]
        self._dress(opened)
        # Docks join their tabs a moment after they were opened; then all have their sizes.
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(partial(self._arrange, opened))
        timer.timeout.connect(timer.deleteLater)
        timer.start(50)

    def _open(self, dock: DockRecord) -> bool:
        try:
            docks.open_dock(self._keeper.viewer, dock.title)
        except Exception as error:  # noqa: BLE001 - one widget that fails is told, not all lost
            said = sentence(error, f"Opening {printable(dock.title)}")
            self._add_problem(Problem(said))
            return False
        return True

    def _dress(self, records: Any) -> None:
        there = docks.open_docks(self._keeper.window)
        for record in records:
            panel = there[record.title][1] if record.title in there else None
            if panel is None or not hasattr(panel, "restore_session") or not record.state:
                continue
            try:
                panel.restore_session(_renamed(record.state, self._names))
            except Exception as error:  # noqa: BLE001 - as above
                said = sentence(error, f"Bringing back {printable(record.title)}")
                self._add_problem(Problem(said))

    def _arrange(self, records: list[DockRecord]) -> None:
        places = {one.title: one.place.model_dump() for one in records}
        if places:
            docks.arrange(self._keeper.window, places)
        if self._layers:
            self._show_view()
        self.running = False
        self._carry()
        self.finished.emit()

    def _show_view(self) -> None:
        viewer, view = self._keeper.viewer, self._stored.record.view
        dims, camera = viewer.dims, viewer.scene.camera
        dims.ndisplay = view.ndisplay
        if sorted(view.order) == list(range(dims.ndim)):
            dims.order = view.order
        if len(view.point) == dims.ndim:
            dims.set_point(range(dims.ndim), view.point)
        if view.center is not None and view.zoom is not None:
            camera.center, camera.zoom = view.center, view.zoom
        if view.angles is not None:
            camera.angles = view.angles
        name = self._names.get(view.active or "", view.active)
        if name is not None and name in viewer.layers:
            viewer.layers.selection.active = viewer.layers[name]

    def _carry(self) -> None:
        """What is absent stays in the session, so that it is looked for next time again."""
        absent = [self._stored.record.layers[place] for place in sorted(self._carried)]
        self._keeper.go_on(self._stored.name, absent)


def _renamed(state: Any, names: dict[str, str]) -> Any:
    """A panel's state in which layers that had to get another name are called by it."""
    if not names:
        return state
    if isinstance(state, dict):
        return {key: _renamed(value, names) for key, value in state.items()}
    if isinstance(state, list):
        return [_renamed(value, names) for value in state]
    return names.get(state, state) if isinstance(state, str) else state
