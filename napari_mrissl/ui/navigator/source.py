"""Which layer is cut: a box that keeps up with layers added, renamed, moved and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.layers import volume_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_GEOMETRY = ("data", "scale", "translate", "rotate", "shear", "affine", "units")


class SourceBox(QComboBox):
    """Chooses among the viewer's 3-D Image layers.

    Parameters
    ----------
    viewer
        The main viewer.

    Attributes
    ----------
    chosen : Signal(object, object, str)
        Layer and volume, or None and None, and a sentence for the user.
    """

    chosen = Signal(object, object, str)

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Image] = []
        self._layer: Image | None = None
        self._loaded = False
        self.setToolTip("The scan that is cut: any 3-D image layer")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self._on_list)
        self.currentIndexChanged.connect(self._on_index)

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return self._layer

    def refresh(self, preferred: object = None) -> None:
        """List the layers as they are now; the chosen one stays chosen while it exists.

        Where none was chosen yet it is the preferred one, if it is listed, else the topmost.
        """
        layers = [layer for layer in self._viewer.layers if _may_be_cut(layer)]
        self.blockSignals(True)
        self.clear()
        for layer in reversed(layers):
            self.addItem(layer.name)
        self._layers = layers[::-1]
        if self._layer in self._layers:
            self.setCurrentIndex(self._layers.index(self._layer))
            self.blockSignals(False)
            return
        self.blockSignals(False)
        first = preferred if preferred in self._layers else None
        self._choose(first or (self._layers[0] if self._layers else None))

    def choose(self, layer: Layer) -> None:
        """Choose a layer that is listed."""
        self.setCurrentIndex(self._layers.index(layer))

    def disconnect_layers(self) -> None:
        """Let go of the viewer and the layer."""
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.disconnect(self._on_list)
        self._watch(None)

    def _on_list(self, event: object = None) -> None:
        self.refresh()

    def _on_index(self, index: int) -> None:
        if 0 <= index < len(self._layers) and self._layers[index] is not self._layer:
            self._choose(self._layers[index])

    def _choose(self, layer: Image | None) -> None:
        had_layer = self._layer is not None
        self._watch(layer)
        if layer is not None:
            self.blockSignals(True)
            self.setCurrentIndex(self._layers.index(layer))
            self.blockSignals(False)
            self._read()
        elif had_layer or not self._loaded:
            self._loaded = True
            self.chosen.emit(None, None, "Open a scan: drag a file in, or File > Open Sample.")

    def _watch(self, layer: Image | None) -> None:
        if self._layer is not None:
            for name in _GEOMETRY:
                getattr(self._layer.events, name).disconnect(self._read)
        self._layer = layer
        if layer is not None:
            for name in _GEOMETRY:
                getattr(layer.events, name).connect(self._read)

    def _read(self) -> None:
        self._loaded = True
        try:
            volume = volume_of(self._layer)
        except MrisslError as error:
            self.chosen.emit(self._layer, None, str(error))
            return
        self.chosen.emit(self._layer, volume, " ".join(f"{note}." for note in volume.notes))


def _may_be_cut(layer: Layer) -> bool:
    """Whether to list a layer: refusals of 3-D ones are explained when they are chosen."""
    return isinstance(layer, Image) and layer.ndim >= 3
