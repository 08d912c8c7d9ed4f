"""The tab "Denoise": one patch with noise, and what is seen behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QSlider, QWidget

from napari_mrissl.networks.noise_schedule import Schedule
from napari_mrissl.ui.inspector.diffusion.patch_pictures import PatchPictures, Shown, difference
from napari_mrissl.ui.inspector.diffusion.work import Seen
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

CLEAN, NOISY, BEHIND = "clean", "noisy", "seen behind"
SAID, MISSED, ERROR = "noise, estimated", "noise, missed", "error"

_BEGIN_DB = 0.0
_NOISE = 2.5
_MOST_ERROR = 0.5


class DenoiseTab(QWidget):
    """The patch, a slider of noise, and pictures.

    Attributes
    ----------
    changed : Signal()
        Another step of noise or guide.
    new_wanted, go_wanted, back_wanted, forward_wanted : Signal()
        Buttons.
    pick_toggled : Signal(bool)
        Clicks in the viewer are to move the patch, or no longer.
    """

    changed = Signal()
    new_wanted = Signal()
    go_wanted = Signal()
    back_wanted = Signal()
    forward_wanted = Signal()
    pick_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.schedule: Schedule | None = None
        self.new = button("Another patch", "Draw another patch of the scan and its noise")
        self.pick = button("Pick", "Click in a 2D view of the scan to put the patch there")
        self.pick.setCheckable(True)
        self.go = button("Go to it", "Bring the main view to the middle of the patch")
        self.back = button("Back", "The patch before")
        self.forward = button("Forward", "The patch that was gone back from")
        self.step = QSlider(Qt.Orientation.Horizontal)
        self.step.setToolTip("How much noise: little on the left. Steps of two schedules differ")
        self.step.setMinimumWidth(80)
        self.at = sentence("The step of noise, and its signal-to-noise ratio")
        self.guide = guide_box("What the network is told of where the patch is")
        self.pictures = PatchPictures(
            (
                {
                    CLEAN: "The patch as it is",
                    NOISY: "The patch with noise, as the network gets it",
                    BEHIND: "What the network sees behind the noise",
                },
                {
                    SAID: "What the network takes for noise",
                    MISSED: "Estimated less true noise; red is too bright",
                    ERROR: "Seen less clean; red is too bright",
                },
            )
        )
        self.facts = sentence("How large the error is, beside that of the best voxel-wise answer")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row((self.new, 1), (self.back, 1), (self.forward, 1)))
        layout.addLayout(row((self.pick, 1), (self.go, 1)))
        layout.addLayout(
            row(label_of("Noise", self.step), (self.step, 1), label_of("told", self.guide),
                self.guide)
        )  # fmt: skip
        layout.addWidget(self.at)
        layout.addWidget(self.pictures)
        layout.addWidget(self.facts)
        layout.addStretch(1)
        self.step.valueChanged.connect(self._on_step)
        self.guide.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.new.clicked.connect(self.new_wanted)
        self.go.clicked.connect(self.go_wanted)
        self.back.clicked.connect(self.back_wanted)
        self.forward.clicked.connect(self.forward_wanted)
        self.pick.toggled.connect(self.pick_toggled)

    def set_network(self, schedule: Schedule, guides: Sequence[str]) -> None:
        """Offer the steps and guides of a network; the slider keeps its ratio."""
        ratio = _BEGIN_DB if self.schedule is None else self.ratio_db
        self.schedule = schedule
        with QSignalBlocker(self.step):
            self.step.setRange(0, schedule.steps - 1)
            self.step.setPageStep(max(1, schedule.steps // 20))
            self.step.setValue(schedule.step_of(ratio))
        self._say_step()
        offer(self.guide, guides)

    @property
    def ratio_db(self) -> float:
        """Of the chosen step."""
        assert self.schedule is not None  # noqa: S101 - set with the network
        return float(self.schedule.snr_db[self.step.value()])

    def show_history(self, *, back: bool, forward: bool) -> None:
        """Whether there is a patch to go to."""
        self.back.setEnabled(back)
        self.forward.setEnabled(forward)

    def show_seen(self, seen: Seen) -> None:
        """Show a patch."""
        look = seen.look
        signed = (-_NOISE, _NOISE)
        self.pictures.present(
            seen.views,
            {
                CLEAN: Shown(look.clean),
                NOISY: Shown(look.noisy),
                BEHIND: Shown(look.seen),
                SAID: Shown(look.said, signed),
                MISSED: difference(look.said, look.noise, _NOISE),
                ERROR: difference(look.seen, look.clean, _MOST_ERROR),
            },
        )
        error = float(np.sqrt((look.error**2).mean()))
        floor = "" if seen.floor is None else f"; the best voxel-wise answer {seen.floor:.3f}"
        self.facts.setText(
            f"What is seen is off by {error:.3f} (root mean square; clean patches go from 0 to 1). "
            f"Loss {look.loss:.3f}{floor}."
        )

    def clear(self) -> None:
        """Show nothing."""
        self.pictures.clear()
        self.facts.setText("")

    def _on_step(self) -> None:
        self._say_step()
        self.changed.emit()

    def _say_step(self) -> None:
        if self.schedule is not None:
            last = self.schedule.steps - 1
            self.at.setText(
                f"t = {self.step.value()} of 0 to {last}: SNR {self.ratio_db:+.1f} dB "
                f"({self.schedule.kind.replace('_', ' ')} schedule)"
            )


def guide_box(tip: str) -> QComboBox:
    """A choice of what the network is told."""
    box = QComboBox()
    box.setToolTip(tip)
    return box


def offer(box: QComboBox, guides: Sequence[str]) -> None:
    """Offer these; what was chosen stays if it is there."""
    before = box.currentText()
    with QSignalBlocker(box):
        box.clear()
        box.addItems(list(guides))
        box.setCurrentIndex(guides.index(before) if before in guides else 0)
