"""Layers that show what a registration did: made in the background, each on and off by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors
from qtpy.QtCore import QObject, Signal

from napari_mrissl.ui.inspector.scan_layers import INSPECTED, ScanLayers
from napari_mrissl.ui.jobs import Control, JobRunner
from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, UNITS, to_napari
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.registration import pictures
from napari_mrissl.ui.registration.colour_scale import Scale
from napari_mrissl.ui.registration.pictures import Arrows, Part
from napari_mrissl.ui.registration.result import Result
from napari_mrissl.ui.segmenter.prompt_layers import ROLE

if TYPE_CHECKING:
    from napari.components import ViewerModel

CHECKERBOARD, GRID = "checkerboard", "deformed grid"
ARROWS, JACOBIAN = "displacement", "Jacobian determinant"
NAMES = (CHECKERBOARD, GRID, ARROWS, JACOBIAN)
_LENGTHS, _MAP = "plasma", "PiYG"
_SHOWN_MM = 0.05
"""The least upper end of the arrows' colours."""


class Overlays(QObject):
    """Makes and removes them; one is made at a time.

    Attributes
    ----------
    jobs : JobRunner
        In which they are computed.
    shown : Signal(str)
        The name of one that is there now.
    gone : Signal(str)
        The name of one that the user deleted.
    scales : dict of Scale
        What colours stand for, by the names of the layers that have any.
    """

    shown = Signal(str)
    gone = Signal(str)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers = ScanLayers(viewer)
        self._wanted: dict[str, object] = {}
        self.arrows: Vectors | None = None
        self.scales: dict[str, Scale] = {}
        self.jobs = JobRunner(self, listed=False)
        viewer.layers.events.removed.connect(self._on_removed)

    def layer(self, name: str) -> Any:
        """The layer of this name, or None while it is not shown."""
        if name == ARROWS:
            found = self.arrows
            return found if found is not None and found in self._viewer.layers else None
        return self._layers.layers[name] if self._layers.shown(name) else None

    def show(
        self, name: str, result: Result, *, part: Part, step_mm: float, through: int = 2
    ) -> None:
        """Make one of `NAMES`, or make it anew.

        Parameters
        ----------
        name
            Of the layer.
        result
            What is shown.
        part
            What of its transform.
        step_mm
            Side of the checkerboard's cubes, or distance of lines or arrows.
        through
            World axis (R, A, S) that the main view looks along.
        """
        works: dict[str, Callable[[Control], Any]] = {
            CHECKERBOARD: lambda c: pictures.checkerboard(result, step_mm, c.cancelled),
            GRID: lambda c: pictures.deformed_grid(result, part, step_mm, through, c.cancelled),
            ARROWS: lambda _: pictures.arrows(result, part, step_mm),
            JACOBIAN: lambda _: pictures.determinants(result, part),
        }
        # What was asked for last counts, whatever waits before it.
        asked = self._wanted[name] = object()
        self.jobs.start(
            works[name],
            title=name,
            done=partial(self._put, name, asked, result),
            queue=True,
        )

    def hide(self, *names: str) -> None:
        """Take layers out of the viewer; all, if none are named."""
        for name in names or NAMES:
            self._wanted.pop(name, None)
            self.scales.pop(name, None)
            if name == ARROWS:
                self.hide_arrows()
            else:
                self._layers.remove(name)

    def close(self) -> None:
        """End all work; layers stay."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.jobs.close()
        self._wanted.clear()
        self.arrows = None

    def _put(self, name: str, asked: object, result: Result, found: Any) -> None:
        if self._wanted.get(name) is not asked:
            return
        affine = result.scans.fixed.affine
        show = self._layers.show_values
        if name == ARROWS:
            self._put_arrows(found)
        elif name == CHECKERBOARD:
            show(name, found, affine, (0.0, 1.0))
        elif name == GRID:
            show(name, found, affine, (0.0, 1.0), "yellow", blending="additive", opacity=0.6)
        else:
            show(name, found, affine, (0.0, 2.0), _MAP, opacity=0.6)
            self.layer(name).colorbar.visible = True
            self.scales[name] = Scale(
                "Volume in the moving scan over that in the fixed one",
                _MAP,
                ("0 or less: folds", "1: kept", "2 or more"),
            )
        self.shown.emit(name)

    def _put_arrows(self, found: Arrows) -> None:
        # In units of the lattice, whose planes napari then shows one at a time.
        starts, origin, step = to_napari(found.starts), to_napari(found.origin), found.step_mm
        data = np.stack([(starts - origin) / step, to_napari(found.steps) / step], axis=1)
        lengths = np.linalg.norm(found.steps, axis=1)
        limits = (0.0, max(float(lengths.max(initial=0.0)), _SHOWN_MM))
        self.hide_arrows()
        self.arrows = Vectors(
            data,
            ndim=3,
            name=ARROWS,
            features={"mm": lengths},
            edge_color="mm",
            edge_colormap=_LENGTHS,
            edge_contrast_limits=limits,
            edge_width=0.12,
            vector_style="arrow",
            opacity=1.0,
            scale=(step,) * 3,
            translate=origin,
            units=UNITS,
            axis_labels=AXIS_LABELS,
            metadata={METADATA_KEY: {ROLE: INSPECTED}},
        )
        attach(self._viewer, [self.arrows])
        self.scales[ARROWS] = Scale(
            f"Length in mm of {len(lengths)} arrows, one every {step:.3g} mm",
            _LENGTHS,
            ("0 mm", f"{limits[1] / 2:.2g} mm", f"{limits[1]:.2g} mm"),
        )

    def hide_arrows(self) -> None:
        """Take the arrows away; data of another number could not be replaced in place."""
        shown, self.arrows = self.layer(ARROWS), None
        if shown is not None:
            self._viewer.layers.remove(shown)

    def _on_removed(self, event: Any) -> None:
        known = {**self._layers.layers, ARROWS: self.arrows}
        name = next((name for name, layer in known.items() if layer is event.value), None)
        if name is not None:
            self.hide(name)
            self.gone.emit(name)
