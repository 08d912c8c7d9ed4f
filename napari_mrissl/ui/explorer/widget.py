"""The dock widget "Feature explorer"."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import napari.viewer
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShowEvent
from qtpy.QtWidgets import QApplication, QShortcut, QVBoxLayout, QWidget

from napari_mrissl.ui.docks import tab_with_others
from napari_mrissl.ui.explorer import remembered
from napari_mrissl.ui.explorer.colour_tab import ColourTab
from napari_mrissl.ui.explorer.exploration import Exploration
from napari_mrissl.ui.explorer.explored import shows
from napari_mrissl.ui.explorer.match_tab import MatchTab
from napari_mrissl.ui.explorer.measuring import Features
from napari_mrissl.ui.explorer.meter_tab import PAIR, SCAN, MeterTab
from napari_mrissl.ui.explorer.offering import Offering
from napari_mrissl.ui.explorer.picking import Picking
from napari_mrissl.ui.explorer.scans_box import ScansBox
from napari_mrissl.ui.explorer.sources import settings_of, title_of
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import scrolled
from napari_mrissl.ui.status import StatusLine
from napari_mrissl.ui.tabs import tabbed
from napari_mrissl.ui.wheel import leave_wheel_alone

if TYPE_CHECKING:
    from napari.layers import Image

_SETTLED_MS = 200
SIMILAR, LOOK, INVARIANCE = range(3)
"""The tabs."""


class FeatureExplorer(QWidget):
    """Shows features of scans: where they are alike, what they look like, what they ignore.

    Parameters
    ----------
    viewer
        Gives scans, and shows results as layers.

    Attributes
    ----------
    session_key : str
        Under which a session keeps `session_state`.
    exploration : Exploration
        Scans, clicks and jobs.
    """

    session_key = "explorer"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = real_viewer(viewer)
        self._docked = False
        self._closed = False
        self._pair: list[Image] = []
        self.exploration = Exploration(self._viewer, self)
        self.picking = Picking(self._viewer, self)
        self.scans = ScansBox(self._viewer)
        self.match_tab = MatchTab()
        self.colour_tab = ColourTab()
        self.meter_tab = MeterTab()
        self.offering = Offering(self.scans, self.meter_tab.series, self)
        self.status = StatusLine(
            "How much of what is being done is done", "Stop what is being done"
        )
        self.message, self.cancel = self.status.message, self.status.cancel
        # A child, so that it ends with the panel.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        # Only while the tool is down: otherwise the key is napari's.
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        self._escape.setEnabled(False)
        self._arrange()
        leave_wheel_alone(self)
        self._connect()
        self._take_theme()
        self._on_changed()
        self._show_busy()
        self.offering.find_cost()
        self.offering.list_networks()

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        return self.exploration.busy or self.offering.busy

    def compute(self) -> None:
        """Compute the features of the ticked scans in the background."""
        self.status.say("")
        box = self.scans
        self.exploration.compute(box.ticked, box.choice, box.chosen_tap, box.chosen_comparison)

    def measure(self) -> None:
        """Make two images of one anatomy, and compare their features."""
        box, tab = self.scans, self.meter_tab
        self.status.say("")
        choice, tap = box.choice, box.chosen_tap
        features = Features(
            settings_of(choice, tap),
            box.chosen_comparison == "standardised",
            title_of(choice, tap),
        )
        measuring = self.exploration.measuring
        if tab.kind == PAIR:
            drawn = (tab.seed.value(), tab.index.value(), tab.chosen_side)
            measuring.measure_pair(features, drawn)
        elif not box.ticked:
            self.status.say_failure("Tick a scan to be changed, or measure a pair of views.")
        elif tab.kind == SCAN:
            measuring.measure_recoloured(features, box.ticked[0], tab.change)
        else:
            measuring.measure_drift(features, box.ticked[0], tab.series.series)

    def add_images(self) -> None:
        """Add the two images that were measured to the viewer, and tick them."""
        measured = self.meter_tab.measured
        if measured is None:
            return
        pair = []
        for volume in (measured.before, measured.after):
            there = [one for one in self.scans.layers if shows(one, volume)]
            pair.append(there[0] if there else add_volume(self._viewer, volume))
        self.scans.choose_scans([layer.name for layer in pair])
        self.match_tab.truth.setChecked(True)
        self._pair = pair

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: scans, features, click and tabs."""
        return remembered.state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept, computing nothing; what is not usable is said."""
        wrong = remembered.take_up(self, state)
        self._show_answer()
        if wrong:
            self.status.say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")

    def shut_down(self) -> None:
        """Let go of everything; the widget is of no more use."""
        if self._closed:
            return
        self._closed = True
        self._pair.clear()
        self._settled.stop()
        self.picking.shut_down()
        self.offering.close()
        self.scans.disconnect_viewer()
        self.exploration.shut_down()
        self.meter_tab.shut_down()
        self._viewer.events.theme.disconnect(self._take_theme)
        self._viewer.dims.events.point.disconnect(self._on_moved)
        self._viewer.dims.events.order.disconnect(self._on_moved)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self.shut_down)

    def event(self, event: QEvent) -> bool:
        """Notice being docked and being taken out of the window again."""
        if event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self.shut_down()
                # Python cannot collect what Qt's connections to functions hold.
                self.deleteLater()
            elif self.parent() is not None and not self._docked:
                tab_with_others(self)
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent) -> None:
        """Weights may have been added since it was last seen."""
        super().showEvent(event)
        self.offering.list_networks()

    def closeEvent(self, event: QEvent) -> None:
        """Closed on its own, outside a dock."""
        self.shut_down()
        super().closeEvent(event)

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        parts = (self.scans, self.match_tab, self.colour_tab, self.meter_tab)
        return QSize(max(part.minimumSizeHint().width() for part in parts) + 22, 360)

    def sizeHint(self) -> QSize:
        """No higher than a small screen."""
        return QSize(max(430, self.minimumSizeHint().width()), 660)

    def _arrange(self) -> None:
        self.tabs = tabbed(
            (self.match_tab, "Similar", "Click a place and see where scans have the like of it"),
            (self.colour_tab, "Look", "Features as colours and channel by channel"),
            (scrolled(self.meter_tab), "Invariance", "Two appearances of one anatomy compared"),
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(3)
        outer.addWidget(self.scans)
        outer.addWidget(self.tabs, 1)
        outer.addWidget(self.status)

    def _connect(self) -> None:
        scans, match, colour = self.scans, self.match_tab, self.colour_tab
        held = self.exploration
        scans.compute_wanted.connect(self.compute)
        scans.changed.connect(self.offering.find_cost)
        scans.changed.connect(self._doubt_truth)
        scans.compared.connect(lambda: held.computing.compare_by(scans.chosen_comparison))
        scans.gone.connect(held.forget)
        match.tool_toggled.connect(self._on_tool)
        self._escape.activated.connect(lambda: match.tool.setChecked(False))
        match.back_wanted.connect(held.step_back)
        match.forward_wanted.connect(held.step_forward)
        match.clear_wanted.connect(lambda: held.ask(None))
        match.go_wanted.connect(self._go)
        match.truth_toggled.connect(self._on_truth)
        match.landmarks_wanted.connect(lambda: held.landmarks.find(held.explored))
        match.landmarks_undone.connect(held.landmarks.undo)
        held.landmarks.changed.connect(self._show_answer)
        colour.colours_wanted.connect(held.showing.show_colours)
        colour.channel_wanted.connect(held.showing.show_channel)
        colour.length_wanted.connect(lambda: held.showing.show_channel(None))
        colour.hide_wanted.connect(held.showing.hide)
        colour.grid_changed.connect(self._draw_grid)
        self.meter_tab.measure_wanted.connect(self.measure)
        self.meter_tab.show_wanted.connect(self.add_images)
        self.picking.picked.connect(held.pick)
        self.picking.refused.connect(self.status.say_failure)
        held.changed.connect(self._on_changed)
        held.answered.connect(self._show_answer)
        held.showing.projected.connect(
            lambda found: colour.show_projection(found, len(held.explored))
        )
        held.showing.gridded.connect(colour.show_grid)
        held.measuring.measured.connect(self.meter_tab.show_measured)
        held.measuring.drifted.connect(self.meter_tab.drift.add)
        self.meter_tab.drift.export_wanted.connect(held.measuring.export)
        held.said.connect(self.status.say)
        held.failed.connect(self.status.say_failure)
        held.progressed.connect(self.status.show_progress)
        held.busy_changed.connect(self._show_busy)
        self.offering.idle.connect(self._show_busy)
        self.offering.failed.connect(self.status.say_failure)
        self.status.stop_wanted.connect(self._cancel)
        self.tabs.currentChanged.connect(lambda _: self._draw_grid())
        self._settled.timeout.connect(self._draw_grid)
        self._viewer.dims.events.point.connect(self._on_moved)
        self._viewer.dims.events.order.connect(self._on_moved)
        self._viewer.events.theme.connect(self._take_theme)
        QApplication.instance().aboutToQuit.connect(self.shut_down)
        runners = [weakref.ref(one) for one in (*self.offering.runners, *held.jobs.runners)]
        self.destroyed.connect(partial(_on_destroyed, runners))

    def _cancel(self) -> None:
        """Work in a process of its own takes seconds to notice."""
        self.status.say("Cancelling...")
        self.status.cancel.setEnabled(False)
        self.exploration.cancel()

    def _on_truth(self, truth: bool) -> None:
        self._pair.clear()
        self.exploration.set_truth(truth)

    def _doubt_truth(self) -> None:
        """That scans lie on each other was known of the measured pair alone."""
        if self._pair and any(layer not in self._pair for layer in self.scans.ticked):
            self.match_tab.truth.setChecked(False)

    def _on_tool(self, wanted: bool) -> None:
        self.picking.set_on(wanted)
        self._escape.setEnabled(wanted)
        if wanted:
            self.exploration.prepare_clicks()
            self.status.say("Click into a scan; press Esc or Click again to end.")
        else:
            self.status.say("")

    def _on_changed(self) -> None:
        held = self.exploration
        names = [one.name for one in held.explored]
        self.colour_tab.present(names, held.names, held.computing.title)
        self.match_tab.tool.setEnabled(bool(held.explored))
        if not held.explored:
            self.match_tab.tool.setChecked(False)
        self._show_answer()
        self._draw_grid()
        self.offering.find_cost()

    def _show_answer(self) -> None:
        held, tab = self.exploration, self.match_tab
        there = held.place if held.explored else None
        asked = None if held.asked is None else held.asked.name
        tab.show_place(there, asked, held.computing.title)
        answers = [(one.name, held.found.get(one)) for one in held.explored]
        tab.show_found(answers if there is not None else [])
        tab.show_landmarks(possible=len(held.explored) > 1, undo=held.landmarks.history.can_undo)
        tab.show_history(back=held.history.can_undo, forward=held.history.can_redo)

    def _go(self, line: int) -> None:
        held = self.exploration
        if line < 0:
            if held.place is not None:
                held.go_to(held.place.world)
        elif line < len(held.explored) and held.explored[line] in held.found:
            held.go_to(held.found[held.explored[line]].world)

    def _on_moved(self, _: Any = None) -> None:
        if self.tabs.currentIndex() == LOOK and self.exploration.explored:
            self._settled.start()

    def _draw_grid(self) -> None:
        if self.tabs.currentIndex() == LOOK and not self._closed:
            self.exploration.showing.draw_grid(self.colour_tab.chosen_scan)

    def _show_busy(self) -> None:
        held = self.exploration
        self.status.show_busy(busy=held.jobs.telling)
        self.scans.compute.setEnabled(bool(self.scans.ticked) and not held.computing.running)

    def _take_theme(self, _: object = None) -> None:
        theme = get_theme(self._viewer.theme)
        self.meter_tab.set_look(Look(theme.background.as_hex(), theme.text.as_hex()))


def _on_destroyed(held: list[weakref.ref[JobRunner]], _: object = None) -> None:
    """The window was closed with the dock in it."""
    for one in held:
        runner = one()
        if runner is not None:
            runner.close()
