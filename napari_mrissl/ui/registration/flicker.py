"""The fixed and the moved scan in turn, in one place: what is not aligned jumps."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


class Flicker(QObject):
    """Shows one of two layers at a time, by their opacity.

    Attributes
    ----------
    turned : Signal(str)
        The name of the layer that is seen now; ``""`` when it has stopped.
    """

    turned = Signal(str)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[weakref.ref[Layer]] = []
        self._before: list[tuple[float, bool]] = []
        self._seen = 0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._turn)

    @property
    def on(self) -> bool:
        """Whether it goes on."""
        return self._timer.isActive()

    def start(self, fixed: Layer, moved: Layer, seconds: float) -> None:
        """Begin with the fixed scan; each is seen for so long."""
        self.stop()
        self._layers = [weakref.ref(fixed), weakref.ref(moved)]
        self._before = [(one.opacity, one.visible) for one in (fixed, moved)]
        for layer in (fixed, moved):
            layer.visible = True
        self._seen = 1
        self.set_seconds(seconds)
        self._timer.start()
        self._turn()

    def set_seconds(self, seconds: float) -> None:
        """How long each is seen."""
        self._timer.setInterval(max(1, round(1000 * seconds)))

    def stop(self) -> None:
        """Leave both layers as they were found."""
        if not self.on:
            return
        self._timer.stop()
        for held, (opacity, visible) in zip(self._layers, self._before, strict=True):
            layer = held()
            if layer is not None:
                layer.opacity, layer.visible = opacity, visible
        self._layers = []
        self.turned.emit("")

    def _turn(self) -> None:
        layers = [held() for held in self._layers]
        shown = [layer for layer in layers if layer is not None and layer in self._viewer.layers]
        if len(shown) < 2:
            self.stop()
            return
        self._seen = 1 - self._seen
        for number, layer in enumerate(shown):
            # By opacity: neither is sliced anew.
            layer.opacity = float(number == self._seen)
        self.turned.emit(shown[self._seen].name)
