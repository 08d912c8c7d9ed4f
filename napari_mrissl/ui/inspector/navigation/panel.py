"""The panel of slice navigation: tabs around one network, one scan and the navigator's pose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.inspector.navigation import ghost, memory, showing, work
from napari_mrissl.ui.inspector.navigation.find_tab import FindTab
from napari_mrissl.ui.inspector.navigation.flight_control import FlightControl
from napari_mrissl.ui.inspector.navigation.goal_search import GoalSearch
from napari_mrissl.ui.inspector.navigation.imagine_tab import ImagineTab
from napari_mrissl.ui.inspector.navigation.latent_look import LatentLook
from napari_mrissl.ui.inspector.navigation.latent_tab import MOST_OTHERS, LatentTab
from napari_mrissl.ui.inspector.network_panel import NetworkPanel
from napari_mrissl.ui.inspector.source_box import other_scans
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


class NavigationPanel(NetworkPanel):
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

    read, memory = staticmethod(work.load), memory

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.probe: PoseProbe | None = None
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
            self.slice_state,
            looking,
            comparing,
            lambda: showing.wanted_looks(self),
            lambda: other_scans(viewer, self._layer, MOST_OTHERS),
            self,
        )
        self.arrange(
            (self.imagine_tab, self.find_tab, self.latent_tab),
            (scrolled(self.imagine_tab), "Imagine", "Fly in imagination, beside the scan"),
            (scrolled(self.find_tab), "Find", "Search a slice in imagination, and fly there"),
            (scrolled(self.latent_tab), "Latents", "The tokens of the slice, and which are alike"),
        )
        self._connect()
        self._show_probe()
        self._allow()

    @property
    def limits(self) -> tuple[float, float]:
        """The contrast of all pictures: the layer's, in the network's units."""
        loaded, layer = self._loaded, self._layer
        if loaded is None or layer is None:
            return 0.0, 1.0
        scan = loaded.scan
        low, high = ((float(n) - scan.low) / (scan.high - scan.low) for n in layer.contrast_limits)
        return low, max(high, low + 1e-3)

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

    def fly_there(self) -> None:
        """Bring the navigator to what the last search found, and to its scan."""
        loaded = self._loaded
        if loaded is not None:
            self._bring_navigator(loaded)
            self.goals.fly()

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        self.imagine_tab.drift.set_look(look)

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        self.control.halt()
        super().cancel()
        self._allow()

    def forget(self) -> None:
        """Stop, and clear, what is about another network or scan."""
        for runner in (self.fitting, self.finding, self.showing):
            runner.cancel()
        self.look.use(None)
        self.control.stop()
        self.control.probe = None
        self.probe = None
        self.ghost.hide()
        self.imagine_tab.clear()
        self.latent_tab.clear()
        self._show_probe()
        self._allow()

    def show_loaded(self, loaded: work.Loaded) -> None:
        """Begin with the slice that the navigator shows."""
        if loaded.opened.imagination is None:
            self.tabs.setCurrentIndex(LATENTS)
        self._show_flight()
        self.look.use(loaded)
        if self.slice_state.volume is None:
            self._bring_navigator(loaded)
        self.goals.prepare(loaded)
        self._allow()
        self.look.request()

    def let_go(self) -> None:
        """Give back layers and connections, once all jobs have ended."""
        for one in (self.look, self.control, self.goals):
            one.close()
        self.ghost.shut_down()
        self.imagine_tab.drift.shut_down()
        for signal, slot in self._followed:
            signal.disconnect(slot)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.probe = None

    @property
    def _followed(self) -> tuple[tuple[Any, Any], ...]:
        state = self.slice_state
        return (
            (state.pose_changed, self._on_pose),
            (state.volume_changed, self._on_volume),
            (state.settings_changed, self._show_all),
            (state.history_changed, self._allow),
        )

    def _connect(self) -> None:
        imagine, find, latent = self.imagine_tab, self.find_tab, self.latent_tab
        imagine.imagine_wanted.connect(self.imagine)
        imagine.stop_wanted.connect(self.control.stop)
        imagine.back_wanted.connect(self.control.back)
        imagine.restart_wanted.connect(self.control.restart)
        imagine.others_changed.connect(self._on_others)
        imagine.fit_wanted.connect(self.fit_probe)
        imagine.ghost_toggled.connect(lambda _: showing.show_read(self))
        find.mark_wanted.connect(self._on_mark)
        find.forget_wanted.connect(lambda: self.goals.set_goal(None))
        find.find_wanted.connect(self.find)
        find.fly_wanted.connect(self.fly_there)
        find.undo_wanted.connect(self.goals.undo)
        latent.picked.connect(lambda *place: self.look.take_place(place))
        latent.forget_wanted.connect(self.look.forget_place)
        self.look.seen_changed.connect(self._show_seen)
        self.look.alike_changed.connect(self._show_seen)
        self.control.changed.connect(self._show_flight)
        self.goals.changed.connect(self._show_goal)
        self.jobs.idle.connect(self._on_idle)
        self.tabs.currentChanged.connect(lambda _: self.look.request())
        for signal, slot in self._followed:
            signal.connect(slot)
        self.viewer.layers.events.removed.connect(self._on_removed)

    def _watch(self, layer: Image | None) -> None:
        """Take the contrast of another layer."""
        if self._layer is not None:
            self._layer.events.contrast_limits.disconnect(self._show_all)
        super()._watch(layer)
        if layer is not None:
            layer.events.contrast_limits.connect(self._show_all)

    def _on_loaded(self, found: tuple[work.Network, work.Loaded | None]) -> None:
        super()._on_loaded(found)
        if self._loaded is None:
            self.goals.prepare(None)

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

    def _show_all(self, _: object = None) -> None:
        """The contrast is another one, or the navigator looks from the other side."""
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

    def _show_flight(self) -> None:
        showing.show_flight(self)
        showing.show_read(self)
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
        showing.show_read(self)

    def _show_probe(self) -> None:
        self.imagine_tab.probe.setText(ghost.probe_words(self.probe))
        showing.show_read(self)
