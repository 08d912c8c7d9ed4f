"""The tab "Steps": a patch on its way out of noise, as a layer with a slider of its own."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.inspector.diffusion.denoise_tab import guide_box
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence, whole_number

_BEGIN = (
    "Draws the patch out of pure noise. The layer lies where the patch does; the viewer gets one "
    "more slider, which scrubs through the steps."
)


class StepsTab(QWidget):
    """How many steps, and of what guide.

    Attributes
    ----------
    draw_wanted, remove_wanted : Signal()
        Buttons.
    """

    draw_wanted = Signal()
    remove_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count = whole_number(2, 200, 20, "Steps of DDIM from noise to patch")
        self.guide = guide_box("What the network is told of where the patch is")
        self.draw = button("Draw strip", "Draw the patch out of its noise, step by step")
        self.remove = button("Remove", "Take the strip out of the viewer")
        self.words = sentence("What is shown")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(
            row(label_of("Steps", self.count), self.count, label_of("told", self.guide),
                (self.guide, 1))
        )  # fmt: skip
        layout.addLayout(row((self.draw, 1), (self.remove, 1)))
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.draw.clicked.connect(self.draw_wanted)
        self.remove.clicked.connect(self.remove_wanted)
        self.clear()

    def show_drawn(self, count: int, guide: str) -> None:
        """Say what the strip is."""
        self.words.setText(
            f'{count} steps, told: {guide}. Scrub them with the slider "denoising step" below '
            "the viewer: 0 is the noise, the last one the patch that was drawn."
        )
        self.remove.setEnabled(True)

    def clear(self) -> None:
        """There is no strip."""
        self.words.setText(_BEGIN)
        self.remove.setEnabled(False)
