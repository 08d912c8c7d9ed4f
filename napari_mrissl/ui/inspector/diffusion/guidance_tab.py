"""The tab "Guidance": one noise, drawn with other coordinates told, and the differences."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.inspector.diffusion.patch_pictures import PatchPictures, Shown, difference
from napari_mrissl.ui.inspector.diffusion.work import Guided
from napari_mrissl.ui.recorder.parts import (
    button,
    column,
    decimal,
    label_of,
    row,
    sentence,
    whole_number,
)

UNGUIDED = "This run is told no coordinates: there is nothing to compare."
_BEGIN = "Draws the patch of the tab Denoise out of one noise, with other coordinates told."
_TIPS = {
    "true": "Told the patch's own coordinates",
    "off": "Told none",
    "shifted": "Told coordinates of another place: moved past the middle",
    "shuffled": "Told the coordinates of another patch",
}
_LEAST = 1e-3
_OTHERS = tuple(name for name in _TIPS if name != "true")


class GuidanceTab(QWidget):
    """Pictures by guide, and their differences.

    Attributes
    ----------
    compare_wanted : Signal()
        The button.
    """

    compare_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count = whole_number(2, 200, 20, "Steps of DDIM from noise to patch")
        self.strength = decimal(
            0.0, 10.0, 1.0, "", "0 is without coordinates, 1 with them, more exaggerates them"
        )
        self.compare = button("Compare", "Draw with each, out of the same noise")
        self.pictures = PatchPictures(
            (
                _TIPS,
                {
                    "clean": "The patch as it is",
                    **{f"{name} - true": f"{_TIPS[name]}, less true" for name in _OTHERS},
                },
            )
        )
        self.words = sentence("How far apart the drawn patches are")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(
            row(label_of("Steps", self.count), self.count, label_of("Strength", self.strength),
                self.strength, (self.compare, 1))
        )  # fmt: skip
        layout.addWidget(self.pictures)
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.compare.clicked.connect(self.compare_wanted)
        self.clear()

    def show_guided(self, found: Guided) -> None:
        """Show the patch by guide."""
        shown = {name: Shown(values) for name, values in found.drawn.items()}
        shown["clean"] = Shown(found.clean)
        true = found.drawn["true"]
        others = {name: found.drawn[name] for name in _OTHERS if name in found.drawn}
        most = max((float(np.abs(one - true).max()) for one in others.values()), default=0.0)
        for name, one in others.items():
            shown[f"{name} - true"] = difference(one, true, max(most, _LEAST))
        self.pictures.present(found.views, shown)
        apart = {name: float(np.abs(one - true).mean()) for name, one in others.items()}
        said = ", ".join(f"{name} {value:.3f}" for name, value in apart.items())
        ignored = " The network ignores what it is told." if max(apart.values()) < _LEAST else ""
        self.words.setText(
            f"Mean difference from true: {said}. Red is brighter than true; colours end at "
            f"{max(most, _LEAST):.2f}.{ignored}"
        )

    def clear(self, words: str = _BEGIN) -> None:
        """Show nothing, and why."""
        self.pictures.clear()
        self.words.setText(words)
