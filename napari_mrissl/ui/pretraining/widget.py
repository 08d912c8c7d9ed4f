"""The dock widget "Pretraining"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari.viewer
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.errors import printable
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.ui.dock_panel import DockPanel, close_when_destroyed
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.pretraining import work
from napari_mrissl.ui.pretraining.actions import RunActions
from napari_mrissl.ui.pretraining.closing import Watched, closing_words
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.pretraining.data_box import DataBox, Sources
from napari_mrissl.ui.pretraining.follower import Follower
from napari_mrissl.ui.pretraining.form_box import FormBox
from napari_mrissl.ui.pretraining.memory import state_of, take_state
from napari_mrissl.ui.pretraining.run_box import RunBox
from napari_mrissl.ui.pretraining.runs_box import RunRow, RunsBox
from napari_mrissl.ui.pretraining.start_box import StartBox
from napari_mrissl.ui.recorder.parts import scrolled
from napari_mrissl.ui.status import StatusLine
from napari_mrissl.ui.tabs import tabbed
from napari_mrissl.ui.wheel import leave_wheel_alone

_REFRESH_MS = 400
_LIST_MS = 4000
NEW, RUN, RUNS = range(3)
"""The tabs."""


class Pretraining(DockPanel, QWidget):
    """Starts trainings in processes of their own, and shows them from their folders.

    Parameters
    ----------
    viewer
        Whose theme the curves take; a training needs nothing of the viewer.

    Attributes
    ----------
    session_key : str
        Under which a session keeps `session_state`.
    """

    session_key = "pretraining"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = real_viewer(viewer)
        self._closed = False
        self._found_one = False
        self._watched = Watched()
        self.follower = Follower(self)
        self.actions = RunActions(self)
        self.asking = JobRunner(self, listed=False)
        self.listing = JobRunner(self, listed=False)
        self.form = FormBox(TASKS)
        self.data_box = DataBox()
        self.start_box = StartBox()
        self.run_box = RunBox(self.follower)
        self.runs_box = RunsBox()
        self.status = StatusLine(
            "How much of what is being done is done",
            "Stop what is being prepared or measured; runs go on",
        )
        self._refresh = QTimer(self)
        self._refresh.setInterval(_REFRESH_MS)
        self._look_again = QTimer(self)
        self._look_again.setInterval(_LIST_MS)
        self._arrange()
        leave_wheel_alone(self)
        self._connect()
        self._take_theme()
        self._on_draft()
        self._show_busy()
        self._refresh.start()
        self._look_again.start()
        self.asking.start(work.devices, title="devices", done=self.start_box.show_devices)
        self.refresh_runs()

    @property
    def busy(self) -> bool:
        """Whether something is being started, stopped, asked or listed."""
        return self.actions.running or self.asking.running or self.listing.running

    @property
    def closing_text(self) -> str:
        """What napari's own question says of the run that is shown, before it closes."""
        return self.follower.title

    def start(self) -> None:
        """Make the run that the form describes, and train it."""
        if self.actions.running:
            return
        if not self.form.valid:
            self.status.say_failure("A setting is not valid; it is marked in the form.")
            return
        text = self.start_box.folder.text().strip()
        if not text:
            self.status.say_failure("The run has no folder; choose one.")
            return
        draft, sources = self.form.draft, self.data_box.sources
        folder, initial = Path(text).absolute(), self.start_box.initial.text()
        self.actions.make(draft, sources, folder, initial)

    def open_run(self, folder: str | Path) -> None:
        """Show a run; one that is trained is followed."""
        self.status.say("")
        self.follower.follow(Path(folder).absolute(), closing_words())
        self.tabs.setCurrentIndex(RUN)

    def estimate(self) -> None:
        """Measure memory and time of what the form describes."""
        if not self.form.valid:
            self.status.say_failure("A setting is not valid; it is marked in the form.")
            return
        draft, sources = self.form.draft, self.data_box.sources
        steps = draft.settings.optimisation.steps
        self.status.say("")
        self.start_box.estimate_text.setText("Measuring a step...")
        self.asking.start(
            lambda control: work.estimate(control, draft, sources),
            title="estimate",
            done=lambda found: self.start_box.show_estimate(found[0], steps, found[1]),
        )
        self._show_busy()

    def refresh_runs(self) -> None:
        """Read the list of runs again."""
        if not self.listing.running:
            self.listing.start(work.list_runs, title="list of runs", done=self._on_listed)

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: settings, data, and which run is shown."""
        return state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        wrong = take_state(self, state)
        if wrong:
            self.status.say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")

    def shut_down(self) -> None:
        """Let go of everything; the widget is of no more use, and a training goes on."""
        if self._closed:
            return
        self._closed = True
        self._watched.watch(None)
        self._refresh.stop()
        self._look_again.stop()
        for one in (self.follower, self.actions, self.asking, self.listing):
            one.close()
        self.run_box.curves.clear()
        self._viewer.events.theme.disconnect(self._take_theme)
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
        new = QWidget()
        inner = QVBoxLayout(new)
        inner.setContentsMargins(6, 2, 6, 4)
        inner.setSpacing(2)
        self.sections = {
            title: section(title, part)
            for title, part in (("Data", self.data_box), ("Method and settings", self.form))
        }
        for folding in self.sections.values():
            inner.addWidget(folding)
        inner.addStretch(1)
        run = QWidget()
        QVBoxLayout(run).addWidget(self.run_box)
        run.layout().setContentsMargins(6, 2, 6, 4)
        self._contents = (new, run, self.runs_box, self.start_box)
        upper = QWidget()
        page = QVBoxLayout(upper)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(2)
        page.addWidget(scrolled(new), 1)
        page.addWidget(self.start_box)
        self.tabs = tabbed(
            (upper, "New run", "Method, data and settings of a new run"),
            (scrolled(run), "Run", "Curves, samples and log of one run"),
            (self.runs_box, "All runs", "All runs of this user"),
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 6, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self.tabs, 1)
        outer.addWidget(self.status)

    def _connect(self) -> None:
        self.form.changed.connect(self._on_draft)
        self.form.invalid.connect(self.status.say_failure)
        self.data_box.changed.connect(self._on_data)
        self.start_box.changed.connect(self._on_device)
        self.start_box.start_wanted.connect(self.start)
        self.start_box.estimate_wanted.connect(self.estimate)
        actions, shown = self.actions, lambda: self.follower.folder
        self.run_box.pause_wanted.connect(lambda: actions.pause(shown()))
        self.run_box.stop_wanted.connect(lambda: actions.stop(shown()))
        self.run_box.resume_wanted.connect(lambda: actions.resume(shown()))
        self.run_box.more_wanted.connect(lambda steps: actions.resume(shown(), steps))
        self.runs_box.open_wanted.connect(self.open_run)
        self.runs_box.add_wanted.connect(self._on_add)
        self.runs_box.forget_wanted.connect(actions.forget)
        self.runs_box.return_wanted.connect(actions.bring_back)
        actions.started.connect(lambda _: self._show_busy())
        actions.said.connect(self.status.say)
        actions.made.connect(self._on_made)
        actions.resumed.connect(self._on_resumed)
        actions.list_changed.connect(self.refresh_runs)
        self.runs_box.refresh_wanted.connect(self.refresh_runs)
        self.follower.failed.connect(self.status.say_failure)
        self.follower.state_changed.connect(self._on_state)
        self.follower.opened.connect(self._on_state)
        for runner in (self.actions, self.asking):
            runner.progressed.connect(self.status.show_progress)
            runner.failed.connect(self._on_failed)
            runner.cancelled.connect(self._on_cancelled)
            runner.idle.connect(self._show_busy)
        self.listing.failed.connect(self.status.say_failure)
        self.status.stop_wanted.connect(self.actions.cancel)
        self.status.stop_wanted.connect(self.asking.cancel)
        self._refresh.timeout.connect(self.run_box.refresh)
        self._look_again.timeout.connect(self._on_look_again)
        self.tabs.currentChanged.connect(self._on_tab)
        self._viewer.events.theme.connect(self._take_theme)
        QApplication.instance().aboutToQuit.connect(self._on_quit)
        close_when_destroyed(self, self.follower, self.actions, self.asking)
        self.destroyed.connect(lambda _, watched=self._watched: watched.leave())

    def _on_made(self, started: work.Started) -> None:
        self.open_run(started.folder)
        self.status.say(" ".join(f"{note[:1].upper()}{note[1:]}." for note in started.notes))
        self.start_box.propose(self.form.draft.method)
        self.refresh_runs()

    def _on_add(self, folder: str) -> None:
        self.open_run(folder)
        self.actions.add(folder)

    def _on_resumed(self, folder: Path) -> None:
        if folder == self.follower.folder:
            self.follower.follow(folder, closing_words())
        self.refresh_runs()

    def _on_listed(self, rows: tuple[RunRow, ...]) -> None:
        self.runs_box.present(rows)
        self.runs_box.back.setEnabled(self.actions.can_bring_back)
        followed = self.follower.folder
        for one in rows:
            # Found again after a restart, or resumed from elsewhere.
            if one.goes_on and (followed in (None, one.folder)):
                if followed is None and not self._found_one:
                    self.open_run(one.folder)
                    self.status.say(f"The run {printable(one.folder.name)} goes on.")
                elif followed == one.folder and not self.follower.following:
                    self.follower.follow(one.folder, closing_words())
                break
        self._found_one = True

    def _on_state(self) -> None:
        state = self.follower.state
        here = state is not None and state.here and self.follower.alive
        self._watched.watch(self.follower.folder if here else None)

    def _on_data(self) -> None:
        self.form.use_kind(self.data_box.sources.kind)

    def _on_device(self) -> None:
        self.form.use_device(self.start_box.device.currentData())

    def _on_draft(self) -> None:
        draft = self.form.draft
        self.status.say("")
        self.start_box.propose(draft.method)
        self.start_box.show_device(draft.settings.device)
        self.start_box.estimate_text.setText("")
        if self.data_box.sources.kind != draft.kind:
            self.data_box.show_sources(
                Sources(draft.kind, self.data_box.paths, self.data_box.label_maps)
            )

    def _on_look_again(self) -> None:
        if self.isVisible():
            self.refresh_runs()

    def _on_tab(self, number: int) -> None:
        if number == RUNS:
            self.refresh_runs()
        elif number == RUN:
            self.run_box.refresh()

    def _on_failed(self, text: str) -> None:
        self.run_box.forget_request()
        if self.start_box.estimate_text.text().endswith("..."):
            self.start_box.estimate_text.setText("")
        self.status.say_failure(text)

    def _on_cancelled(self) -> None:
        self._on_failed("")
        self.status.say("Cancelled.")

    def _show_busy(self) -> None:
        working = self.actions.running or self.asking.running
        self.status.show_busy(busy=working)
        self.start_box.start.setEnabled(not self.actions.running)
        self.start_box.estimate.setEnabled(not working)

    def _on_quit(self) -> None:
        self._watched.leave()
        self.shut_down()

    def _take_theme(self, _: object = None) -> None:
        theme = get_theme(self._viewer.theme)
        self.run_box.curves.set_look(Look(theme.background.as_hex(), theme.text.as_hex()))
