"""What is kept beside the poses, from real events: mouse, contrast, clicks, layers."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QEvent, QObject

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import apply_affine
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.layers import volume_of
from napari_mrissl.ui.navigator.gestures import point_at

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

    from napari_mrissl.ui.navigator import SliceNavigator
    from napari_mrissl.ui.navigator.flights import FlightDeck
    from napari_mrissl.ui.segmenter import PromptSegmenter
    from napari_mrissl.ui.segmenter.controller import Controller
    from napari_mrissl.volumes.volume import Volume


class Feeds(QObject):
    """Hands a recording what its columns need, from its start to its end.

    Parameters
    ----------
    deck
        Whose recordings are fed; the feeds are its child and go with it.
    navigator
        Whose canvas and scan are watched.
    viewer
        The main viewer, whose layers are.
    """

    def __init__(self, deck: FlightDeck, navigator: SliceNavigator, viewer: ViewerModel) -> None:
        super().__init__(deck)
        self._deck = deck
        self.navigator = navigator
        feeds = {
            "cursor": CursorFeed(deck, navigator),
            "window": WindowFeed(deck),
            "clicks": ClickFeed(deck, navigator),
            "layers": LayerFeed(deck, viewer),
        }
        self._feeds: dict[str, Any] = feeds
        self._fed: list[str] = []
        deck.recording_changed.connect(self._on_recording)
        self._on_recording(deck.recording)

    def close(self) -> None:
        """Watch nothing any more."""
        self._on_recording(False)
        self._deck.recording_changed.disconnect(self._on_recording)
        self.deleteLater()

    def _on_recording(self, recording: bool) -> None:
        for name in self._fed:
            self._feeds[name].stop()
        self._fed = sorted(self._deck.columns) if recording else []
        for name in self._fed:
            self._feeds[name].start()


class CursorFeed(QObject):
    """Where the mouse points in the scan, in world RAS mm; None beside it."""

    def __init__(self, deck: FlightDeck, navigator: SliceNavigator) -> None:
        super().__init__(deck)
        self._deck, self._navigator = deck, navigator
        self._position: tuple[float, float] | None = None
        self._canvas: QWidget | None = None
        self._state: Any = None

    def start(self) -> None:
        """Watch the canvas."""
        # The pose moves under a resting mouse too.
        self._state = self._deck.state
        self._state.pose_changed.connect(self._tell)
        self._canvas = self._navigator.view.canvas
        self._canvas.installEventFilter(self)
        self._position = None
        self._tell()

    def stop(self) -> None:
        """Leave the canvas alone."""
        self._state.pose_changed.disconnect(self._tell)
        if self._canvas is not None and not self._navigator.closed:
            self._canvas.removeEventFilter(self)
        self._canvas = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Note where the mouse is, and that it left."""
        kind = event.type()
        if kind == QEvent.Type.MouseMove:
            place, pose = event.position(), self._deck.state.pose
            # The slice fills the smaller side of the canvas, in its middle.
            millimetres = pose.fov / max(1, min(watched.width(), watched.height()))
            self._position = (
                (place.y() - watched.height() / 2) * millimetres,
                (place.x() - watched.width() / 2) * millimetres,
            )
            self._tell()
        elif kind == QEvent.Type.Leave:
            self._position = None
            self._tell()
        return False

    def _tell(self) -> None:
        state = self._deck.state
        if state.volume is None:
            return
        point = None
        if self._position is not None:
            point = point_at(state.pose, self._position)
            index = apply_affine(state.volume.to_index, point)
            if ((index < -0.5) | (index > np.array(state.volume.shape) - 0.5)).any():
                point = None
        self._deck.note_cursor(point)


class WindowFeed:
    """Contrast limits of the layer that is cut."""

    def __init__(self, deck: FlightDeck) -> None:
        self._deck = deck
        self._layer: Image | None = None

    def start(self) -> None:
        """Watch the layer."""
        self._layer = self._deck.state.source
        if self._layer is not None:
            self._layer.events.contrast_limits.connect(self._tell)
            self._tell()

    def stop(self) -> None:
        """Leave the layer alone."""
        layer, self._layer = self._layer, None
        if layer is not None:
            layer.events.contrast_limits.disconnect(self._tell)

    def _tell(self) -> None:
        if self._layer is not None:
            low, high = (float(limit) for limit in self._layer.contrast_limits)
            self._deck.note_window(low, high)


