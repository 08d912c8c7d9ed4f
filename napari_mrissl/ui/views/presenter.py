"""From the shared pose and the layers to four panes, once per turn of the event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.pictures.cuts import LabelStyle
from napari_mrissl.ui.pictures.parts import ImagePart, Part
from napari_mrissl.ui.pictures.scene import Scene
from napari_mrissl.ui.views.pane import Pane, Tile

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_mrissl.ui.navigator.state import NavigatorState

Mode = Literal["overlay", "flicker", "side by side"]
MODES: tuple[Mode, ...] = ("overlay", "flicker", "side by side")
FLICKER_HERTZ = 2.0


class ViewsPresenter(QObject):
    """Keeps the panes up to date with a state and a scene, while they are seen.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    state, scene
        Where the slices are, and what is cut.
    panes
        Where they are shown.
    host
        The widget that holds the panes; while it is hidden nothing is rendered.

    Attributes
    ----------
    presented : Signal()
        The panes are up to date.
    presentations
        How often they were brought up to date.
    """

    presented = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        state: NavigatorState,
        scene: Scene,
        panes: Mapping[str, Pane],
        host: QWidget,
    ) -> None:
        super().__init__(host)
        self._viewer, self._state, self._scene = viewer, state, scene
        self._panes, self._host = panes, host
        self._mode: Mode = "overlay"
        self._style: LabelStyle = "both"
        self._turn = 0
        self._chosen: Image | None = None
        self.presentations = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.present)
        self._flicker = QTimer(self)
        self._flicker.setInterval(round(1000 / FLICKER_HERTZ))
        self._flicker.timeout.connect(self._next_turn)
        state.pose_changed.connect(self.request)
        state.settings_changed.connect(self.request)
        state.volume_changed.connect(self.request)
        scene.touched.connect(self.request)
        viewer.layers.selection.events.active.connect(self.request)
        for pane in panes.values():
            pane.resized.connect(self.request)

    @property
    def mode(self) -> Mode:
        """How several volumes are compared."""
        return self._mode

    def set_mode(self, mode: Mode) -> None:
        """Compare volumes in another way."""
        self._mode = mode
        self._turn = 0
        self.request()

    @property
    def style(self) -> LabelStyle:
        """How labels are drawn."""
        return self._style

    def set_style(self, style: LabelStyle) -> None:
        """Draw labels in another way."""
        self._style = style
        self.request()

    @property
    def hertz(self) -> float:
        """How many volumes a second the flicker shows."""
        return 1000 / self._flicker.interval()

    def set_hertz(self, hertz: float) -> None:
        """Let the flicker be faster or slower."""
        self._flicker.setInterval(round(1000 / hertz))

    @property
    def flickering(self) -> bool:
        """Whether volumes take turns just now."""
        return self._flicker.isActive()

    @property
    def target(self) -> Image | None:
        """The image whose contrast the right button changes, where a pane shows them all.

        The viewer's active layer if it is a visible image, else the one that was so last,
        else the topmost.
        """
        images = [layer for layer, _ in self._scene.images]
        active = self._viewer.layers.selection.active
        if active in images:
            self._chosen = active
        if self._chosen not in images:
            self._chosen = images[-1] if images else None
        return self._chosen

    def target_of(self, tile: int) -> Image | None:
        """The image whose contrast is changed on one of the pictures of a pane."""
        images = [layer for layer, _ in self._scene.images]
        if self._mode == "side by side" and len(images) > 1:
            return images[tile] if tile < len(images) else None
        if self._mode == "flicker" and len(images) > 1:
            return images[self._turn % len(images)]
        return self.target

    def request(self, event: Any = None) -> None:
        """Bring the panes up to date in the next turn of the event loop."""
        if not self._timer.isActive():
            self._timer.start()

    def present(self) -> None:
        """Bring the panes up to date now, if they are seen."""
        self._timer.stop()
        if not self._host.isVisible():
            self._flicker.stop()
            return
        self._scene.refresh()
        self._follow_scan()
        tiles, others = self._tiles()
        for pane in self._panes.values():
            if pane.isVisibleTo(self._host):
                pane.present(tiles, others=others, style=self._style)
        taking_turns = self._mode == "flicker" and len(self._scene.images) > 1
        if taking_turns != self._flicker.isActive():
            (self._flicker.start if taking_turns else self._flicker.stop)()
        self.presentations += 1
        self.presented.emit()

    def sleep(self) -> None:
        """The panes are not seen any more: stop, and let go of what was cut."""
        self._timer.stop()
        self._flicker.stop()
        for pane in self._panes.values():
            pane.pictures.clear()
            pane.tiles, pane.images, pane.raster = (), [], None

    def close(self) -> None:
        """Stop for good."""
        self.sleep()
        self._state.pose_changed.disconnect(self.request)
        self._state.settings_changed.disconnect(self.request)
        self._state.volume_changed.disconnect(self.request)
        self._viewer.layers.selection.events.active.disconnect(self.request)

    def _tiles(self) -> tuple[Sequence[Tile], Sequence[Part]]:
        """What each pane shows, and what it shows in other turns."""
        images = self._scene.images
        labels = [part for _, part in self._scene.parts if not isinstance(part, ImagePart)]
        if self._mode == "overlay" or len(images) < 2:
            parts = [part for _, part in self._scene.parts]
            target = self.target
            contrast = next((part for layer, part in images if layer is target), None)
            return [Tile("", parts, contrast)], ()
        each = [Tile(part.name, [part, *labels], part) for _, part in images]
        if self._mode == "side by side":
            return each, ()
        return [each[self._turn % len(each)]], [part for _, part in images]

    def _follow_scan(self) -> None:
        """Let the state have a scan of the viewer, where no navigator sees to that."""
        source = self._state.source
        images = self._scene.images
        for layer, part in images:
            if layer is source:
                if part.volume is not self._state.volume:
                    self._state.set_volume(part.volume, layer)
                return
        if source in self._viewer.layers:
            return
        layer, part = images[-1] if images else (None, None)
        self._state.set_volume(part.volume if isinstance(part, ImagePart) else None, layer)

    def _next_turn(self) -> None:
        self._turn += 1
        self.present()
