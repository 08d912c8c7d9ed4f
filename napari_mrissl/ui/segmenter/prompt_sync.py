"""Listens to the layers in which one scan's prompts are placed, and writes into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.layers import METADATA_KEY
from napari_mrissl.ui.segmenter.prompt_layers import (
    CLICKS,
    SCRIBBLES,
    ClicksLayer,
    ScribblesLayer,
    find_layer,
)
from napari_mrissl.ui.segmenter.state import PromptState, Scribble
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_CLASSES = "classes"
# A scroll through slices also redraws the layer; look for painted voxels once it rests.
_LOOK_AGAIN_MS = 80


class PromptSync(QObject):
    """The clicks' and the scribbles' layer of one scan, each made when first needed.

    Attributes
    ----------
    clicked : Signal(object)
        All clicks, after the user changed the Points layer.
    painted : Signal(object)
        A `Scribble` of what the user changed on the Labels layer.
    class_chosen : Signal(int)
        A label was chosen in the scribbles layer's own controls.
    layers_changed : Signal()
        One of the two layers was made, or left the viewer.
    """

    clicked = Signal(object)
    painted = Signal(object)
    class_chosen = Signal(int)
    layers_changed = Signal()

    def __init__(self, viewer: ViewerModel, volume: Volume) -> None:
        super().__init__()
        self._viewer = viewer
        self._volume = volume
        self.clicks: ClicksLayer | None = None
        self.scribbles: ScribblesLayer | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_LOOK_AGAIN_MS)
        self._timer.timeout.connect(self.read_scribbles)

    def adopt(self, state: PromptState) -> None:
        """Go on with the layers an earlier widget left, and put what they hold in the state."""
        for role in (CLICKS, SCRIBBLES):
            layer = find_layer(self._viewer, role, self._volume)
            classes = layer.metadata[METADATA_KEY].get(_CLASSES) if layer is not None else None
            state.classes = classes or state.classes
        if find_layer(self._viewer, CLICKS, self._volume) is not None:
            self.clicks = ClicksLayer(self._viewer, self._volume)
            state.clicks = self.clicks.read()
            self._connect_clicks(self.clicks, state)
        if find_layer(self._viewer, SCRIBBLES, self._volume) is not None:
            self.scribbles = ScribblesLayer(self._viewer, self._volume)
            state.scribble = self.scribbles.changes()
            self._connect_scribbles(self.scribbles, state)

    def need_clicks(self, state: PromptState) -> ClicksLayer:
        """The clicks' layer, made anew with what the state holds when there is none."""
        if self.clicks is None:
            self.clicks = ClicksLayer(self._viewer, self._volume)
            self.clicks.show(state.clicks, state.classes)
            self._connect_clicks(self.clicks, state)
            self.layers_changed.emit()
        return self.clicks

    def need_scribbles(self, state: PromptState) -> ScribblesLayer:
        """The scribbles' layer, made anew with what the state holds when there is none."""
        if self.scribbles is None:
            self.scribbles = ScribblesLayer(self._viewer, self._volume)
            self.scribbles.show(state.scribble)
            self._connect_scribbles(self.scribbles, state)
            self.layers_changed.emit()
        return self.scribbles

    def forget(self, layer: Layer) -> str | None:
        """A layer left the viewer; what it was called, if it was one of ours."""
        if self.clicks is not None and layer is self.clicks.layer:
            self._disconnect_clicks()
            self.layers_changed.emit()
            return "clicks"
        if self.scribbles is not None and layer is self.scribbles.layer:
            self._disconnect_scribbles()
            self.layers_changed.emit()
            return "scribbles"
        return None

    def layers(self) -> list[Layer]:
        """Those of the two layers that are there."""
        return [holder.layer for holder in (self.clicks, self.scribbles) if holder is not None]

    def set_mode(self, mode: str) -> None:
        """Give the layer that has it this mode of napari's; the other one lets the view move."""
        if self.clicks is not None:
            self.clicks.layer.mode = mode if mode == "add" else "pan_zoom"
        if self.scribbles is not None:
            self.scribbles.layer.mode = mode if mode in ("paint", "erase") else "pan_zoom"

    def show_classes(self, classes: tuple[PromptClass, ...]) -> None:
        """Give both layers the colours and names of the classes, and remember these there."""
        for holder in (self.clicks, self.scribbles):
            if holder is not None:
                holder.recolor(classes)
                holder.layer.metadata[METADATA_KEY][_CLASSES] = classes

    def use(self, one: PromptClass) -> None:
        """New clicks and scribbles get this class."""
        for holder in (self.clicks, self.scribbles):
            if holder is not None:
                holder.use(one)

    def read_scribbles(self) -> None:
        """Tell what was painted since the last look."""
        self._timer.stop()
        if self.scribbles is not None and not self.scribbles.muted:
            painted: Scribble = self.scribbles.changes()
            if len(painted):
                self.painted.emit(painted)

    def close(self) -> None:
        """Let go of the layers; they stay in the viewer, and the mouse moves the view."""
        self._timer.stop()
        self.set_mode("pan_zoom")
        self._disconnect_clicks()
        self._disconnect_scribbles()

    def _connect_clicks(self, clicks: ClicksLayer, state: PromptState) -> None:
        clicks.layer.metadata[METADATA_KEY][_CLASSES] = state.classes
        clicks.layer.events.data.connect(self._on_clicks)
        clicks.layer.events.features.connect(self._on_clicks)

    def _disconnect_clicks(self) -> None:
        if self.clicks is not None:
            self.clicks.layer.events.data.disconnect(self._on_clicks)
            self.clicks.layer.events.features.disconnect(self._on_clicks)
            self.clicks = None

    def _connect_scribbles(self, scribbles: ScribblesLayer, state: PromptState) -> None:
        scribbles.recolor(state.classes)
        scribbles.layer.metadata[METADATA_KEY][_CLASSES] = state.classes
        scribbles.layer.events.paint.connect(self._on_paint)
        scribbles.layer.events.set_data.connect(self._on_redraw)
        scribbles.layer.events.selected_label.connect(self._on_label_chosen)

    def _disconnect_scribbles(self) -> None:
        if self.scribbles is not None:
            events = self.scribbles.layer.events
            events.paint.disconnect(self._on_paint)
            events.set_data.disconnect(self._on_redraw)
            events.selected_label.disconnect(self._on_label_chosen)
            self.scribbles = None

    def _on_clicks(self, event: Any) -> None:
        # "Adding", "changing", "removing" are announced before they happen.
        before = str(getattr(event, "action", "")).endswith("ing")
        if self.clicks is not None and not self.clicks.muted and not before:
            self.clicked.emit(self.clicks.read())

    def _on_paint(self, _: Any) -> None:
        self.read_scribbles()
        # A stroke of the mouse is whole by now; one painted by a script is announced first.
        self._timer.start()

    def _on_redraw(self, _: Any) -> None:
        if self.scribbles is not None and not self.scribbles.muted:
            self._timer.start()

    def _on_label_chosen(self, _: Any) -> None:
        if self.scribbles is not None and not self.scribbles.muted:
            self.class_chosen.emit(int(self.scribbles.layer.selected_label))
