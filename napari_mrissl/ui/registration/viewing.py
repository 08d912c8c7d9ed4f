"""What is seen of the present result: its layers, overlays, flicker and linked cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_mrissl.ui.explorer.explored import shows
from napari_mrissl.ui.inspector.source_box import is_scan
from napari_mrissl.ui.registration.flicker import Flicker
from napari_mrissl.ui.registration.linked_cursor import LinkedCursor
from napari_mrissl.ui.registration.overlays import CHECKERBOARD, GRID, NAMES, Overlays
from napari_mrissl.ui.registration.result import Result
from napari_mrissl.ui.registration.result_layers import ResultLayers
from napari_mrissl.ui.registration.views_tab import ViewsTab

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class Viewing(QObject):
    """Shows results in a viewer as its tab says.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    tab
        Switches of the views.

    Attributes
    ----------
    layers : ResultLayers
        Moved scan and labels.
    overlays, flicker, cursor
        The views.
    refused : Signal(str)
        Why a view cannot be had.
    """

    refused = Signal(str)

    def __init__(self, viewer: ViewerModel, tab: ViewsTab, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._tab = viewer, tab
        self._result: Result | None = None
        self.layers = ResultLayers(viewer)
        self.overlays = Overlays(viewer, self)
        self.flicker = Flicker(viewer, self)
        self.cursor = LinkedCursor(viewer, self)
        tab.flicker_wanted.connect(self._on_flicker)
        tab.pace_changed.connect(self.flicker.set_seconds)
        tab.view_wanted.connect(self._on_view)
        tab.part_changed.connect(lambda: self._draw(*NAMES))
        tab.cursor_wanted.connect(self._on_cursor)
        self.overlays.shown.connect(
            lambda name: tab.show_scale(name, self.overlays.scales.get(name))
        )
        self.overlays.gone.connect(lambda name: tab.boxes[name].setChecked(False))
        self.cursor.gone.connect(lambda: tab.cursor.setChecked(False))
        self.flicker.turned.connect(tab.show_seen)
        self.cursor.moved.connect(tab.show_places)
        viewer.dims.events.order.connect(self._on_order)

    def present(self, result: Result | None) -> None:
        """Show a result instead of the one before; None for nothing."""
        self.flicker.stop()
        self._result = result
        active = self._viewer.layers.selection.active
        self.layers.show(result)
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active
        self._tab.present(result)
        self._draw(*NAMES)
        if result is not None and self._tab.cursor.isChecked():
            self.cursor.start(result.found.transform)

    def shut_down(self) -> None:
        """Leave the viewer as it was found, but for the result."""
        self.flicker.stop()
        self.cursor.stop()
        self._viewer.dims.events.order.disconnect(self._on_order)
        self.overlays.hide()
        self.overlays.close()
        self.layers.forget()
        self._result = None

    def _on_flicker(self, on: bool) -> None:
        if not on:
            self.flicker.stop()
            return
        result, fixed = self._result, self._fixed_layer()
        if result is None or fixed is None:
            self._tab.show_seen("")
            self.refused.emit(
                "The fixed scan is not open as it was registered: put it back, or register again."
            )
            return
        if not self.layers.shown:
            self.layers.show(result)
        assert self.layers.moved is not None  # noqa: S101 - just shown
        self.flicker.start(fixed, self.layers.moved, float(self._tab.pace.value()))

    def _fixed_layer(self) -> Image | None:
        if self._result is None:
            return None
        volume = self._result.scans.fixed
        layers = (layer for layer in self._viewer.layers if is_scan(layer))
        return next((layer for layer in layers if shows(layer, volume)), None)

    def _on_view(self, name: str, on: bool) -> None:
        if not on:
            self.overlays.hide(name)
            self._tab.show_scale(name, None)
            return
        if name == CHECKERBOARD:
            # It would be drawn over what is to be compared.
            self.flicker.stop()
        self._draw(name)

    def _on_cursor(self, on: bool) -> None:
        if on and self._result is not None:
            self.cursor.start(self._result.found.transform)
        else:
            self.cursor.stop()
            self._tab.hide_places()

    def _on_order(self, _: Any = None) -> None:
        # Lines that run through the picture are left out, and those are others now.
        self._draw(GRID)

    def _draw(self, *names: str) -> None:
        result = self._result
        if result is None:
            return
        through = 2 - int(self._viewer.dims.order[-3] - (self._viewer.dims.ndim - 3))
        for name in names:
            if self._tab.boxes[name].isChecked():
                self.overlays.show(
                    name,
                    result,
                    part=self._tab.chosen_part,
                    step_mm=self._tab.measure(name),
                    through=max(0, min(through, 2)),
                )
