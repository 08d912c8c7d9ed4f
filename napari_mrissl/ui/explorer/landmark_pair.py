"""Landmarks of two scans by their features: a pair of layers of points, to be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_mrissl.registration.correspondence import Landmarks
from napari_mrissl.ui.explorer import work
from napari_mrissl.ui.explorer.explored import Explored
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.job_group import JobGroup
from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, to_napari
from napari_mrissl.ui.navigator.units import matching_units
from napari_mrissl.ui.segmenter.prompt_layers import ROLE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Points

LANDMARKS = "landmarks"
"""Role of our layers."""

NUMBER = "number"
"""The feature that says which points correspond."""

Floats = NDArray[np.float64]

_SIZE_MM = 4.0
_COLORS = ("#ffd43b", "#3bc9db")


class Shown(NamedTuple):
    """Landmarks of two scans.

    Attributes
    ----------
    scans
        Names of the scans' layers.
    units
        Of the layers.
    found
        The landmarks; those of the same row correspond.
    """

    scans: tuple[str, str]
    units: tuple[str, ...]
    found: Landmarks


class LandmarkPair(QObject):
    """Finds landmarks in the background, and shows those of each scan as a layer.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    jobs
        Runs the work.

    Attributes
    ----------
    history : SettingsHistory
        What is shown; None is nothing.
    layers : list of Points
        Of the one and the other scan, while they are shown.
    changed : Signal()
        Others are shown.
    started : Signal()
        Something began in the background.
    said, failed : Signal(str)
        A sentence for the user.
    """

    changed = Signal()
    started = Signal()
    said = Signal(str)
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, jobs: JobGroup, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._runner = jobs.runner(listed=True)
        self.history: SettingsHistory[Shown | None] = SettingsHistory(None)
        self.layers: list[Points] = []

    def find(self, explored: list[Explored]) -> None:
        """Find landmarks of the first two scans."""
        if len(explored) < 2:
            self.failed.emit("Compute features of two scans first.")
            return
        one, other = explored[:2]
        names = (one.name, other.name)
        units = matching_units(one.layer)
        self._runner.start(
            lambda control: work.landmarks(control, one, other),
            title=f"Landmarks of {names[0]} and {names[1]}",
            done=lambda found: self._on_found(Shown(names, units, found)),
        )
        self.started.emit()

    def undo(self) -> None:
        """Back to the landmarks before, or to none."""
        if self.history.undo():
            self._show()

    def let_go(self) -> None:
        """The layers stay, as any of the user's."""
        self.layers.clear()

    def _on_found(self, shown: Shown) -> None:
        self.history.change(shown)
        self._show()
        self.said.emit(
            f"{len(shown.found)} landmarks; the same number stands for the same place in both."
        )

    def _show(self) -> None:
        for layer in self.layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.layers = []
        shown = self.history.present
        if shown is not None:
            active = self._viewer.layers.selection.active
            self.layers = [self._added(shown, side) for side in (0, 1)]
            if active is not None:
                self._viewer.layers.selection.active = active
        self.changed.emit()

    def _added(self, shown: Shown, side: int) -> Points:
        found = shown.found
        layer = landmarks_layer(
            found.points[:, side],
            landmarks_name(shown.scans[side]),
            side,
            shown.units,
            confidence=found.confidence,
        )
        self._viewer.add_layer(layer)
        return layer


def landmarks_name(scan: str) -> str:
    """What a layer of a scan's landmarks is called."""
    return f"landmarks of {scan}"


def landmarks_layer(
    places: Floats, name: str, side: int, units: tuple[str, ...], **features: Any
) -> Points:
    """A layer of numbered crosses, not yet in a viewer.

    Parameters
    ----------
    places
        (N, 3) RAS mm.
    name
        Of the layer.
    side
        0 or 1: the one or the other scan, each with its colour.
    units
        Of the layer.
    features
        More numbers of each landmark, by name.
    """
    from napari.layers import Points

    return Points(
        to_napari(places),
        ndim=3,
        name=name,
        size=_SIZE_MM,
        symbol="cross",
        face_color=_COLORS[side],
        border_color="black",
        projection_mode="rescale_spherical",
        features={NUMBER: np.arange(1, len(places) + 1), **features},
        feature_defaults={NUMBER: len(places) + 1, **dict.fromkeys(features, np.nan)},
        text=numbers_as_text(side),
        units=units,
        axis_labels=AXIS_LABELS,
        metadata={METADATA_KEY: {ROLE: LANDMARKS}},
    )


def numbers_as_text(side: int) -> dict[str, Any]:
    """The numbers beside the points of the one (0) or the other scan (1), as napari takes it."""
    # Beside the cross: upon it, in its colour, a number cannot be read.
    return {
        "string": f"{{{NUMBER}}}",
        "size": 11,
        "color": _COLORS[side],
        "anchor": "lower_left",
        "translation": (0.0, 1.0, 1.0),
    }
