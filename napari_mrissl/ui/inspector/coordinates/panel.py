"""The panel of the method ``coordinates``: tabs around one network and one scan."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.clicks import MainViewClicks
from napari_mrissl.ui.inspector import kept_widgets
from napari_mrissl.ui.inspector.coordinates import showing, work
from napari_mrissl.ui.inspector.coordinates.map_tab import MapTab
from napari_mrissl.ui.inspector.coordinates.order_tab import OrderTab
from napari_mrissl.ui.inspector.coordinates.place_tab import TEMPLATE, PlaceTab
from napari_mrissl.ui.inspector.drawn import DrawnVectors
from napari_mrissl.ui.inspector.network_panel import NetworkPanel
from napari_mrissl.ui.inspector.scan_layers import ScanLayers
from napari_mrissl.ui.inspector.source_box import is_scan
from napari_mrissl.ui.layers import add_volume, reading_of, volume_of
from napari_mrissl.ui.navigator.sharing import state_of
from napari_mrissl.ui.navigator.units import position_of
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import scrolled
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

Floats = NDArray[np.float64]

MAP, PLACE, ORDER = range(3)
"""The tabs."""

_EVENTS = ("inserted", "removed", "renamed", "reordered")
_IN_3D = "A click in 3D has no depth: change to 2D to pick a place."


class CoordinatesPanel(NetworkPanel):
    """Colours, iso-lines, arrows and folds; the same place in another scan; order and chance.

    Attributes
    ----------
    slice_state : NavigatorState
        The pose that navigator and slice views share.
    maps : ScanLayers
        Colours, iso-lines and folds.
    arrows : DrawnVectors
        Gradients.
    places : Places
        The clicked place and the one found.
    clicked : array or None
        (3,) world RAS mm.
    found : Found or None
        The same coordinate in another scan.
    finding, aligning, measuring : JobRunner
        What goes on beside loading.
    """

    read, memory = staticmethod(work.load), kept_widgets

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.clicked: Floats | None = None
        self.found: work.Found | None = None
        self._fields: dict[str, Any] = {}
        self._pair: tuple[str, str] | None = None
        self._aligned: dict[tuple[str, str], work.Aligned] = {}
        self.slice_state = state_of(viewer)
        self.maps = ScanLayers(viewer)
        self.arrows = DrawnVectors(viewer, showing.KINDS)
        self.places = showing.Places(viewer)
        self.map_tab, self.place_tab, self.order_tab = MapTab(), PlaceTab(), OrderTab()
        self.picking = MainViewClicks(viewer, _IN_3D, self)
        self.finding, self.measuring = self.runner(listed=True), self.runner(listed=True)
        self.aligning = self.runner(listed=True)
        self.arrange(
            (self.map_tab, self.place_tab, self.order_tab),
            (scrolled(self.map_tab), "Map", "Where in the body every voxel is, as drawings"),
            (scrolled(self.place_tab), "Same place", "A place, and the same one in another scan"),
            (scrolled(self.order_tab), "Order", "How coordinates rise along the body"),
        )
        self._connect()
        self._offer()
        self._allow()

    @property
    def kept(self) -> Mapping[str, QWidget]:
        """What a session keeps, see `kept_widgets`."""
        tab = self.map_tab
        return {
            "tab": self.tabs,
            "colours": tab.colours,
            "lines": tab.lines,
            "arrows": tab.arrows,
            "folds": tab.folds,
            "axis": tab.axis,
            "each": tab.each,
        }

    def set_look(self, look: Look) -> None:
        """Nothing here has colours of its own."""

    def pick(self, world: tuple[float, float, float]) -> None:
        """Look at a place in world RAS mm, and find its coordinate in the other scan."""
        loaded = self._loaded
        if loaded is None or self._layer is None:
            return
        field, place = loaded.field, np.array(world)
        inside = field.lattice.from_world(place)
        index = field.lattice.index_of(inside)
        if ((index < -0.5) | (index > np.array(field.lattice.shape) - 0.5)).any():
            self.failed.emit("The click is outside of the scan that is inspected.")
            return
        self.clicked, self.found = place, None
        mm = field.axes.to_mm(field.at(inside[None])[0])
        self.place_tab.show_click(place, mm, field.body_at(inside))
        self.places.show({"clicked": place}, self._layer)
        self._find()

    def go(self) -> None:
        """Bring navigator and main view to the place in the other scan, which comes into view."""
        found = self.found
        if found is None:
            return
        layer = self._other_layer(found.name)
        if layer is None and found.name == TEMPLATE:
            layer = add_volume(self.viewer, found.volume, name=TEMPLATE)
        self._bring(found.volume, layer, found.world)

    def go_back(self) -> None:
        """Bring navigator and main view to the place that was clicked."""
        if self.clicked is not None and self._loaded is not None:
            self._bring(self._loaded.scan.volume, self._layer, self.clicked)

    def clear_places(self) -> None:
        """Forget the click and what was found."""
        self.finding.cancel()
        self._stop_aligning()
        self.clicked = self.found = None
        self.places.remove()
        self.place_tab.clear()

    def measure(self) -> None:
        """Measure with an untrained network beside, in the background."""
        loaded = self._loaded
        if loaded is None:
            return
        self.measuring.start(
            lambda control: work.measure(control, loaded),
            title="order of coordinates",
            done=self.order_tab.show_measured,
        )
        self.busy_changed.emit()

    def forget(self) -> None:
        """Stop, and clear, what is about another network or scan."""
        self.measuring.cancel()
        self._fields.clear()
        self.clear_places()
        self.maps.remove()
        self.arrows.hide()
        self.map_tab.clear()
        self.order_tab.clear()
        self._allow()

    def show_loaded(self, loaded: work.Loaded) -> None:
        """Draw what is ticked, and say how well it is in order."""
        self.map_tab.show_loaded(loaded)
        self.order_tab.show_loaded(loaded)
        self._allow()
        self._offer()
        self._draw()

    def let_go(self) -> None:
        """Give back layers and connections, once all jobs have ended."""
        self.picking.shut_down()
        self.viewer.dims.events.ndisplay.disconnect(self._draw)
        for name in _EVENTS:
            getattr(self.viewer.layers.events, name).disconnect(self._offer)
        self.maps.remove()
        self.arrows.remove()
        self.places.remove()
        self._fields.clear()
        self.found = None

    def _connect(self) -> None:
        place = self.place_tab
        self.map_tab.changed.connect(self._draw)
        place.pick_toggled.connect(self.picking.set_on)
        place.other_changed.connect(self._find)
        place.go_wanted.connect(self.go)
        place.back_wanted.connect(self.go_back)
        place.clear_wanted.connect(self.clear_places)
        self.order_tab.measure_wanted.connect(self.measure)
        self.picking.picked.connect(self.pick)
        self.picking.refused.connect(self.failed)
        self.viewer.dims.events.ndisplay.connect(self._draw)
        for name in _EVENTS:
            getattr(self.viewer.layers.events, name).connect(self._offer)

    def _allow(self) -> None:
        there = self._loaded is not None
        for tab in (self.map_tab, self.order_tab.measure, self.place_tab.pick):
            tab.setEnabled(there)

    def _offer(self, _: object = None) -> None:
        others = [one.name for one in self.viewer.layers if one is not self._layer and is_scan(one)]
        self.place_tab.offer([name for name in reversed(others) if name != TEMPLATE])

    def _draw(self, _: object = None) -> None:
        loaded, layer = self._loaded, self._layer
        if loaded is not None and layer is not None and layer in self.viewer.layers:
            showing.draw(self.map_tab, loaded, self.maps, self.arrows, layer)

    def _other_layer(self, name: str) -> Image | None:
        named = [one for one in self.viewer.layers if one.name == name and is_scan(one)]
        return named[0] if named and named[0] is not self._layer else None

    def _find(self) -> None:
        """Find the coordinate of the click in the chosen scan, in the background."""
        loaded, clicked = self._loaded, self.clicked
        if loaded is None or clicked is None:
            return
        name = self.place_tab.other.currentText()
        layer = self._other_layer(name)
        try:
            read = work.template if layer is None else reading_of(layer)
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        coordinates = loaded.field.at(loaded.field.lattice.from_world(clicked)[None])[0]
        job = partial(
            work.find, network=loaded.network, coordinates=coordinates, name=name, read=read,
            known=dict(self._fields),
        )  # fmt: skip
        self.finding.start(job, title="the same place", done=self._on_found)
        self.busy_changed.emit()

    def _on_found(self, found: work.Found) -> None:
        if self.clicked is None or self._layer is None:
            return
        self.found = found
        self._fields[found.volume.identity] = found.field
        self.place_tab.show_found(found)
        self.places.show({"clicked": self.clicked, f"in {found.name}": found.world}, self._layer)
        self._compare(found)

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        self._stop_aligning()
        super().cancel()

    def _stop_aligning(self) -> None:
        self._pair = None
        self.aligning.cancel()

    def _compare(self, found: work.Found) -> None:
        """Say how far off it is, once both scans are aligned; that is done once for a pair."""
        fixed, moving = self._loaded.scan.volume, found.volume
        pair = (fixed.identity, moving.identity)
        if pair in self._aligned:
            self._on_aligned(self._aligned[pair])
            return
        if self.aligning.running and self._pair == pair:
            return
        self._pair = pair
        job = partial(work.align, fixed=fixed, moving=moving)
        self.aligning.start(job, title="alignment of two scans", done=self._on_aligned)
        self.busy_changed.emit()

    def _on_aligned(self, aligned: work.Aligned) -> None:
        self._aligned[aligned.pair] = aligned
        found, clicked = self.found, self.clicked
        if self._loaded is None or found is None or clicked is None:
            return
        if aligned.pair == (self._loaded.scan.volume.identity, found.volume.identity):
            self.place_tab.show_error(found, clicked, aligned)

    def _bring(self, volume: Volume, layer: Image | None, world: Floats) -> None:
        if layer is not None:
            layer.visible = True
            volume = volume_of(layer) if layer is self._layer else volume
        self.slice_state.set_volume(volume, layer)
        self.slice_state.go_to(world)
        dims = self.viewer.dims
        dims.set_point(range(dims.ndim - 3, dims.ndim), position_of(self.viewer, world))
