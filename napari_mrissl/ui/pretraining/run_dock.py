"""A dock that starts runs of one kind in processes of their own, and follows one of them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QApplication, QStyle, QVBoxLayout, QWidget

from napari_mrissl.errors import printable
from napari_mrissl.ui.dock_panel import DockPanel, close_when_destroyed
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.pretraining import work
from napari_mrissl.ui.pretraining.closing import Watched, closing_words
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.pretraining.follower import Follower
from napari_mrissl.ui.recorder.parts import scrolled
from napari_mrissl.ui.status import StatusLine
from napari_mrissl.ui.tabs import tabbed
from napari_mrissl.ui.wheel import leave_wheel_alone

if TYPE_CHECKING:
    from napari_mrissl.ui.pretraining.actions import RunActions
    from napari_mrissl.ui.pretraining.run_box import RunBox
    from napari_mrissl.ui.pretraining.runs_box import RunRow

_REFRESH_MS = 400
_RUN = 1
_INVALID = "A setting is not valid; it is marked in the form."


class RunDock(DockPanel, QWidget):
    """What docks for pretraining and finetuning do alike.

    Parameters
    ----------
    viewer
        Whose theme the curves take.
    kind
        What napari calls a run in its question before it closes.
    actions
        What can be done to runs.
    stop_tip
        What Cancel stops.
    list_ms
        How often the list of runs is read again while the dock is seen.

    Attributes
    ----------
    follower : Follower
        Of the run that is shown.
    actions, asking, listing
        Run jobs.
    start_box, run_box
        Where a run is started, and where it is shown; made by the dock before `begin`.
    """

    start_box: Any
    run_box: RunBox

    def __init__(
        self,
        viewer: Any,
        kind: str,
        actions: type[RunActions],
        stop_tip: str,
        list_ms: int,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer = real_viewer(viewer)
        self._closed = False
        self._found_one = False
        self._watched = Watched()
        self._workers: tuple[Any, ...] = ()
        self._contents: tuple[QWidget, ...] = ()
        self.follower = Follower(self, kind)
        self.actions = actions(self)
        self.asking = JobRunner(self, listed=False)
        self.listing = JobRunner(self, listed=False)
        self.status = StatusLine("How much of what is being done is done", stop_tip)
        self._refresh, self._look_again = QTimer(self), QTimer(self)
        self._refresh.setInterval(_REFRESH_MS)
        self._look_again.setInterval(list_ms)

    def begin(self, *more: Any) -> None:
        """Connect what was arranged, and look at devices and runs.

        Parameters
        ----------
        more
            Runners beside `actions` and `asking` whose progress and failures are told here, and
            which Cancel stops.
        """
        leave_wheel_alone(self)
        self._telling = (self.actions, self.asking, *more)
        self._workers = (self.follower, *self._telling, self.listing, *self._workers)
        self._connect_run()
        self._take_theme()
        self._show_busy()
        self._refresh.start()
        self._look_again.start()
        self.asking.start(work.devices, title="devices", done=self.start_box.device.offer)
        self.refresh_runs()

    @abstractmethod
    def start(self) -> None:
        """Make the run that is described, and train it in a process of its own."""

    @abstractmethod
    def estimate(self) -> None:
        """Measure memory and time of a step of what is described."""

    @abstractmethod
    def propose(self) -> None:
        """Another folder for the next run."""

    @property
    def busy(self) -> bool:
        """Whether something is being started, stopped, asked or listed."""
        return self.listing.running or any(one.running for one in self._telling)

    @property
    def closing_text(self) -> str:
        """What napari's own question says of the run that is shown, before it closes."""
        return self.follower.title

    def open_run(self, folder: str | Path) -> None:
        """Show a run; one that is trained is followed."""
        self.follower.follow(Path(folder).absolute(), closing_words())
        self.tabs.setCurrentIndex(_RUN)

    def refresh_runs(self) -> None:
        """Read the list of runs again."""
        if not self.listing.running:
            self.listing.start(work.list_runs, title="list of runs", done=self._on_listed)

    def shut_down(self) -> None:
        """Let go of everything; the widget is of no more use, and a training goes on."""
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

    def arrange(
        self,
        parts: tuple[QWidget, ...],
        start: tuple[str, str],
        run_tip: str,
        last: tuple[QWidget, str, str],
        inside: QWidget,
    ) -> None:
        """Three tabs: what a new run is made of with the box that starts it, the run, and one more.

        Parameters
        ----------
        parts
            Of the first tab, one below the other.
        start
            Its title and tooltip.
        run_tip
            Tooltip of the second.
        last
            The third, with title and tooltip.
        inside
            What of it the dock is never narrower than.
        """
        content, run, page = QWidget(), QWidget(), QWidget()
        inner, above = QVBoxLayout(content), QVBoxLayout(page)
        inner.setContentsMargins(6, 2, 6, 4)
        inner.setSpacing(2)
        for part in parts:
            inner.addWidget(part)
        inner.addStretch(1)
        above.setContentsMargins(0, 0, 0, 0)
        above.setSpacing(2)
        above.addWidget(scrolled(content), 1)
        above.addWidget(self.start_box)
        QVBoxLayout(run).addWidget(self.run_box)
        run.layout().setContentsMargins(6, 2, 6, 4)
        self._contents = (content, run, inside, self.start_box)
        self.tabs = tabbed((page, *start), (scrolled(run), "Run", run_tip), last)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 6, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self.tabs, 1)
        outer.addWidget(self.status)

    def _connect_run(self) -> None:
        actions, box, shown = self.actions, self.run_box, lambda: self.follower.folder
        box.pause_wanted.connect(lambda: actions.pause(shown()))
        box.stop_wanted.connect(lambda: actions.stop(shown()))
        box.resume_wanted.connect(lambda: actions.resume(shown()))
        box.more_wanted.connect(lambda steps: actions.resume(shown(), steps))
        self.start_box.start_wanted.connect(self.start)
        self.start_box.estimate_wanted.connect(self.estimate)
        actions.started.connect(lambda _: self._show_busy())
        actions.said.connect(self.status.say)
        actions.made.connect(self._on_made)
        actions.resumed.connect(self._on_resumed)
        actions.list_changed.connect(self.refresh_runs)
        self.follower.failed.connect(self.status.say_failure)
        self.follower.state_changed.connect(self._on_state)
        self.follower.opened.connect(self._on_state)
        for runner in self._telling:
            runner.progressed.connect(self.status.show_progress)
            runner.failed.connect(self._on_failed)
            runner.cancelled.connect(self._on_cancelled)
            runner.idle.connect(self._show_busy)
            self.status.stop_wanted.connect(runner.cancel)
        self.listing.failed.connect(self.status.say_failure)
        self._refresh.timeout.connect(self.run_box.refresh)
        self._look_again.timeout.connect(lambda: self.isVisible() and self.refresh_runs())
        self.viewer.events.theme.connect(self._take_theme)
        QApplication.instance().aboutToQuit.connect(self._on_quit)
        close_when_destroyed(self, *self._workers)
        self.destroyed.connect(lambda _, watched=self._watched: watched.leave())

    def _usable(self, form: Any) -> bool:
        """Whether all settings of a form are; if not, it is said."""
        if not form.valid:
            self.status.say_failure(_INVALID)
        return bool(form.valid)

    def _folder(self) -> Path | None:
        """Where a new run is to lie; if nowhere, it is said."""
        text = self.start_box.folder.text().strip()
        if not text:
            self.status.say_failure("The run has no folder; choose one.")
            return None
        return Path(text).absolute()

    def _say_unusable(self, wrong: list[str]) -> None:
        if wrong:
            names = ", ".join(printable(one) for one in wrong)
            self.status.say_failure(f"Not restored, because not usable: {names}.")

    def _on_made(self, begun: Any) -> None:
        self.open_run(begun.folder)
        self.status.say(" ".join(f"{note[:1].upper()}{note[1:]}." for note in begun.notes))
        self.propose()
        self.refresh_runs()

    def _on_resumed(self, folder: Path) -> None:
        if folder == self.follower.folder:
            self.follower.follow(folder, closing_words())
        self.refresh_runs()

    @abstractmethod
    def _on_listed(self, rows: tuple[RunRow, ...]) -> None:
        """Show the list of runs; the first time, follow one that goes on."""

    def _on_state(self) -> None:
        state = self.follower.state
        here = state is not None and state.here and self.follower.alive
        self._watched.watch(self.follower.folder if here else None)

    def _on_failed(self, text: str) -> None:
        self.run_box.forget_request()
        if self.start_box.estimate_text.text().endswith("..."):
            self.start_box.estimate_text.setText("")
        self.status.say_failure(text)

    def _on_cancelled(self) -> None:
        self._on_failed("")
        self.status.say("Cancelled.")

    def _show_busy(self) -> None:
        working = any(one.running for one in self._telling)
        self.status.show_busy(busy=working)
        self.start_box.start.setEnabled(not self.actions.running)
        self.start_box.estimate.setEnabled(not working)

    def _on_quit(self) -> None:
        self._watched.leave()
        self.shut_down()

    def _take_theme(self, _: object = None) -> None:
        theme = get_theme(self.viewer.theme)
        self.run_box.curves.set_look(Look(theme.background.as_hex(), theme.text.as_hex()))