class ClickFeed:
    """Clicks placed in the segmentation panel on the scan flown through.

    A change that adds one click is one; clicks that come in number were loaded.
    """

    def __init__(self, deck: FlightDeck, navigator: SliceNavigator) -> None:
        self._deck, self._navigator = deck, navigator
        self._controller: Controller | None = None
        self._before: tuple[Any, ...] = ()

    def start(self) -> None:
        """Watch the panel in the same window, if there is one."""
        panel = find_segmenter(self._navigator)
        if panel is not None:
            self._controller = panel.controller
            self._before = self._clicks()
            self._controller.prompts_changed.connect(self._on_prompts)
            self._controller.session_changed.connect(self._on_session)

    def stop(self) -> None:
        """Leave the panel alone."""
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.prompts_changed.disconnect(self._on_prompts)
            controller.session_changed.disconnect(self._on_session)

    def _clicks(self) -> tuple[Any, ...]:
        session = self._controller.session if self._controller is not None else None
        if session is None or session.volume is not self._deck.volume:
            return ()
        return session.state.clicks

    def _on_session(self) -> None:
        self._before = self._clicks()

    def _on_prompts(self) -> None:
        before, self._before = self._before, self._clicks()
        new = [click for click in self._before if click not in before]
        if len(new) == 1:
            x, y, z, label = new[0]
            self._deck.note_click((x, y, z), label)


class LayerFeed(QObject):
    """Which scans and labels the main viewer shows; scans by identity, never by name."""

    def __init__(self, deck: FlightDeck, viewer: ViewerModel) -> None:
        super().__init__(deck)
        self._deck, self._viewer = deck, viewer
        self._names: weakref.WeakKeyDictionary[Layer, str] = weakref.WeakKeyDictionary()
        self._labels = 0
        self._watched: list[Layer] = []
        self._jobs = JobRunner(self)

    def start(self) -> None:
        """Watch all layers, and those that come."""
        self._viewer.layers.events.inserted.connect(self._take)
        self._viewer.layers.events.removed.connect(self._take)
        self._take()

    def stop(self) -> None:
        """Leave the layers alone."""
        self._viewer.layers.events.inserted.disconnect(self._take)
        self._viewer.layers.events.removed.disconnect(self._take)
        for layer in self._watched:
            layer.events.visible.disconnect(self._tell)
        self._watched = []
        self._jobs.cancel()

    def _take(self) -> None:
        """Watch the layers that are there now."""
        unknown: list[tuple[Layer, Volume]] = []
        for layer in self._viewer.layers:
            if layer not in self._watched and isinstance(layer, Image | Labels):
                layer.events.visible.connect(self._tell)
                self._watched.append(layer)
            if layer in self._names:
                continue
            if isinstance(layer, Labels):
                self._labels += 1
                self._names[layer] = f"labels:{self._labels}"
            elif isinstance(layer, Image) and (volume := _volume(layer)) is not None:
                unknown.append((layer, volume))
        self._tell()
        if unknown:
            self._jobs.start(
                # Finding an identity is a pass over the voxels, unless it was found before.
                lambda _: [(layer, volume.identity) for layer, volume in unknown],
                title="Identifying the scans",
                done=self._identified,
                queue=True,
            )

    def _identified(self, found: list[tuple[Layer, str]]) -> None:
        for layer, identity in found:
            self._names[layer] = f"image:{identity[:12]}"
        self._tell()

    def _tell(self) -> None:
        there = [layer for layer in self._viewer.layers if layer in self._names]
        if there and self._deck.recording:
            self._deck.note_layers({self._names[one]: bool(one.visible) for one in there})


def find_navigator(widget: QWidget) -> SliceNavigator | None:
    """A slice navigator docked in the same window as a widget, or None."""
    from napari_mrissl.ui.navigator import SliceNavigator

    return next((n for n in widget.window().findChildren(SliceNavigator) if not n.closed), None)


def find_segmenter(widget: QWidget) -> PromptSegmenter | None:
    """A segmentation panel docked in the same window as a widget, or None."""
    # Loading its code takes a while; where it was never loaded there is no panel.
    panels = sys.modules.get("napari_mrissl.ui.segmenter.panel")
    if panels is None:
        return None
    return next(iter(widget.window().findChildren(panels.PromptSegmenter)), None)


def _volume(layer: Image) -> Volume | None:
    """A layer's scan; None for pictures that are none."""
    try:
        return volume_of(layer)
    except MrisslError:
        return None
