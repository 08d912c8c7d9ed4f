"""Weights, mode, preset, device and folder of a finetuning, its estimate, and Start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QLineEdit, QWidget

from napari_mrissl.errors import printable
from napari_mrissl.networks.weight_library import DEFAULT, SHIPPED_DEFAULT, names
from napari_mrissl.segmentation.finetuning import SCRATCH, FinetuneSettings
from napari_mrissl.ui.finetuning.work import runs_folder
from napari_mrissl.ui.model_form import ModelForm
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.pretraining.device_choice import DeviceChoice
from napari_mrissl.ui.pretraining.start_box import estimated, free_folder
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

_STEM = "segmenter"
_MODES = {
    "full": ("Whole network", "The network and its head; the weights' share learns more slowly"),
    "nonlinear": ("Two layers", "A small head on features that stay as they are: quick"),
    "linear": ("One layer", "A linear head on features that stay as they are: quickest"),
}
_PRESETS = {
    "cpu": ("CPU: minutes", "A few hundred steps on small crops"),
    "gpu": ("GPU: as published", "arXiv:2411.02372: 37,500 steps on crops of 128 voxels"),
    "tiny": ("Tiny: a minute", "To see that all works"),
}
_ELSEWHERE = (
    "weights", "mode", "preset", "device", "classes", "changes", "unlabelled", "spacing",
)  # fmt: skip


class StartBox(QWidget):
    """What is decided before Start.

    Attributes
    ----------
    start_wanted, estimate_wanted : Signal()
        A button was pressed.
    changed : Signal()
        Other settings are chosen.
    invalid : Signal(str)
        What was typed is no valid setting, in one sentence.
    more : ModelForm
        Settings that are seldom changed.
    """

    start_wanted = Signal()
    estimate_wanted = Signal()
    changed = Signal()
    invalid = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.weights = _choice("What the network knows before: weights by name, of a run or a file")
        self.other = button("Other...", "The weights.safetensors of a run, or another file of them")
        self.mode = _choice("How much of the network learns")
        self.preset = _choice("How long, and on how large crops")
        for box, words in ((self.mode, _MODES), (self.preset, _PRESETS)):
            for key, (text, tip) in words.items():
                box.addItem(text, key)
                box.setItemData(box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.device = DeviceChoice()
        self.more = ModelForm(FinetuneSettings(), skip=_ELSEWHERE)
        self.folding = section("More settings", self.more)
        self.folding.setToolTip("Seed, steps, batch, learning rates, crops; empty as preset")
        self.folding.collapse(animate=False)
        self.folder = QLineEdit()
        self.folder.setToolTip("The new run's folder; nothing that is there is overwritten")
        self.choose_folder = button("Choose...", "Where the run's folder is made")
        self.estimate_text = sentence("Memory and time, measured by a real step on the device")
        self.estimate = button("Estimate", "Check labels, and measure memory and time by a step")
        self.start = button("Finetune", "Learn from the labelled scans in a process of its own")
        self.start.setStyleSheet("font-weight: bold;")
        layout = column(self)
        layout.setContentsMargins(6, 2, 6, 2)
        layout.addLayout(row(label_of("Weights", self.weights), (self.weights, 1), self.other))
        layout.addLayout(
            row(
                label_of("Train", self.mode),
                (self.mode, 1),
                label_of("Preset", self.preset),
                (self.preset, 1),
            )
        )
        layout.addLayout(row(label_of("Device", self.device), (self.device, 1)))
        layout.addLayout(row(label_of("Folder", self.folder), (self.folder, 1), self.choose_folder))
        layout.addWidget(self.estimate_text)
        layout.addLayout(row((self.estimate, 1), (self.start, 2)))
        self.offer_runs(())
        for box in (self.weights, self.mode, self.preset, self.device):
            box.currentIndexChanged.connect(self.changed)
        self.more.edited.connect(lambda _: self.changed.emit())
        self.more.invalid.connect(self.invalid)
        self.other.clicked.connect(self._on_other)
        self.choose_folder.clicked.connect(self._on_folder)
        self.estimate.clicked.connect(self.estimate_wanted)
        self.start.clicked.connect(self.start_wanted)

    @property
    def settings(self) -> FinetuneSettings:
        """What is chosen, without classes."""
        chosen = {
            "weights": self.weights.currentData(),
            "mode": self.mode.currentData(),
            "preset": self.preset.currentData(),
            "device": self.device.currentData(),
        }
        return self.more.settings.model_copy(update=chosen)  # type: ignore[return-value]

    def show_settings(self, settings: FinetuneSettings) -> None:
        """Show settings without telling."""
        blocker = QSignalBlocker(self)
        if self.weights.findData(settings.weights) < 0:
            self._add(settings.weights, printable(Path(settings.weights).name))
        for box, value in (
            (self.weights, settings.weights),
            (self.mode, settings.mode),
            (self.preset, settings.preset),
        ):
            box.setCurrentIndex(box.findData(value))
        self.device.show_chosen(settings.device)
        self.more.show_settings(settings)
        blocker.unblock()

    def offer_runs(self, folders: Sequence[tuple[Path, str]]) -> None:
        """Offer the weights that have names, and those of runs: folder and method."""
        chosen = self.weights.currentData()
        wanted = list(_named())
        wanted += [(str(folder), f"{folder.name} ({method})") for folder, method in folders]
        wanted.append((SCRATCH, "scratch: draw new ones"))
        if chosen is not None and chosen not in dict(wanted):
            wanted.append((chosen, Path(chosen).name))
        there = [self.weights.itemData(n) for n in range(self.weights.count())]
        if there == [key for key, _ in wanted]:
            return
        blocker = QSignalBlocker(self.weights)
        self.weights.clear()
        for key, text in wanted:
            self._add(key, printable(text))
        self.weights.setCurrentIndex(max(0, self.weights.findData(chosen)))
        blocker.unblock()

    def propose(self) -> None:
        """Name a folder that is not there yet, unless the user named one."""
        named = Path(self.folder.text()) if self.folder.text().strip() else None
        if named is None or named.parent == runs_folder():
            self.folder.setText(str(free_folder(runs_folder(), _STEM)))

    def show_estimate(self, found: Mapping[str, Any], steps: int, held: int) -> None:
        """Say what the finetuning would take."""
        self.estimate_text.setText(estimated(found, steps, held))

    def _add(self, key: str, text: str) -> None:
        self.weights.addItem(text, key)
        self.weights.setItemData(self.weights.count() - 1, text, Qt.ItemDataRole.ToolTipRole)

    def _on_other(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Weights", "", "Weights (*.safetensors)")
        if chosen:
            self.show_settings(self.settings.model_copy(update={"weights": chosen}))
            self.changed.emit()

    def _on_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Where the run's folder is made")
        if chosen:
            stem = Path(self.folder.text()).stem or _STEM
            self.folder.setText(str(free_folder(Path(chosen), stem)))


def _named() -> list[tuple[str, str]]:
    """Weights of the library; the default ones only where they ship."""
    found = [(name, name) for name in names()]
    if SHIPPED_DEFAULT in names():
        return [(DEFAULT, f"default: {SHIPPED_DEFAULT}"), *found]
    return found


def _choice(tip: str) -> QComboBox:
    box = QComboBox()
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box
