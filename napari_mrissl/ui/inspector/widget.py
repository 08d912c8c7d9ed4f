"""The dock widget "Inspector"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari.viewer
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QApplication,
    QLabel,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.ui.dock_panel import DockPanel, close_when_destroyed
from napari_mrissl.ui.inspector import work
from napari_mrissl.ui.inspector.method_panel import MethodPanel
from napari_mrissl.ui.inspector.registry import panel_class
from napari_mrissl.ui.inspector.source_box import SourceBox
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.status import StatusLine
from napari_mrissl.ui.wheel import leave_wheel_alone

_BEGIN = (
    "Open a scan, choose a run and load its weights. The Inspector then shows what the network "
    "knows of the scan, beside what chance would say."
)


class Inspector(DockPanel, QWidget):
    """Shows what a pretrained network knows of a scan, by the panel of its method.

    Parameters
    ----------
    viewer
        Gives scans, and shows results as layers.

    Attributes
    ----------
    session_key : str
        Under which a session keeps `session_state`.
    panel : MethodPanel or None
        Of the loaded run's method.
    """

    session_key = "inspector"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = real_viewer(viewer)
        self._closed = False
        self._method = ""
        self._run: Path | None = None
        self._wanted: dict[str, Any] | None = None
        self.panel: MethodPanel | None = None
        self.listing = JobRunner(self, listed=False)
        self.describing = JobRunner(self, listed=False)
        self.sources = SourceBox(self._viewer)
        self.begin = QLabel(_BEGIN)
        self.begin.setWordWrap(True)
        self.begin.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.begin.setContentsMargins(8, 12, 8, 8)
        self.begin.setToolTip("How to begin")
        self.stack = QStackedWidget()
        self.stack.addWidget(self.begin)
        self.status = StatusLine(
            "How much of what is being done is done", "Stop loading or measuring"
        )
        self._arrange()
        leave_wheel_alone(self)
        self._connect()
        self._show_busy()
        self.refresh_runs()

    @property
    def busy(self) -> bool:
        """Whether something is being listed, loaded or measured."""
        working = self.panel is not None and self.panel.busy
        return working or self.listing.running or self.describing.running

    def load(self, folder: str | Path) -> None:
        """Load the newest weights of a run, and inspect the chosen scan."""
        path = Path(folder).absolute()
        self.status.say("")
        self.describing.start(
            lambda _: work.describe(path), title="look at a run", done=self._on_described
        )
        self._show_busy()

    def refresh_runs(self) -> None:
        """Read the list of runs again."""
        self.listing.start(work.list_runs, title="list of runs", done=self._on_listed)

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: run, scan, and what the panel shows of them."""
        layer = self.sources.layer
        return {
            "run": None if self._run is None else str(self._run),
            "scan": None if layer is None else layer.name,
            "method": self._method,
            "panel": {} if self.panel is None else self.panel.state(),
        }

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        wrong = []
        scan, run = state.get("scan"), state.get("run")
        if scan is not None and not (isinstance(scan, str) and self.sources.choose_scan(scan)):
            wrong.append("scan")
        if isinstance(run, str) and run and "\0" not in run:
            wanted = state.get("panel")
            self._wanted = wanted if isinstance(wanted, dict) else None
            self.load(run)
        elif run is not None:
            wrong.append("run")
        if wrong:
            self.status.say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")

    def shut_down(self) -> None:
        """Let go of everything; the widget is of no more use."""
        if self._closed:
            return
        self._closed = True
        for runner in (self.listing, self.describing):
            runner.close()
        if self.panel is not None:
            self.panel.shut_down()
        self.sources.disconnect_viewer()
        self._viewer.events.theme.disconnect(self._take_theme)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self.shut_down)

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        parts = [self.sources] + ([self.panel] if self.panel is not None else [])
        width = max(part.minimumSizeHint().width() for part in parts)
        return QSize(width + 4, 360)

    def sizeHint(self) -> QSize:
        """No higher than a small screen."""
        return QSize(max(430, self.minimumSizeHint().width()), 660)

    def _arrange(self) -> None:
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(3)
        outer.addWidget(self.sources)
        outer.addWidget(self.stack, 1)
        outer.addWidget(self.status)

    def _connect(self) -> None:
        sources = self.sources
        sources.load_wanted.connect(self.load)
        sources.folder_chosen.connect(self.load)
        sources.refresh_wanted.connect(self.refresh_runs)
        sources.scan_changed.connect(self._on_scan)
        for runner in (self.listing, self.describing):
            runner.failed.connect(self._on_failed)
            runner.idle.connect(self._show_busy)
        self.status.stop_wanted.connect(self._on_cancel)
        self._viewer.events.theme.connect(self._take_theme)
        QApplication.instance().aboutToQuit.connect(self.shut_down)
        close_when_destroyed(self, self.listing, self.describing)

    def _on_listed(self, runs: tuple[work.RunChoice, ...]) -> None:
        self.sources.present(runs)

    def _on_described(self, run: work.RunChoice) -> None:
        made = panel_class(run.method)
        self.sources.add(run)
        if self.panel is None or self._method != run.method:
            self._use_panel(made, run.method)
        self._run = run.folder
        wanted, self._wanted = self._wanted, None
        assert self.panel is not None  # noqa: S101 - just made
        if wanted is not None:
            wrong = self.panel.take_state(wanted)
            if wrong:
                self.status.say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")
        self.panel.open(run.folder, self.sources.layer)

    def _use_panel(self, made: type[MethodPanel], method: str) -> None:
        if self.panel is not None:
            self.panel.shut_down()
            self.stack.removeWidget(self.panel)
            self.panel.deleteLater()
        self.panel, self._method = made(self._viewer), method
        leave_wheel_alone(self.panel)
        self.panel.said.connect(self.status.say)
        self.panel.failed.connect(self._on_failed)
        self.panel.progressed.connect(self.status.show_progress)
        self.panel.busy_changed.connect(self._show_busy)
        self.stack.addWidget(self.panel)
        self.stack.setCurrentWidget(self.panel)
        self._take_theme()
        self.updateGeometry()

    def _on_scan(self) -> None:
        if self.panel is not None:
            self.status.say("")
            self.panel.set_layer(self.sources.layer)

    def _on_cancel(self) -> None:
        self.describing.cancel()
        if self.panel is not None:
            self.panel.cancel()

    def _show_busy(self) -> None:
        working = self.describing.running or (self.panel is not None and self.panel.busy)
        self.status.show_busy(busy=working)

    def _on_failed(self, text: str) -> None:
        self._wanted = None
        self.status.say_failure(text)
        self._show_busy()

    def _take_theme(self, _: object = None) -> None:
        if self.panel is not None:
            theme = get_theme(self._viewer.theme)
            self.panel.set_look(Look(theme.background.as_hex(), theme.text.as_hex()))
