"""The panel of slice navigation: tabs around one network, one scan and the navigator's pose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.ui.inspector.method_panel import JobPanel
from napari_mrissl.ui.inspector.navigation import ghost, memory, showing, work
from napari_mrissl.ui.inspector.navigation.find_tab import FindTab
from napari_mrissl.ui.inspector.navigation.flight_control import FlightControl
from napari_mrissl.ui.inspector.navigation.goal_search import GoalSearch
from napari_mrissl.ui.inspector.navigation.imagine_tab import ImagineTab
from napari_mrissl.ui.inspector.navigation.latent_look import LatentLook
from napari_mrissl.ui.inspector.navigation.latent_tab import MOST_OTHERS, LatentTab
from napari_mrissl.ui.inspector.source_box import is_scan
from napari_mrissl.ui.layers import reading_of
from napari_mrissl.ui.navigator.sharing import state_of
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import scrolled

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe

IMAGINE, FIND, LATENTS = showing.TABS
"""The tabs."""

_FLIGHT_ENDED = "The navigator shows another scan now: the imagined flight has ended."


class NavigationPanel(JobPanel):
    """Imagined flights, goal slices and latents of a network for slices.

    Attributes
    ----------
    slice_state : NavigatorState
        The pose that navigator and slice views share; its moves are what is imagined.
    control : FlightControl
        The imagined flight.
    goals : GoalSearch
        The goal slice.
    look : LatentLook
        The true slice and its tokens.
    probe : PoseProbe or None
        Of this network and this scan.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self._closed = False
        self._run: Path | None = None
        self._layer: Image | None = None
        self._network: work.Network | None = None
        self._loaded: work.Loaded | None = None
        self.probe: PoseProbe | None = None
        self.loading = self.runner(listed=True)
        self.flying = self.runner(listed=False)
        looking, comparing = self.runner(listed=False), self.runner(listed=False)
        self.fitting = self.runner(listed=True)
        self.finding = self.runner(listed=True)
        self.showing = self.runner(listed=False)
        self.slice_state = state_of(viewer)
        self.control = FlightControl(self.slice_state, self.flying, self)
        self.goals = GoalSearch(viewer, self.slice_state, self.showing, self.finding, self)
        self.ghost = ghost.GhostPlane(viewer)
        self.imagine_tab, self.find_tab, self.latent_tab = ImagineTab(), FindTab(), LatentTab()
        self.look = LatentLook(
            self.slice_state, looking, comparing, self._wanted_looks, self._other_scans, self
        )
        self._arrange()
        self._connect()
        self._show_probe()
        self._allow()

    @property
    def loaded(self) -> work.Loaded | None:
        """Network and scan, once they are there."""
        return self._loaded

    @property
    def layer(self) -> Image | None:
        """The scan that is looked at."""
        return self._layer

    @property
    def limits(self) -> tuple[float, float]:
        """The contrast of all pictures: the layer's, in the network's units."""
        loaded, layer = self._loaded, self._layer
        if loaded is None or layer is None:
            return 0.0, 1.0
        scan = loaded.scan
        low, high = ((float(n) - scan.low) / (scan.high - scan.low) for n in layer.contrast_limits)
        return low, max(high, low + 1e-3)

    def open(self, run: Path, layer: Image | None) -> None:
        """Load the weights of a run in the background, and look at a scan with them."""
        self._run, self._network = run, None
        self._watch(layer)
        self._load()

    def set_layer(self, layer: Image | None) -> None:
        """Look at another scan with the same weights."""
        self._watch(layer)
        if self._run is not None:
            self._load()

    def imagine(self) -> None:
        """Begin an imagined flight with the slice that the navigator shows."""
        loaded = self._loaded
        if loaded is not None:
            self._bring_navigator(loaded)
            self.control.others = self.imagine_tab.wanted_others
            self.control.begin(loaded)

    def fit_probe(self) -> None:
        """Fit a pose probe on slices of the scan, in the background."""
        loaded = self._loaded
        if loaded is None:
            return
        self.said.emit("")
        self.fitting.start(
            lambda c: work.fit_probe(c, loaded), title="pose probe", done=self._on_probe
        )
        self._allow()
        self.busy_changed.emit()

    def find(self) -> None:
        """Search the goal slice, then fly there."""
        loaded = self._loaded
        if loaded is not None:
            self.said.emit("")
            self.control.stop()
            self._bring_navigator(loaded)
            self.goals.find(loaded, self.find_tab.settings)
            self.busy_changed.emit()

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        self.imagine_tab.drift.set_look(look)

    def state(self) -> dict[str, Any]:
        """What a session keeps, as plain data."""
        return memory.state_of(self)

    def take_state(self, state: dict[str, Any]) -> list[str]:
        """Take up what `state` gave; names of what is not usable."""
        return memory.take_state(self, state)

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        super().cancel()
        if self.control.flight is None:
            # A flight that has not begun will not.
            self.control.stop()
        self._allow()

    def shut_down(self) -> None:
        """End all work and remove the layers; the panel is of no more use."""
        if self._closed:
            return
        self._closed = True
        self.close_runners()
        self.look.close()
        self.control.close()
        self.goals.close()
        self.ghost.shut_down()
        self.imagine_tab.drift.shut_down()
        self._watch(None)
        self.slice_state.pose_changed.disconnect(self._on_pose)
        self.slice_state.volume_changed.disconnect(self._on_volume)
        self.slice_state.settings_changed.disconnect(self._on_settings)
        self.slice_state.history_changed.disconnect(self._allow)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self._loaded = self._network = self.probe = None

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        tabs = (self.imagine_tab, self.find_tab, self.latent_tab)
        return QSize(max(tab.minimumSizeHint().width() for tab in tabs) + 18, 300)

    def _arrange(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        # Its line takes no colour of a dark theme.
        self.tabs.tabBar().setDrawBase(False)
        for part, title, tip in (
            (self.imagine_tab, "Imagine", "Fly in imagination, beside the scan"),
            (self.find_tab, "Find", "Search a slice in imagination, and fly there"),
            (self.latent_tab, "Latents", "The tokens of the slice, and which are alike"),
        ):
            self.tabs.addTab(scrolled(part), title)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)

    def _connect(self) -> None:
        imagine, find, latent = self.imagine_tab, self.find_tab, self.latent_tab
        imagine.imagine_wanted.connect(self.imagine)
        imagine.stop_wanted.connect(self.control.stop)
        imagine.back_wanted.connect(self.control.back)
        imagine.restart_wanted.connect(self.control.restart)
        imagine.others_changed.connect(self._on_others)
        imagine.fit_wanted.connect(self.fit_probe)
        imagine.ghost_toggled.connect(self._on_ghost)
        find.mark_wanted.connect(self._on_mark)
        find.forget_wanted.connect(lambda: self.goals.set_goal(None))
        find.find_wanted.connect(self.find)
        find.undo_wanted.connect(self.goals.undo)
        latent.picked.connect(lambda *place: self.look.take_place(place))
        latent.forget_wanted.connect(self.look.forget_place)
        self.look.seen_changed.connect(self._show_seen)
        self.look.alike_changed.connect(self._show_seen)
        self.control.changed.connect(self._show_flight)
        self.goals.changed.connect(self._show_goal)
        self.jobs.idle.connect(self._on_idle)
        self.tabs.currentChanged.connect(lambda _: self.look.request())
        self.slice_state.pose_changed.connect(self._on_pose)
        self.slice_state.volume_changed.connect(self._on_volume)
        self.slice_state.settings_changed.connect(self._on_settings)
        self.slice_state.history_changed.connect(self._allow)
        self.viewer.layers.events.removed.connect(self._on_removed)

    def _watch(self, layer: Image | None) -> None:
        """Take the contrast of another layer."""
        if self._layer is not None:
            self._layer.events.contrast_limits.disconnect(self._on_contrast)
        self._layer = layer
        if layer is not None:
            layer.events.contrast_limits.connect(self._on_contrast)

    def _load(self) -> None:
        """Weights and scan, in the background; what is shown of another pair is cleared."""
        for runner in (self.fitting, self.finding, self.showing):
            runner.cancel()
        self.look.use(None)
        self.control.stop()
        self.control.probe = None
        self._loaded = self.probe = None
        self.ghost.hide()
        self.imagine_tab.clear()
        self.latent_tab.clear()
        self._show_probe()
        self._allow()
        run, known, read = self._run, self._network, None
        if self._layer is not None:
            try:
                read = reading_of(self._layer)
            except MrisslError as error:
                self.failed.emit(str(error))
        assert run is not None  # noqa: S101 - `open` comes first
        self.loading.start(
            lambda c: work.load(c, run, known, read), title="weights", done=self._on_loaded
        )
        self.busy_changed.emit()

    def _on_loaded(self, found: work.Loaded | work.Network) -> None:
        if isinstance(found, work.Network):
            self._network = found
            self.goals.prepare(None)
            self.said.emit("The weights are loaded; open a scan to inspect them on.")
            return
        self._network, self._loaded = found.network, found
        if found.opened.imagination is None:
            self.tabs.setCurrentIndex(LATENTS)
        self._show_flight()
        self.look.use(found)
        if self.slice_state.volume is None:
            self._bring_navigator(found)
        self.goals.prepare(found)
        self._allow()
        self.look.request()

    def _bring_navigator(self, loaded: work.Loaded) -> None:
        """Let the navigator cut the scan that is looked at; its pose stays where it can."""
        if self.slice_state.source is not self._layer or self.slice_state.volume is None:
            self.slice_state.set_volume(loaded.scan.volume, self._layer)

    def _allow(self) -> None:
        if not self._closed:
            showing.allow(self)

    def _on_pose(self, pose: Pose) -> None:
        self.control.follow(pose)
        self.look.request()

    def _on_idle(self) -> None:
        if self._closed:
            return
        if self.goals.goal is not None:
            showing.show_goal(self)
        self._allow()

    def _on_settings(self) -> None:
        """The navigator may look from the other side now."""
        self._show_flight()
        self._show_goal()

    def _on_volume(self, _: object) -> None:
        if self.control.active and self.slice_state.source is not self._layer:
            self.control.stop()
            self.imagine_tab.clear(_FLIGHT_ENDED)
        self.look.request()
        self._show_seen()
        self._allow()

    def _on_removed(self, event: Any) -> None:
        goal = self.goals.goal
        if goal is not None and goal.layer is event.value:
            self.goals.set_goal(None)
            self.find_tab.facts.setText("The goal's scan was closed; the goal is forgotten.")

    def _on_contrast(self, _: object = None) -> None:
        self._show_flight()
        self._show_goal()
        self._show_seen()

    def _on_others(self) -> None:
        self.control.others = self.imagine_tab.wanted_others

    def _on_mark(self) -> None:
        self.goals.mark()
        self.goals.prepare(self._loaded)

    def _on_probe(self, probe: PoseProbe) -> None:
        self.probe = self.look.probe = probe
        self.control.use_probe(probe)
        self._show_probe()
        self._allow()
        self.look.request()

    def _on_ghost(self, _: bool) -> None:
        self._show_read()

    def _wanted_looks(self) -> tuple[bool, bool]:
        """Whether the true slice is looked at, and whether in colours."""
        latents = self.tabs.currentIndex() == LATENTS
        reads = self.probe is not None and not self.control.active
        own = self.slice_state.source is self._layer
        return own and (latents or reads), latents

    def _other_scans(self) -> list[tuple[str, Any]]:
        """The topmost other scans of the viewer, with what reads them."""
        found: list[tuple[str, Any]] = []
        for layer in reversed(self.viewer.layers):
            if layer is self._layer or not is_scan(layer) or len(found) == MOST_OTHERS:
                continue
            try:
                found.append((layer.name, reading_of(layer)))
            except MrisslError:
                continue  # An image that is no scan is not compared.
        return found

    def _show_flight(self) -> None:
        showing.show_flight(self)
        self._show_read()
        self._allow()
        if not self.control.active:
            # Without a flight it is the true slice whose latents are read.
            self.look.request()
        self.busy_changed.emit()

    def _show_goal(self) -> None:
        showing.show_goal(self)
        self._allow()
        self.busy_changed.emit()

    def _show_seen(self) -> None:
        showing.show_seen(self)
        self._show_read()

    def _show_probe(self) -> None:
        self.imagine_tab.probe.setText(ghost.probe_words(self.probe))
        self._show_read()

    def _show_read(self) -> None:
        showing.show_read(self)
