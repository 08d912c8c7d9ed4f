"""The dock widget "Finetuning": from a few labelled scans to every open one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.viewer
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QApplication, QStyle, QVBoxLayout, QWidget

from napari_mrissl.errors import printable
from napari_mrissl.segmentation.finetuning import INFO
from napari_mrissl.ui.dock_panel import DockPanel, close_when_destroyed
from napari_mrissl.ui.finetuning import work
from napari_mrissl.ui.finetuning.actions import FinetuneActions
from napari_mrissl.ui.finetuning.labels_box import LabelsBox
from napari_mrissl.ui.finetuning.memory import state_of, take_state
from napari_mrissl.ui.finetuning.preview_link import PreviewLink
from napari_mrissl.ui.finetuning.results_box import ResultsBox
from napari_mrissl.ui.finetuning.run_tab import FinetuneRunBox
from napari_mrissl.ui.finetuning.scene import Scene
from napari_mrissl.ui.finetuning.segmenting import Segmenting
from napari_mrissl.ui.finetuning.start_box import StartBox
from napari_mrissl.ui.finetuning.table_file import write_table
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.pretraining import work as runs
from napari_mrissl.ui.pretraining.closing import Watched, closing_words
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.pretraining.follower import Follower
from napari_mrissl.ui.recorder.parts import scrolled
from napari_mrissl.ui.status import StatusLine
from napari_mrissl.ui.tabs import tabbed
from napari_mrissl.ui.wheel import leave_wheel_alone

if TYPE_CHECKING:
    from napari_mrissl.ui.pretraining.runs_box import RunRow

_REFRESH_MS, _LIST_MS = 400, 5000
_MOST_RUNS = 50
LABELS, RUN, RESULTS = range(3)
"""The tabs."""


class Finetuning(DockPanel, QWidget):
    """Learns from the labels of a few scans, and segments every open one as layers.

    Parameters
    ----------
    viewer
        Whose scans, marks and label layers are learned from.

    Attributes
    ----------
    scene : Scene
        What is open, labelled and segmented.
    session_key : str
        Under which a session keeps `session_state`.
    """

    session_key = "finetuning"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = real_viewer(viewer)
        self._closed = False
        self._found_one = False
        self._awaited: Path | None = None
        self._watched = Watched()
        self.scene = Scene(self.viewer, self)
        self.follower = Follower(self, "finetuning")
        self.actions = FinetuneActions(self)
        self.asking = JobRunner(self, listed=False)
        self.listing = JobRunner(self, listed=False)
        self.saving = JobRunner(self)
        self.segmenting = Segmenting(self.scene, self)
        self.preview_link = PreviewLink(self.scene, self.follower, self)
        self.labels_box = LabelsBox(self.scene)
        self.start_box = StartBox()
        self.run_box = FinetuneRunBox(self.follower, self.scene.name_of)
        self.results_box = ResultsBox()
        self.status = StatusLine(
            "How much of what is being done is done",
            "Stop what is being prepared, measured or segmented; a training goes on",
        )
        self._refresh, self._look_again = QTimer(self), QTimer(self)
        self._refresh.setInterval(_REFRESH_MS)
        self._look_again.setInterval(_LIST_MS)
        self._arrange()
        leave_wheel_alone(self)
        self._connect()
        self._take_theme()
        self.start_box.propose()
        self._show_busy()
        self._refresh.start()
        self._look_again.start()
        self.asking.start(runs.devices, title="devices", done=self.start_box.device.offer)
        self.refresh_runs()
        self.scene.look()

    @property
    def busy(self) -> bool:
        """Whether something is being started, stopped, asked, segmented, saved or looked at."""
        runners = (self.actions, self.asking, self.listing, self.saving, self.segmenting)
        return self.scene.busy or any(one.running for one in runners)

    @property
    def closing_text(self) -> str:
        """What napari's own question says of the run that is shown, before it closes."""
        return self.follower.title

    def start(self) -> None:
        """Learn from what is labelled, in a process of its own."""
        if self.actions.running:
            return
        text = self.start_box.folder.text().strip()
        if not text:
            self.status.say_failure("The run has no folder; choose one.")
        elif (wanted := self._wanted()) is not None:
            self.actions.begin(wanted, Path(text).absolute())

    def estimate(self) -> None:
        """Check what is labelled, and measure memory and time of a step."""
        wanted = self._wanted()
        if wanted is None:
            return
        self.status.say("")
        self.start_box.estimate_text.setText("Measuring a step...")
        self.asking.start(
            lambda control: work.estimate(control, wanted),
            title="estimate",
            done=lambda found: self.start_box.show_estimate(*found),
        )
        self._show_busy()

    def open_run(self, folder: str | Path) -> None:
        """Show a run; one that is trained is followed, and its network used when it ends."""
        self.follower.follow(Path(folder).absolute(), closing_words())
        self.tabs.setCurrentIndex(RUN)

    def use_run(self, folder: str | Path, *, segment: bool = True) -> None:
        """Make the network of a finetuning the present one, and segment scans by it."""
        self.status.say("")
        self.segmenting.device = self.start_box.device.currentData()
        self.segmenting.use(Path(folder).absolute(), self._chosen if segment else None)

    def take_up_model(self, folder: str | Path) -> None:
        """Go on with the network of an earlier session; its results are there as layers."""
        self.segmenting.take_up(Path(folder).absolute())

    def segment(self) -> None:
        """Segment the scans with a tick by the present network."""
        self.status.say("")
        self.segmenting.device = self.start_box.device.currentData()
        self.segmenting.segment(self._chosen)

    def undo(self) -> None:
        """Take the present finetuning back, with its results."""
        self._step(self.scene.results.undo)

    def redo(self) -> None:
        """Do the finetuning again that was taken back."""
        self._step(self.scene.results.redo)

    def save_table(self, path: str | Path) -> None:
        """Write volumes and Dice of all results as CSV, in the background."""
        model, rows, place = self.scene.results.model, self.scene.table, Path(path)
        if model is None or not rows:
            self.status.say_failure("There is no result to save; segment a scan first.")
            return
        self.saving.start(
            lambda _: write_table(place, model, rows),
            title=f"saving {printable(place.name)}",
            done=lambda written: self.status.say(
                f"{len(rows)} scan{'s' * (len(rows) != 1)} in {printable(written.name)}."
            ),
            queue=True,
        )

    def refresh_runs(self) -> None:
        """Read the list of runs again."""
        if not self.listing.running:
            self.listing.start(runs.list_runs, title="list of runs", done=self._on_listed)

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: settings, choices, corrections, network and run."""
        return state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        wrong = take_state(self, state)
        if wrong:
            names = ", ".join(printable(one) for one in wrong)
            self.status.say_failure(f"Not restored, because not usable: {names}.")
        self.scene.look()

    def shut_down(self) -> None:
        """Let go of everything; layers stay, and a training goes on."""
        if self._closed:
            return
        self._closed = True
        self._watched.watch(None)
        self._refresh.stop()
        self._look_again.stop()
        for one in self._workers:
            one.close()
        self.run_box.curves.clear()
        self.viewer.events.theme.disconnect(self._take_theme)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self._on_quit)

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        width = max(part.minimumSizeHint().width() for part in self._contents)
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        return QSize(width + bar + 12, 360)

    def sizeHint(self) -> QSize:
        """No higher than a small screen."""
        return QSize(max(430, self.minimumSizeHint().width()), 660)

    def _arrange(self) -> None:
        run = QWidget()
        QVBoxLayout(run).addWidget(self.run_box)
        run.layout().setContentsMargins(6, 2, 6, 4)
        upper, content = QWidget(), QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 2, 6, 4)
        inner.setSpacing(2)
        inner.addWidget(self.labels_box)
        inner.addWidget(self.start_box.folding)
        inner.addStretch(1)
        page = QVBoxLayout(upper)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(2)
        page.addWidget(scrolled(content), 1)
        page.addWidget(self.start_box)
        self._contents = (content, run, self.results_box, self.start_box)
        self.tabs = tabbed(
            (upper, "Labels", "What is learned from, and how"),
            (scrolled(run), "Run", "The finetuning while it is trained"),
            (scrolled(self.results_box), "Results", "Segmentations of all open scans"),
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 6, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self.tabs, 1)
        outer.addWidget(self.status)

    def _connect(self) -> None:
        box, actions, scene = self.results_box, self.actions, self.scene
        self._workers = (
            scene, self.follower, actions, self.asking, self.listing, self.saving, self.segmenting,
            self.preview_link,
        )  # fmt: skip
        self.start_box.start_wanted.connect(self.start)
        self.start_box.estimate_wanted.connect(self.estimate)
        self.start_box.invalid.connect(self.status.say_failure)
        self.start_box.changed.connect(lambda: self.start_box.estimate_text.setText(""))
        self.run_box.pause_wanted.connect(lambda: actions.pause(self.follower.folder))
        self.run_box.stop_wanted.connect(lambda: actions.stop(self.follower.folder))
        self.run_box.resume_wanted.connect(lambda: actions.resume(self.follower.folder))
        self.run_box.more_wanted.connect(lambda steps: actions.resume(self.follower.folder, steps))
        self.run_box.use_wanted.connect(lambda: self.use_run(self.follower.folder))
        box.segment_wanted.connect(self.segment)
        box.undo_wanted.connect(self.undo)
        box.redo_wanted.connect(self.redo)
        box.model_wanted.connect(partial(self.use_run, segment=False))
        box.accept_wanted.connect(self.segmenting.accept)
        box.return_wanted.connect(self.segmenting.take_back)
        box.forget_wanted.connect(self.segmenting.forget)
        box.restore_wanted.connect(self.segmenting.restore)
        box.export_wanted.connect(self.save_table)
        box.chosen.connect(self._on_scan_chosen)
        actions.started.connect(lambda _: self._show_busy())
        actions.said.connect(self.status.say)
        actions.made.connect(self._on_made)
        actions.resumed.connect(self._on_resumed)
        actions.list_changed.connect(self.refresh_runs)
        self.follower.failed.connect(self.status.say_failure)
        self.follower.state_changed.connect(self._on_state)
        self.follower.opened.connect(self._on_state)
        for runner in (actions, self.asking, self.saving, self.segmenting):
            runner.progressed.connect(self.status.show_progress)
            runner.failed.connect(self._on_failed)
            runner.cancelled.connect(self._on_cancelled)
            runner.idle.connect(self._show_busy)
            self.status.stop_wanted.connect(runner.cancel)
        self.segmenting.started.connect(lambda _: self._show_busy())
        self.segmenting.said.connect(self.status.say)
        self.segmenting.shown.connect(lambda: self.tabs.setCurrentIndex(RESULTS))
        self.listing.failed.connect(self.status.say_failure)
        self.preview_link.failed.connect(self.status.say_failure)
        scene.failed.connect(self.status.say_failure)
        scene.looked.connect(self._show_scene)
        scene.measured.connect(self._show_results)
        self._refresh.timeout.connect(self.run_box.refresh)
        self._look_again.timeout.connect(lambda: self.isVisible() and self.refresh_runs())
        self.viewer.events.theme.connect(self._take_theme)
        QApplication.instance().aboutToQuit.connect(self._on_quit)
        close_when_destroyed(self, *self._workers)
        self.destroyed.connect(lambda _, watched=self._watched: watched.leave())

    @property
    def _chosen(self) -> tuple[Any, ...]:
        return self.results_box.ticked

    def _wanted(self) -> work.Wanted | None:
        if not self.start_box.more.valid:
            self.status.say_failure("A setting is not valid; it is marked in the form.")
            return None
        scene = self.scene
        return work.Wanted(
            self.start_box.settings,
            scene.given(),
            scene.classes,
            scene.zero_is_nothing,
            scene.in_view(),
        )

    def _step(self, step: Any) -> None:
        if self.segmenting.running or not step(self.scene.pairs):
            return
        model = self.scene.results.model
        name = printable(model.name) if model is not None else "no network"
        self.status.say(f"Back to {name}.")
        self.scene.look()
        self._show_results()

    def _on_made(self, begun: work.Begun) -> None:
        self._awaited = begun.folder
        self.open_run(begun.folder)
        self.status.say(" ".join(f"{note[:1].upper()}{note[1:]}." for note in begun.notes))
        self.start_box.propose()
        self.refresh_runs()

    def _on_resumed(self, folder: Path) -> None:
        self._awaited = folder
        if folder == self.follower.folder:
            self.follower.follow(folder, closing_words())
        self.refresh_runs()

    def _on_listed(self, rows: tuple[RunRow, ...]) -> None:
        learned = [(one.folder, one.method) for one in rows if one.step > 0][:_MOST_RUNS]
        self.start_box.offer_runs(learned)
        going = next((one for one in rows if one.goes_on and one.method == INFO.name), None)
        if going is not None and not self._found_one and self.follower.folder is None:
            self._awaited = going.folder
            self.open_run(going.folder)
            self.status.say(f"The finetuning {printable(going.folder.name)} goes on.")
        self._found_one = True

    def _on_state(self) -> None:
        state, folder = self.follower.state, self.follower.folder
        here = state is not None and state.here and self.follower.alive
        self._watched.watch(folder if here else None)
        if state is not None and state.name == "finished" and folder == self._awaited:
            self._awaited = None
            self.use_run(folder, segment=self.results_box.by_itself.isChecked())

    def _on_scan_chosen(self, layer: Any) -> None:
        if layer in self.viewer.layers:
            self.viewer.layers.selection.active = layer

    def _show_scene(self) -> None:
        self.labels_box.present()
        self._show_results()

    def _show_results(self) -> None:
        results = self.scene.results
        self.results_box.present(
            self.scene.lines, results.model, can_undo=results.can_undo, can_redo=results.can_redo
        )

    def _on_failed(self, text: str) -> None:
        self.run_box.forget_request()
        if self.start_box.estimate_text.text().endswith("..."):
            self.start_box.estimate_text.setText("")
        self.status.say_failure(text)

    def _on_cancelled(self) -> None:
        self._on_failed("")
        self.status.say("Cancelled.")

    def _show_busy(self) -> None:
        runners = (self.actions, self.asking, self.saving, self.segmenting)
        working = any(one.running for one in runners)
        self.status.show_busy(busy=working)
        self.start_box.start.setEnabled(not self.actions.running)
        self.start_box.estimate.setEnabled(not working)
        self.run_box.use.setEnabled(not self.segmenting.running)
        self.results_box.show_busy(busy=self.segmenting.running)

    def _on_quit(self) -> None:
        self._watched.leave()
        self.shut_down()

    def _take_theme(self, _: object = None) -> None:
        theme = get_theme(self.viewer.theme)
        self.run_box.curves.set_look(Look(theme.background.as_hex(), theme.text.as_hex()))
