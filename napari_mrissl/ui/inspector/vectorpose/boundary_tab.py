"""The tab "Boundaries": a crop spoiled and restored, and what counts as a boundary."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QSlider, QWidget

from napari_mrissl.pretext.settings import EdgeSettings
from napari_mrissl.pretext.vectorpose.views import RestorationView
from napari_mrissl.ui.inspector.vectorpose.hints import boundary_hint
from napari_mrissl.ui.inspector.vectorpose.parts import ImageStrip, NumberSlider
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

_PLANES = ("axes 2 and 3", "axes 1 and 3", "axes 1 and 2")
_HIGHEST_THRESHOLD, _HIGHEST_GAIN = 0.2, 100.0


class BoundaryTab(QWidget):
    """Images, error and live thresholds.

    Attributes
    ----------
    spoil_wanted : Signal()
        The crop is to be spoiled in another way.
    view : RestorationView or None
        What is shown.
    """

    spoil_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view: RestorationView | None = None
        self._trained: EdgeSettings | None = None
        self.images = ImageStrip(least=80, most=180)
        self.images.setToolTip("One slice of the crop: as it is, spoiled, restored, and boundaries")
        self.plane = QComboBox()
        self.plane.addItems(_PLANES)
        self.plane.setToolTip("Which axes of the crop are shown")
        self.slice = QSlider(Qt.Orientation.Horizontal)
        self.slice.setToolTip("Which slice of the crop is shown")
        self.spoil = button("Spoil again", "Spoil the crop in another way, as in training")
        self.threshold = NumberSlider(
            0.0, _HIGHEST_THRESHOLD, 0.01,
            "Threshold tau: edges up to this, in grey values per voxel, are no boundary",
            "", 4,
        )  # fmt: skip
        self.gain = NumberSlider(
            1.0, _HIGHEST_GAIN, 30.0, "Gain: how fast an edge above tau becomes a full boundary"
        )
        self.reset = button("As trained", "Threshold and gain that the network was trained with")
        self.errors = sentence("Mean absolute error of the restored crop, of grey values in [0, 1]")
        self.hint = sentence("What is wrong with these thresholds, if anything")
        self.hint.setStyleSheet("font-size: 11px;")
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        for number, (name, field) in enumerate((("Tau", self.threshold), ("Gain", self.gain))):
            grid.addWidget(label_of(name, field), number, 0)
            grid.addWidget(field, number, 1)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(self.plane, (self.slice, 1), self.spoil))
        layout.addWidget(self.images)
        layout.addLayout(grid)
        layout.addLayout(row((self.errors, 1), self.reset))
        layout.addWidget(self.hint)
        layout.addStretch(1)
        self.plane.currentIndexChanged.connect(lambda _: self._present())
        self.slice.valueChanged.connect(lambda _: self._present())
        self.threshold.changed.connect(self._present)
        self.gain.changed.connect(self._present)
        self.spoil.clicked.connect(self.spoil_wanted)
        self.reset.clicked.connect(self._on_reset)
        self._allow(there=False)

    @property
    def edges(self) -> EdgeSettings:
        """Thresholds as the sliders say; the median is the run's."""
        median = self._trained.median if self._trained is not None else EdgeSettings().median
        return EdgeSettings(threshold=self.threshold.value, gain=self.gain.value, median=median)

    def show_view(self, view: RestorationView) -> None:
        """Show a restored crop; the thresholds stay, unless the run is another."""
        first = self._trained != view.settings
        self.view, self._trained = view, view.settings
        self._allow(there=True)
        side = view.record.side
        if self.slice.maximum() != side - 1:
            self.slice.blockSignals(True)
            self.slice.setRange(0, side - 1)
            self.slice.setValue(side // 2)
            self.slice.blockSignals(False)
        if first:
            self._on_reset()
        else:
            self._present()

    def clear(self, words: str = "") -> None:
        """Show no crop, and why."""
        self.view = None
        self.images.present([])
        self.errors.setText(words)
        self.hint.setText("")
        self._allow(there=False)

    def _allow(self, *, there: bool) -> None:
        parts = (self.plane, self.slice, self.spoil, self.threshold, self.gain, self.reset)
        for one in parts:
            one.setEnabled(there)

    def _on_reset(self) -> None:
        if self._trained is not None:
            self.threshold.set_value(self._trained.threshold)
            self.gain.set_value(self._trained.gain)
        self._present()

    def _present(self) -> None:
        view = self.view
        if view is None:
            return
        boundary = view.boundary(self.edges)
        maps = {
            "original": view.original,
            "corrupted": view.corrupted,
            "mask": view.painted.astype(np.float32),
            "restored": view.restored,
            "error": view.error,
            "B target": boundary,
        }
        if view.predicted_boundary is not None:
            maps["B predicted"] = view.predicted_boundary
        weights = view.weights(self.edges)
        if weights is not None:
            maps["weight"] = weights / max(float(weights.max()), 1e-6)
        self.images.present([(name, self._cut(one)) for name, one in maps.items()])
        errors = view.errors(self.edges)
        self.errors.setText(
            f"Error {_said(errors['all'])}: on boundaries {_said(errors['on_boundary'])}, off "
            f"{_said(errors['off_boundary'])}; inside paint {_said(errors['painted'])}, outside "
            f"{_said(errors['not_painted'])}"
        )
        self.hint.setText(boundary_hint(view, boundary))

    def _cut(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        number = min(self.slice.value(), len(image) - 1)
        found: NDArray[np.floating] = np.take(image, number, axis=self.plane.currentIndex())
        return found[::-1]


def _said(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.3f}"
