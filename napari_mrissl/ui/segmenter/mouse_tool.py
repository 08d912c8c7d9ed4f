"""One tool for the mouse: in the main view, on the slice, and as the panel's lit button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.session import ScanSession
from napari_mrissl.ui.segmenter.slice_link import SliceLink

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

LOOK, CLICK, SCRIBBLE, ERASE = "pan_zoom", "add", "paint", "erase"
# What each of napari's modes that place something is here.
_TOOLS = {"add": CLICK, "paint": SCRIBBLE, "fill": SCRIBBLE, "polygon": SCRIBBLE, "erase": ERASE}


class MouseTool(QObject):
    """Keeps the prompt layers' modes, the active layer and the chosen tool the same.

    A tool is chosen in the panel, or in napari's own list of layers and controls, which
    is followed. It goes along to another scan, and to a prompt layer made anew. While
    the main view is in 3D its prompt layers rest: there napari places points at a depth
    that nobody sees. On the slice the tool stays.

    Attributes
    ----------
    changed : Signal(str)
        Another tool is in use: a mode of napari's Points or Labels layers.
    """

    changed = Signal(str)

    def __init__(self, viewer: ViewerModel, controller: Controller, slice_link: SliceLink) -> None:
        super().__init__(controller)
        self._viewer = viewer
        self._controller = controller
        self._slice_link = slice_link
        self.tool = LOOK
        self._session: ScanSession | None = None
        self._heard: list[Layer] = []
        self._again = False
        self._deleted = False
        # Layers that are made and deleted change what is active several times in between.
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(0)
        self._settling.timeout.connect(self._settle)
        controller.session_changed.connect(self._on_session)
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        viewer.layers.selection.events.active.connect(self._on_hand)

    def use(self, tool: str) -> None:
        """Choose a tool; in 3D without a slice of this scan the main view becomes 2D."""
        if self._controller.session is None:
            return
        self._slice_link.find()
        self._take(tool)
        if tool != LOOK and self._viewer.dims.ndisplay == 3 and self._slice_link.pose is None:
            self._viewer.dims.ndisplay = 2
        self._apply()
        # What all this set off is settled; what is done by hand from now on counts.
        self._settling.stop()
        self._again = self._deleted = False

    def close(self) -> None:
        """Stop following the viewer."""
        self._settling.stop()
        self._controller.session_changed.disconnect(self._on_session)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self._viewer.layers.selection.events.active.disconnect(self._on_hand)
        if self._session is not None:
            self._session.sync.layers_changed.disconnect(self._on_layers)
            self._session = None
        self._listen()

    def _take(self, tool: str) -> None:
        self.tool = tool
        self._slice_link.use(tool)
        self.changed.emit(tool)

    def _apply(self) -> None:
        """Give the tool's layer the mouse of the main view; the other one rests."""
        session, tool = self._controller.session, self.tool
        if session is None:
            return
        if tool != LOOK:
            holder = session.need_clicks() if tool == CLICK else session.need_scribbles()
            holder.layer.visible = True
            self._viewer.layers.selection.active = holder.layer
        session.sync.set_mode(tool if self._viewer.dims.ndisplay == 2 else LOOK)

    def _settle(self) -> None:
        again, self._again = self._again, False
        if self._session is None:
            if self.tool != LOOK:
                self._take(LOOK)
        elif again and self.tool != LOOK:
            self._apply()
        else:
            self._follow()

    def _follow(self) -> None:
        """Take over what was chosen in napari's own list of layers and controls."""
        deleted, self._deleted = self._deleted, False
        active = self._viewer.layers.selection.active
        solid = self._viewer.dims.ndisplay == 3
        tool = _TOOLS.get(str(active.mode), LOOK) if active in self._heard else LOOK
        if tool == LOOK and self._slice_link.pose is not None and (solid or deleted):
            # In use on the slice, which shows prompts in 3D and makes a deleted layer anew.
            return
        if tool == LOOK and solid and active is not None and active is self._layer():
            return
        if tool != self.tool:
            self._take(tool)
        if solid and tool != LOOK:
            self._rest()

    def _rest(self) -> None:
        for layer in self._heard:
            if str(layer.mode) in _TOOLS:
                layer.mode = LOOK

    def _layer(self) -> Layer | None:
        """The layer that the tool in use places prompts in, if it is there."""
        if self._session is None or self.tool == LOOK:
            return None
        sync = self._session.sync
        holder = sync.clicks if self.tool == CLICK else sync.scribbles
        return holder.layer if holder is not None else None

    def _listen(self) -> None:
        """Hear of the modes of the current scan's prompt layers, and of no others."""
        for layer in self._heard:
            layer.events.mode.disconnect(self._on_hand)
        self._heard = self._session.sync.layers() if self._session is not None else []
        for layer in self._heard:
            layer.events.mode.connect(self._on_hand)

    def _on_session(self) -> None:
        before, self._session = self._session, self._controller.session
        if before is self._session:
            return
        self._listen()
        if before is not None:
            before.sync.layers_changed.disconnect(self._on_layers)
            before.sync.set_mode(LOOK)
        if self._session is not None:
            self._session.sync.layers_changed.connect(self._on_layers)
        self._again = True
        self._settling.start()

    def _on_layers(self) -> None:
        self._listen()
        there = self._layer() is not None
        self._again = self._again or there
        self._deleted = not there
        self._settling.start()

    def _on_ndisplay(self, _: Any) -> None:
        if self._viewer.dims.ndisplay == 3:
            self._rest()
        elif self.tool != LOOK:
            self._apply()

    def _on_hand(self, _: Any) -> None:
        self._settling.start()
