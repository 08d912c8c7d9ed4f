"""The panel of the method ``diffusion``: tabs around one network, one scan and one patch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.pretext.observable.views import Views
from napari_mrissl.ui.clicks import MainViewClicks
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.inspector import kept_widgets
from napari_mrissl.ui.inspector.diffusion import work
from napari_mrissl.ui.inspector.diffusion.denoise_tab import DenoiseTab, offer
from napari_mrissl.ui.inspector.diffusion.guidance_tab import UNGUIDED, GuidanceTab
from napari_mrissl.ui.inspector.diffusion.probe_grid import ProbeGrid
from napari_mrissl.ui.inspector.diffusion.probe_tab import ProbeTab
from napari_mrissl.ui.inspector.diffusion.seams_tab import SeamsTab
from napari_mrissl.ui.inspector.diffusion.steps_tab import StepsTab
from napari_mrissl.ui.inspector.drawn import DrawnVectors, Kind
from napari_mrissl.ui.inspector.network_panel import NetworkPanel
from napari_mrissl.ui.inspector.observable.boxes import box
from napari_mrissl.ui.inspector.scan_layers import ScanLayers
from napari_mrissl.ui.navigator.sharing import state_of
from napari_mrissl.ui.navigator.units import position_of
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import scrolled

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_mrissl.pretext.diffusion.seams import Seams

DENOISE, STEPS, GUIDANCE, SEAMS, PROBE = range(5)
"""The tabs."""

PATCH, STRIP, FEATURES = "patch", "denoising strip", "features of the decoder"
BEHIND, SPREAD, COUNT = "seen behind noise", "spread between patches", "patches over a voxel"

RATIOS_DB = (15.0, 7.5, 0.0, -7.5, -15.0)
"""Of the grid's rows, where no table was opened."""

_KINDS = (Kind(PATCH, (1.0, 0.57, 0.17), "line", 0.9),)
_IN_3D = "A click in 3D has no depth: change to 2D to place the patch."


