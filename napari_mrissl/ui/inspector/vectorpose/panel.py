"""The panel of VectorPOSE: tabs around one network, one scan and one crop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QWidget

from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.vectorpose.views import DIRECTIONS, RestorationView, Sweep
from napari_mrissl.ui.clicks import MainViewClicks
from napari_mrissl.ui.inspector.network_panel import NetworkPanel
from napari_mrissl.ui.inspector.vectorpose import hints, memory, work
from napari_mrissl.ui.inspector.vectorpose.arrow_tab import ArrowTab
from napari_mrissl.ui.inspector.vectorpose.arrows import ArrowLayers
from napari_mrissl.ui.inspector.vectorpose.boundary_tab import BoundaryTab
from napari_mrissl.ui.inspector.vectorpose.choice import CropChoice, offsets_of, world_at
from napari_mrissl.ui.inspector.vectorpose.chosen import ChosenCrop
from napari_mrissl.ui.inspector.vectorpose.control_tab import ControlTab
from napari_mrissl.ui.inspector.vectorpose.crop_tab import CropTab
from napari_mrissl.ui.inspector.vectorpose.position_tab import PositionTab
from napari_mrissl.ui.inspector.work import list_runs
from napari_mrissl.ui.navigator.units import position_of
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import scrolled

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

CROP, ARROWS, POSITION, BOUNDARIES, CONTROLS = range(5)
"""The tabs."""

_IN_3D = "A click in 3D has no depth: switch to 2D to place the crop."


class VectorPosePanel(NetworkPanel):
    """Crop picker, arrows, sweeps, boundaries and null controls of a VectorPOSE network.

    Attributes
    ----------
    chosen : ChosenCrop
        The crop that is wanted, and those before it.
    seen : CropSeen or None
        The crop that is shown.
    layers : ArrowLayers
        What is drawn in the viewer.
    """

    read, memory = staticmethod(work.load), memory

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self._draws = 0
        self._spoils = 0
        self._done: dict[str, object] = {}
        self.seen: work.CropSeen | None = None
        self.sweep: Sweep | None = None
        self.looking = self.runner(listed=False)
        self.measuring = self.runner(listed=True)
        self.listing = self.runner(listed=False)
        self.chosen = ChosenCrop(self)
        self.layers = ArrowLayers(viewer)
        self.picking = MainViewClicks(viewer, _IN_3D, self)
        self.crop_tab = CropTab(viewer)
        self.arrow_tab = ArrowTab()
        self.position_tab = PositionTab()
        self.boundary_tab = BoundaryTab()
        self.control_tab = ControlTab()
        self.arrange(
            (self.crop_tab, self.position_tab, self.boundary_tab, self.control_tab),
            (scrolled(self.crop_tab), "Crop", "Where the crop is, and what the network says"),
            (self.arrow_tab, "Arrows", "The nine arrows in numbers"),
            (self.position_tab, "Position", "The crop slides through the scan"),
            (scrolled(self.boundary_tab), "Boundaries", "The crop spoiled and restored"),
            (self.control_tab, "Controls", "Many crops, beside predictors that know nothing"),
        )
        self._connect()
        self._allow()

    def open(self, run: Path, layer: Image | None) -> None:
        """Load the weights of a run in the background, and look at a scan with them."""
        super().open(run, layer)
        self.listing.start(list_runs, title="list of runs", done=self.control_tab.list_runs)

    def resample(self) -> None:
        """Another random crop, as in training."""
        loaded = self._loaded
        if loaded is None:
            return
        self._draws += 1
        seed = self._draws
        self._start_looking(
            lambda c: work.resample(c, loaded, seed),
            lambda record: self.chosen.choose(CropChoice.of(record)),
        )

    def measure(self) -> None:
        """Measure the network and the null controls on random crops."""
        loaded = self._loaded
        if loaded is None:
            return
        tab = self.control_tab
        count, seed, other = tab.count.value(), tab.seed.value(), tab.shuffled_run
        self.said.emit("")
        self.measuring.start(
            lambda c: work.measure(c, loaded, count, seed, other),
            title="measuring crops",
            done=tab.show_report,
        )
        self.busy_changed.emit()

    def save_report(self, folder: str) -> None:
        """Write the measured numbers, a table and figures into a new folder."""
        report = self.control_tab.report
        if report is None:
            return
        self.measuring.start(
            lambda _: work.save(report, Path(folder)),
            title="report",
            done=lambda count: self.said.emit(f"{count} files were written."),
            queue=True,
        )
        self.busy_changed.emit()

    def go_to_crop(self) -> None:
        """Bring the main view to the middle of the crop."""
        dims = self.viewer.dims
        if self.seen is not None and dims.ndim >= 3:
            center = self.seen.record.to_world(self.seen.record.center_mm)
            place = position_of(self.viewer, center)
            dims.set_point(range(dims.ndim - 3, dims.ndim), place)

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        self.position_tab.set_look(look)

    def forget(self) -> None:
        """Stop, and clear, what is about another network or scan."""
        self.looking.cancel()
        self.measuring.cancel()
        self.seen = self.sweep = None
        self._done.clear()
        self.layers.clear()
        self.crop_tab.clear()
        self.arrow_tab.show_view(None)
        self.position_tab.clear()
        self.boundary_tab.clear()
        self.control_tab.show_report(None)
        self._allow()

    def show_loaded(self, loaded: work.Loaded) -> None:
        """Begin with the crop in the middle, or the one that was chosen before."""
        volume = loaded.scan.volume
        if self.chosen.present is None:
            self.chosen.begin(CropChoice.middle(volume))
        self.crop_tab.set_extent(np.array(volume.shape) * volume.spacing / 2)
        self._allow()
        self._say_what_is_missing(loaded.network)
        self._on_chosen()

    def let_go(self) -> None:
        """Give back layers and connections, once all jobs have ended."""
        self.chosen.close()
        self.crop_tab.view.shut_down()
        self.picking.shut_down()
        self.layers.remove()
        self.position_tab.shut_down()
        self.seen = self.sweep = None
        self.boundary_tab.view = None
        self.control_tab.report = None
        self._done.clear()

    def _connect(self) -> None:
        crop = self.crop_tab
        crop.edited.connect(self._on_edited)
        crop.pick_toggled.connect(self.picking.set_on)
        crop.resample_wanted.connect(self.resample)
        crop.show_wanted.connect(self.go_to_crop)
        crop.back_wanted.connect(self.chosen.step_back)
        crop.forward_wanted.connect(self.chosen.step_forward)
        self.chosen.changed.connect(self._on_chosen)
        self.chosen.history_changed.connect(self._show_history)
        self.picking.picked.connect(self._on_picked)
        self.picking.refused.connect(self.failed)
        self.position_tab.direction_changed.connect(self._request)
        self.boundary_tab.spoil_wanted.connect(self._on_spoil)
        self.control_tab.measure_wanted.connect(self.measure)
        self.control_tab.save_wanted.connect(self.save_report)
        self.tabs.currentChanged.connect(lambda _: self._request())

    def _allow(self) -> None:
        there = self._loaded is not None
        for tab in (self.crop_tab, self.control_tab.measure, self.position_tab.direction):
            tab.setEnabled(there)
        self._show_history()

    def _on_edited(self) -> None:
        loaded = self._loaded
        if loaded is None:
            return
        tab = self.crop_tab
        r, a, s = (float(v) for v in world_at(loaded.scan.volume, tab.offsets))
        self.chosen.drag(CropChoice((r, a, s), tab.scale.value, tab.element))

    def _on_picked(self, world: tuple[float, float, float]) -> None:
        before = self.chosen.present
        if before is not None:
            self.chosen.choose(CropChoice(world, before.scale, before.element))

    def _on_chosen(self, show: bool = True) -> None:
        loaded, choice = self._loaded, self.chosen.present
        if loaded is not None and choice is not None and show:
            offsets = offsets_of(loaded.scan.volume, np.array(choice.center))
            self.crop_tab.show_choice(offsets, choice.scale, choice.element)
        self._show_history()
        self._request()

    def _say_what_is_missing(self, network: work.Network) -> None:
        if not network.settings.vectors:
            self.said.emit(hints.NO_VECTORS)
            self.arrow_tab.show_view(None, hints.NO_VECTORS)
            self.position_tab.clear(hints.NO_VECTORS)
        elif not network.settings.restores:
            self.said.emit(hints.NO_RESTORATION)
            self.boundary_tab.clear(hints.NO_RESTORATION)

    def _show_history(self) -> None:
        self.crop_tab.show_history(
            back=self.chosen.can_step_back, forward=self.chosen.can_step_forward
        )

    def _request(self) -> None:
        """Have done what the tab in front shows and is not done for this crop."""
        loaded, choice = self._loaded, self.chosen.present
        if loaded is None or choice is None or self._closed:
            return
        settings = loaded.network.settings
        record = choice.record(loaded.scan, settings.crop)
        if self._done.get("crop") != record:
            self._start_looking(lambda c: work.look(c, loaded, record), self._on_seen)
            return
        tab = self.tabs.currentIndex()
        if tab == POSITION and settings.vectors:
            direction = self.position_tab.chosen
            if self._done.get("sweep") != (record, direction):
                self._start_looking(
                    lambda c: (record, work.sweep(c, loaded, record, direction)), self._on_swept
                )
        elif tab == BOUNDARIES and settings.restores:
            seed = self._spoils
            if self._done.get("restored") != (record, seed):
                self._start_looking(
                    lambda c: (seed, work.restore(c, loaded, record, seed)), self._on_restored
                )

    def _start_looking(self, job: Any, done: Any) -> None:
        self.looking.start(job, title="a look at the crop", done=done)
        self.busy_changed.emit()

    def _on_seen(self, seen: work.CropSeen) -> None:
        loaded, layer = self._loaded, self._layer
        if loaded is None or layer is None or layer not in self.viewer.layers:
            return
        self.seen = seen
        self._done["crop"] = seen.record
        self.layers.show(seen, layer)
        self.crop_tab.show_seen(seen, loaded.chance, hints.crop_hints(seen, loaded))
        self.arrow_tab.show_view(seen.view, hints.NO_VECTORS)
        self._request()

    def _on_swept(self, found: tuple[CropRecord, Sweep]) -> None:
        record, self.sweep = found
        self._done["sweep"] = (record, self.sweep.direction)
        number = DIRECTIONS.index(self.sweep.direction)
        at = float(record.center_mm[number] - record.scan_center_mm[number])
        self.position_tab.show_sweep(self.sweep, at)

    def _on_restored(self, found: tuple[int, RestorationView]) -> None:
        seed, view = found
        self._done["restored"] = (view.record, seed)
        self.boundary_tab.show_view(view)

    def _on_spoil(self) -> None:
        self._spoils += 1
        self._request()
