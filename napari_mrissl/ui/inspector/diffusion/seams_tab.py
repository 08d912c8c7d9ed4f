"""The tab "Seams": where overlapping patches of a scan do not agree."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.networks.noise_schedule import Schedule
from napari_mrissl.ui.inspector.diffusion.denoise_tab import guide_box
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

_BEGIN = (
    "Sees the whole scan behind the noise of the tab Denoise, in patches that overlap. The same "
    "voxel has the same noise in all of them."
)
_PARTS = {"by half": 2, "by three quarters": 4}


class SeamsTab(QWidget):
    """How far patches overlap, and what they are told.

    Attributes
    ----------
    map_wanted, remove_wanted : Signal()
        Buttons.
    """

    map_wanted = Signal()
    remove_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.overlap = QComboBox()
        self.overlap.addItems(list(_PARTS))
        self.overlap.setToolTip("How far a patch reaches into the next one")
        self.guide = guide_box("Whether each patch is told its coordinates")
        self.map = button("Map seams", "Look at all patches; this takes a while")
        self.remove = button("Remove", "Take the maps out of the viewer")
        self.words = sentence("How far patches agree")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(
            row(label_of("Overlap", self.overlap), (self.overlap, 1),
                label_of("told", self.guide), (self.guide, 1))
        )  # fmt: skip
        layout.addLayout(row((self.map, 1), (self.remove, 1)))
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.map.clicked.connect(self.map_wanted)
        self.remove.clicked.connect(self.remove_wanted)
        self.clear()

    @property
    def parts(self) -> int:
        """A patch begins each so many parts of a patch."""
        return _PARTS[self.overlap.currentText()]

    def show_numbers(
        self, numbers: dict[str, float], schedule: Schedule, step: int, guide: str
    ) -> None:
        """Say how far patches agree."""
        ratio = float(schedule.snr_db[step])
        self.words.setText(
            f"At t = {step} (SNR {ratio:+.1f} dB), told: {guide}: patches that overlap differ by "
            f"{numbers['between']:.3f} and their average is off by {numbers['error']:.3f} (root "
            f"mean squares; clean is 0 to 1). Up to {numbers['most']:.0f} patches on a voxel."
        )
        self.remove.setEnabled(True)

    def clear(self) -> None:
        """There are no maps."""
        self.words.setText(_BEGIN)
        self.remove.setEnabled(False)