class DiffusionPanel(NetworkPanel):
    """A patch behind noise, its way out of noise, guidance, seams, and features.

    Attributes
    ----------
    slice_state : NavigatorState
        Whose convention pictures follow.
    boxes : DrawnVectors
        The patch's box.
    maps : ScanLayers
        Strip, seams and features.
    seen : Seen or None
        The patch that is shown.
    strip, guided, seams : object or None
        What was made last.
    looking, working : JobRunner
        Looks at the patch; and what takes longer.
    """

    read, memory = staticmethod(work.load), kept_widgets

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self._history = SettingsHistory(work.PatchChoice())
        self.seen: work.Seen | None = None
        self.strip: NDArray[np.float32] | None = None
        self.guided: work.Guided | None = None
        self.seams: Seams | None = None
        self.slice_state = state_of(viewer)
        self.boxes = DrawnVectors(viewer, _KINDS)
        self.maps = ScanLayers(viewer)
        self.denoise_tab, self.steps_tab = DenoiseTab(), StepsTab()
        self.guidance_tab, self.seams_tab = GuidanceTab(), SeamsTab()
        self.probe_tab = ProbeTab()
        self.picking = MainViewClicks(viewer, _IN_3D, self)
        self.looking, self.working = self.runner(listed=False), self.runner(listed=True)
        self._pages = (
            self.denoise_tab, self.steps_tab, self.guidance_tab, self.seams_tab, self.probe_tab,
        )  # fmt: skip
        titles = (
            ("Denoise", "A patch with noise, and what is seen behind it"),
            ("Steps", "A patch on its way out of noise"),
            ("Guidance", "What coordinates do to one noise"),
            ("Seams", "Where overlapping patches do not agree"),
            ("Probe", "Features by noise and level of the decoder"),
        )
        self.arrange(
            self._pages,
            *((scrolled(one), *words) for one, words in zip(self._pages, titles, strict=True)),
        )
        self._connect()
        self._on_convention()
        self._allow()

    @property
    def choice(self) -> work.PatchChoice:
        """Which patch is wanted."""
        return self._history.present

    @property
    def kept(self) -> Mapping[str, QWidget]:
        """What a session keeps, see `kept_widgets`."""
        return {
            "tab": self.tabs,
            "steps": self.steps_tab.count,
            "compared": self.guidance_tab.count,
            "overlap": self.seams_tab.overlap,
            "plane": self.denoise_tab.pictures.plane,
        }

    def choose(self, choice: work.PatchChoice) -> None:
        """Look at another patch; can be taken back."""
        if self._history.change(choice):
            self._on_choice()

    def set_look(self, look: Look) -> None:
        """Nothing here has colours of its own."""

    def place(self, world: tuple[float, float, float]) -> None:
        """Put the patch about a place in world RAS mm, as far as it stays in the scan."""
        loaded = self._loaded
        if loaded is None:
            return
        volume = loaded.scan.volume
        index = apply_affine(volume.to_index, np.array(world))
        if ((index < -0.5) | (index > np.array(volume.shape) - 0.5)).any():
            self.failed.emit("The click is outside of the scan that is inspected.")
            return
        middle = (np.array(volume.shape) - 1) / 2
        r, a, s = (float(one) for one in ((index - middle) * volume.spacing)[::-1])
        self.choose(work.PatchChoice(self.choice.seed, (r, a, s)))

    def go_to_patch(self) -> None:
        """Bring the main view to the middle of the patch."""
        if self.seen is not None:
            dims = self.viewer.dims
            at = position_of(self.viewer, self.seen.views.centers_world[0])
            dims.set_point(range(dims.ndim - 3, dims.ndim), at)

    def draw_strip(self) -> None:
        """Draw the patch out of noise as a layer, in the background."""
        loaded, seen = self._loaded, self.seen
        if loaded is None or seen is None:
            return
        count, guide = self.steps_tab.count.value(), self.steps_tab.guide.currentText()
        job = partial(work.walk, loaded=loaded, seen=seen, guide=guide, count=count)
        self._work(job, "denoising strip", lambda strip: self._on_strip(strip, seen.views, guide))

    def compare(self) -> None:
        """Draw the patch with each guide, in the background."""
        loaded, seen, tab = self._loaded, self.seen, self.guidance_tab
        if loaded is None or seen is None:
            return
        job = partial(
            work.compare, loaded=loaded, seen=seen, count=tab.count.value(),
            strength=tab.strength.value(),
        )  # fmt: skip
        self._work(job, "guidance", self._on_guided)

    def map_seams(self) -> None:
        """See the whole scan through patches, in the background."""
        loaded, tab = self._loaded, self.seams_tab
        if loaded is None:
            return
        step, guide = self.denoise_tab.step.value(), tab.guide.currentText()
        job = partial(work.seams, loaded=loaded, step=step, guide=guide, parts=tab.parts)
        self._work(job, "seams", lambda found: self._on_seams(found, step, guide))

    def open_table(self, folder: Path) -> None:
        """Show the table that a benchmark wrote into a folder."""
        try:
            grid = ProbeGrid.read(folder)
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        self._drop_features()
        self.probe_tab.show_grid(grid)

    def show_features(self, line: int, place: int) -> None:
        """Colours of the features of a cell on the patch, in the background."""
        loaded, seen, grid = self._loaded, self.seen, self.probe_tab.grid
        if loaded is None or seen is None or grid is None:
            return
        there = len(loaded.inspector.settings.denoiser.channels)
        name = grid.levels[place]
        level = int(name) if name.isdecimal() else place
        if level >= there:
            self.failed.emit(
                f"This network's decoder has {there} levels: the table is of another one."
            )
            return
        ratio = grid.ratios_db[line]
        job = partial(work.features, loaded=loaded, seen=seen, ratio_db=ratio, level=level)
        self._work(job, "features", lambda found: self._on_features(found, seen.views, ratio, name))

    def forget(self) -> None:
        """Stop, and clear, what is about another network or scan."""
        self.looking.cancel()
        self.working.cancel()
        self.seen = self.strip = self.guided = self.seams = None
        self.boxes.hide()
        self.maps.remove()
        for tab in self._pages:
            tab.clear()
        self._allow()

    def show_loaded(self, loaded: work.Loaded) -> None:
        """Begin with the patch that was chosen."""
        guides, schedule = loaded.inspector.guides, loaded.inspector.schedule
        self.denoise_tab.set_network(schedule, guides)
        offer(self.steps_tab.guide, guides)
        offer(self.seams_tab.guide, [name for name in guides if name in ("true", "off")])
        if not loaded.inspector.settings.guided:
            self.guidance_tab.clear(UNGUIDED)
        if self.probe_tab.grid is None or self.probe_tab.grid.dice is None:
            names = tuple(str(n) for n in range(len(loaded.inspector.settings.denoiser.channels)))
            self.probe_tab.show_grid(ProbeGrid(RATIOS_DB, names, None))
        self._allow()
        self._request()

    def let_go(self) -> None:
        """Give back layers and connections, once all jobs have ended."""
        self.picking.shut_down()
        self.slice_state.settings_changed.disconnect(self._on_convention)
        self.boxes.remove()
        self.maps.remove()
        self.seen = self.strip = self.guided = self.seams = None

    def _connect(self) -> None:
        denoise = self.denoise_tab
        denoise.changed.connect(self._request)
        denoise.new_wanted.connect(lambda: self.choose(work.PatchChoice(self.choice.seed + 1)))
        denoise.go_wanted.connect(self.go_to_patch)
        denoise.back_wanted.connect(lambda: self._in_time(forward=False))
        denoise.forward_wanted.connect(lambda: self._in_time(forward=True))
        denoise.pick_toggled.connect(self.picking.set_on)
        self.picking.picked.connect(self.place)
        self.picking.refused.connect(self.failed)
        self.steps_tab.draw_wanted.connect(self.draw_strip)
        self.steps_tab.remove_wanted.connect(self._drop_strip)
        self.guidance_tab.compare_wanted.connect(self.compare)
        self.seams_tab.map_wanted.connect(self.map_seams)
        self.seams_tab.remove_wanted.connect(self._drop_seams)
        self.probe_tab.open_wanted.connect(self._on_open)
        self.probe_tab.remove_wanted.connect(self._drop_features)
        self.probe_tab.cell_chosen.connect(self.show_features)
        self.slice_state.settings_changed.connect(self._on_convention)

    def _allow(self) -> None:
        there = self._loaded is not None
        for tab in self._pages:
            tab.setEnabled(there)
        guided = there and self._loaded.inspector.settings.guided
        self.guidance_tab.compare.setEnabled(guided)
        self.denoise_tab.show_history(back=self._history.can_undo, forward=self._history.can_redo)

    def _in_time(self, *, forward: bool) -> None:
        if self._history.redo() if forward else self._history.undo():
            self._on_choice()

    def _on_choice(self) -> None:
        """Another patch: what was made of the one before is taken away."""
        self._allow()
        self._drop_strip()
        self._drop_features()
        self.guided = None
        if self._loaded is not None and self._loaded.inspector.settings.guided:
            self.guidance_tab.clear()
        self._request()

    def _request(self) -> None:
        """Look at the patch with the chosen noise; the newest wish wins."""
        loaded = self._loaded
        if loaded is None or self._closed:
            return
        job = partial(
            work.look, loaded=loaded, choice=self.choice, step=self.denoise_tab.step.value(),
            guide=self.denoise_tab.guide.currentText(), seen=self.seen,
        )  # fmt: skip
        self.looking.start(job, title="a look at the patch", done=self._on_seen)
        self.busy_changed.emit()

    def _work(self, job: Any, title: str, done: Any) -> None:
        self.working.start(job, title=title, done=done)
        self.busy_changed.emit()

    def _on_seen(self, seen: work.Seen) -> None:
        if self._loaded is None or self._layer is None:
            return
        self.seen = seen
        self.denoise_tab.show_seen(seen)
        if self._layer in self.viewer.layers:
            self.boxes.draw({PATCH: box(seen.views.corners_world[0])}, self._layer)

    def _on_strip(self, strip: NDArray[np.float32], views: Views, guide: str) -> None:
        from napari_mrissl.pretext.diffusion.looking import affine_of

        self.strip = strip
        affine = affine_of(views, strip.shape[1:])
        self.maps.show_steps(STRIP, strip, affine, (0.0, 1.0), "denoising step")
        self.steps_tab.show_drawn(len(strip) - 1, guide)
        self.go_to_patch()
        self.viewer.dims.set_point(0, len(strip) - 1)

    def _on_guided(self, found: work.Guided) -> None:
        self.guided = found
        self.guidance_tab.show_guided(found)

    def _on_seams(self, found: Seams, step: int, guide: str) -> None:
        self.seams = found
        affine = found.lattice.affine
        spread = np.sqrt(found.variance)
        most = max(float(spread.max()), 1e-3)
        self.maps.show_values(BEHIND, found.mean, affine, (0.0, 1.0), visible=False)
        self.maps.show_values(
            COUNT, found.count, affine, (0.0, float(found.count.max())), "viridis", visible=False
        )
        self.maps.show_values(SPREAD, spread, affine, (0.0, most), "inferno", opacity=0.7)
        self.seams_tab.show_numbers(found.numbers, self._loaded.inspector.schedule, step, guide)

    def _on_features(
        self, found: NDArray[np.uint8], views: Views, ratio: float, level: str
    ) -> None:
        from napari_mrissl.pretext.diffusion.looking import affine_of

        affine = affine_of(views, found.shape[:3])
        self.maps.show_colours(FEATURES, found, affine, opacity=0.8)
        self.probe_tab.show_features(ratio, level)
        self.go_to_patch()

    def _drop_strip(self) -> None:
        self.strip = None
        self.maps.remove(STRIP)
        self.steps_tab.clear()

    def _drop_seams(self) -> None:
        self.seams = None
        self.maps.remove(BEHIND, SPREAD, COUNT)
        self.seams_tab.clear()

    def _drop_features(self) -> None:
        self.maps.remove(FEATURES)
        self.probe_tab.clear()

    def _on_open(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "The folder of a benchmark of diffusion")
        if found:
            self.open_table(Path(found))

    def _on_convention(self) -> None:
        flipped = self.slice_state.convention == "radiological"
        self.denoise_tab.pictures.set_flipped(flipped)
        self.guidance_tab.pictures.set_flipped(flipped)
