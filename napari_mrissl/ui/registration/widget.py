"""The dock widget "Registration"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.viewer
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.ui.dock_panel import DockPanel, close_when_destroyed
from napari_mrissl.ui.explorer.sources import known_networks
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.layers import reading_of
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.pretraining import work as trainings
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import button, column, scrolled
from napari_mrissl.ui.registration import work
from napari_mrissl.ui.registration.asked import Asked
from napari_mrissl.ui.registration.landmark_layers import LandmarkLayers
from napari_mrissl.ui.registration.landmarks_box import LandmarksBox
from napari_mrissl.ui.registration.memory import state_of, take_state
from napari_mrissl.ui.registration.pair_box import FIXED, MOVING, PairBox
from napari_mrissl.ui.registration.registering import Registering
from napari_mrissl.ui.registration.run_tab import RunTab
from napari_mrissl.ui.registration.scores_tab import ScoresTab
from napari_mrissl.ui.registration.settings_box import SettingsBox
from napari_mrissl.ui.registration.viewing import Viewing
from napari_mrissl.ui.registration.views_tab import ViewsTab
from napari_mrissl.ui.status import StatusLine
from napari_mrissl.ui.tabs import tabbed
from napari_mrissl.ui.wheel import leave_wheel_alone

if TYPE_CHECKING:
    from napari_mrissl.ui.registration.result import Result

SCANS, RUN, VIEWS, SCORES = range(4)
"""The tabs."""


class RegistrationPanel(DockPanel, QWidget):
    """Brings one scan onto another, and shows what that did and what it is worth.

    Parameters
    ----------
    viewer
        Gives scans, labels and points, and shows results as layers.

    Attributes
    ----------
    session_key : str
        Under which a session keeps `session_state`.
    viewer : napari.components.ViewerModel
        The viewer.
    pair : PairBox
        What is registered.
    landmarks : LandmarkLayers
        Points that are placed in both scans.
    settings_box : SettingsBox
        How.
    registering : Registering
        Jobs and results.
    viewing : Viewing
        What is seen of the present result.
    """

    session_key = "registration"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = real_viewer(viewer)
        self._closed = False
        self.pair = PairBox(self.viewer)
        self.landmarks = LandmarkLayers(self.viewer, self.pair, self)
        self.landmarks_box = LandmarksBox(self.landmarks)
        self.settings_box = SettingsBox()
        self.start = button("Register", "Bring the moving scan onto the fixed one")
        self.start.setStyleSheet("font-weight: bold;")
        self.run_tab, self.scores_tab, self.views_tab = RunTab(), ScoresTab(), ViewsTab()
        self.registering = Registering(self)
        self.viewing = Viewing(self.viewer, self.views_tab, self)
        self.planning = JobRunner(self, listed=False)
        self.listing = JobRunner(self, listed=False)
        self.asking = JobRunner(self, listed=False)
        self.status = StatusLine(
            "How much of the registration is done",
            "Stop; the linear alignment is kept where it is there already",
        )
        self._arrange()
        leave_wheel_alone(self)
        self._connect()
        self._take_theme()
        self._show_busy()
        self.find_cost()
        self.asking.start(trainings.devices, title="devices", done=self.settings_box.device.offer)

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        runners = (self.planning, self.listing, self.asking, self.viewing.overlays.jobs)
        return self.registering.busy or any(runner.running for runner in runners)

    @property
    def result(self) -> Result | None:
        """The present result."""
        return self.registering.result

    def register(self) -> None:
        """Register what is chosen, in the background."""
        self.status.say("")
        self.landmarks.stop()
        if not self.settings_box.valid:
            self.status.say_failure("Mend the setting with the red name first.")
            return
        try:
            asked = Asked(self.pair.side(FIXED), self.pair.side(MOVING))
            asked.check(self.settings_box.settings)
        except MrisslError as error:
            self.status.say_failure(str(error))
            return
        title = f"{asked.moving.name} on {asked.fixed.name}"
        self.run_tab.begin(title)
        self.tabs.setCurrentIndex(RUN)
        self.registering.register(asked, self.settings_box.settings, f"registering {title}")

    def undo(self) -> None:
        """Take the present result back, with its layers."""
        self.status.say("")
        self.registering.undo()

    def redo(self) -> None:
        """Show the result again that was taken back."""
        self.status.say("")
        self.registering.redo()

    def save(self, folder: str | Path) -> None:
        """Write the files of ``mrissl register`` to a new or empty folder."""
        self.status.say("")
        self.registering.save(Path(folder))

    def find_cost(self) -> None:
        """Say what the displacement field would take."""
        layer = self.pair.side(FIXED).scan
        box = self.settings_box
        if layer is None:
            box.cost.setText("Open two scans.")
            return
        try:
            read = reading_of(layer)
        except MrisslError as error:
            box.cost.setText(str(error))
            return
        settings = box.settings
        self.planning.start(
            lambda _: work.planned(read, settings),
            title="what registering takes",
            done=self._show_cost,
        )

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: chosen layers, settings, tab."""
        return state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        wrong = take_state(self, state)
        if wrong:
            self.status.say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")

    def shut_down(self) -> None:
        """Let go of everything; the widget is of no more use."""
        if self._closed:
            return
        self._closed = True
        for runner in (self.planning, self.listing, self.asking):
            runner.close()
        self.viewing.shut_down()
        self.registering.close()
        self.landmarks.close()
        self.pair.disconnect_viewer()
        self.run_tab.shut_down()
        self.scores_tab.present(None)
        self.viewer.events.theme.disconnect(self._take_theme)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self.shut_down)

    def showEvent(self, event: QShowEvent) -> None:
        """Weights may have been added since it was last seen."""
        super().showEvent(event)
        self.listing.start(
            lambda _: known_networks(),
            title="list of weights",
            done=self.settings_box.offer_networks,
        )

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        parts = (
            self.pair,
            self.landmarks_box,
            self.settings_box,
            self.run_tab,
            self.views_tab,
            self.scores_tab,
        )
        return QSize(max(part.minimumSizeHint().width() for part in parts) + 26, 360)

    def sizeHint(self) -> QSize:
        """No higher than a small screen."""
        return QSize(max(360, self.minimumSizeHint().width()), 660)

    def _arrange(self) -> None:
        chosen = QWidget()
        inner = column(chosen)
        inner.setContentsMargins(6, 2, 6, 2)
        scans = QWidget()
        below = column(scans)
        below.addWidget(self.pair)
        below.addWidget(self.landmarks_box)
        inner.addWidget(section("Scans", scans))
        inner.addWidget(section("How", self.settings_box))
        inner.addStretch(1)
        page = QWidget()
        layout = column(page)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.addWidget(scrolled(chosen), 1)
        layout.addWidget(self.start)
        self.tabs = tabbed(
            (page, "Scans", "What is registered, and how"),
            (self.run_tab, "Run", "The registration while it is computed, and what came out"),
            (scrolled(self.views_tab), "Views", "Fixed against moved, and what the field does"),
            (self.scores_tab, "Scores", "Labels and landmarks before and after"),
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(3)
        outer.addWidget(self.tabs, 1)
        outer.addWidget(self.status)

    def _connect(self) -> None:
        held, box = self.registering, self.settings_box
        self.start.clicked.connect(self.register)
        self.pair.changed.connect(self.find_cost)
        self.pair.swapped.connect(box.swap_windows)
        self.landmarks_box.refused.connect(self.status.say_failure)
        box.changed.connect(self.find_cost)
        box.invalid.connect(self.status.say_failure)
        self.run_tab.undo_wanted.connect(self.undo)
        self.run_tab.redo_wanted.connect(self.redo)
        self.run_tab.save_wanted.connect(self.save)
        held.cost_told.connect(self.run_tab.add)
        held.changed.connect(self._present)
        held.said.connect(self.status.say)
        held.failed.connect(self._on_failed)
        held.busy_changed.connect(self._show_busy)
        for runner in (held.running, held.saving):
            runner.progressed.connect(self.status.show_progress)
        self.planning.failed.connect(box.cost.setText)
        for runner in (self.listing, self.asking, self.viewing.overlays.jobs):
            runner.failed.connect(self.status.say_failure)
        self.viewing.refused.connect(self.status.say_failure)
        self.status.stop_wanted.connect(self._on_cancel)
        self.viewer.events.theme.connect(self._take_theme)
        QApplication.instance().aboutToQuit.connect(self.shut_down)
        close_when_destroyed(
            self, held.running, held.saving, self.planning, self.listing, self.asking,
            self.viewing.overlays.jobs,
        )  # fmt: skip

    def _present(self) -> None:
        held = self.registering
        result = held.result
        self.run_tab.present(result, can_undo=held.can_undo, can_redo=held.can_redo)
        self.scores_tab.present(result)
        self.viewing.present(result)

    def _show_cost(self, planned: work.Planned | None) -> None:
        words = "Without a field it takes a minute or less."
        self.settings_box.cost.setText(words if planned is None else planned.sentence)

    def _on_cancel(self) -> None:
        """The process takes a moment to notice."""
        self.status.say("Cancelling...")
        self.status.cancel.setEnabled(False)
        self.registering.cancel()

    def _on_failed(self, text: str) -> None:
        self._present_words()
        self.status.say_failure(printable(text))

    def _present_words(self) -> None:
        held = self.registering
        self.run_tab.present(held.result, can_undo=held.can_undo, can_redo=held.can_redo)

    def _show_busy(self) -> None:
        held = self.registering
        self.start.setEnabled(not held.running.running)
        for part in (self.run_tab.undo, self.run_tab.redo, self.run_tab.save):
            part.setEnabled(part.isEnabled() and not held.running.running)
        self.status.show_busy(busy=held.busy)
        if not held.running.running:
            self._present_words()

    def _take_theme(self, _: object = None) -> None:
        theme = get_theme(self.viewer.theme)
        self.run_tab.set_look(Look(theme.background.as_hex(), theme.text.as_hex()))
