"""Device, folder and estimate of a new run, and the button that starts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QWidget

from napari_mrissl.errors import printable
from napari_mrissl.ui.pretraining.device_choice import DeviceChoice
from napari_mrissl.ui.pretraining.run_box import duration
from napari_mrissl.ui.pretraining.work import runs_folder
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence


class StartBox(QWidget):
    """What is decided last.

    Attributes
    ----------
    start_wanted, estimate_wanted : Signal()
        A button was pressed.
    changed : Signal()
        Another device is chosen.
    """

    start_wanted = Signal()
    estimate_wanted = Signal()
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.device = DeviceChoice()
        self.initial = QLineEdit()
        self.initial.setReadOnly(True)
        self.initial.setMinimumWidth(60)
        self.initial.setPlaceholderText("new weights")
        self.initial.setToolTip("Weights that the network begins with; empty draws new ones")
        self.choose_initial = button("Weights...", "The weights.safetensors of an earlier run")
        self.no_initial = button("New", "Draw new weights")
        self.folder = QLineEdit()
        self.folder.setToolTip("The new run's folder; nothing that is there is overwritten")
        self.choose_folder = button("Choose...", "Where the run's folder is made")
        self.estimate_text = sentence("Memory and time, measured by a real step on the device")
        self.estimate = button("Estimate", "Measure memory and time by a real step, without a run")
        self.start = button("Start", "Make the run's folder and train in a process of its own")
        self.start.setStyleSheet("font-weight: bold;")
        layout = column(self)
        layout.addLayout(row(label_of("Device", self.device), (self.device, 1)))
        layout.addLayout(
            row(
                label_of("Begin with", self.initial),
                (self.initial, 1),
                self.choose_initial,
                self.no_initial,
            )
        )
        layout.addLayout(row(label_of("Folder", self.folder), (self.folder, 1), self.choose_folder))
        layout.addWidget(self.estimate_text)
        layout.addLayout(row((self.estimate, 1), (self.start, 2)))
        self.device.currentIndexChanged.connect(self.changed)
        self.choose_folder.clicked.connect(self._on_choose_folder)
        self.choose_initial.clicked.connect(self._on_choose_initial)
        self.no_initial.clicked.connect(lambda: self.initial.setText(""))
        self.estimate.clicked.connect(self.estimate_wanted)
        self.start.clicked.connect(self.start_wanted)

    def show_device(self, name: str) -> None:
        """Choose a device without telling."""
        self.device.show_chosen(name)

    def propose(self, method: str) -> None:
        """Name a folder that is not there yet, unless the user named one."""
        named = Path(self.folder.text()) if self.folder.text().strip() else None
        ours = runs_folder()
        if named is not None and named.parent != ours:
            return
        self.folder.setText(str(free_folder(ours, method)))

    def show_estimate(self, found: Mapping[str, Any], steps: int, held: int) -> None:
        """Say what a run of so many steps would take."""
        self.estimate_text.setText(estimated(found, steps, held))

    def _on_choose_initial(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Weights of an earlier run", "", "Weights (*.safetensors)"
        )
        if chosen:
            self.initial.setText(chosen)

    def _on_choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Where the run's folder is made")
        if chosen:
            self.folder.setText(str(free_folder(Path(chosen), Path(self.folder.text()).stem)))


def free_folder(parent: Path, stem: str) -> Path:
    """A folder that is not there yet, e.g. ``reconstruction-002``."""
    stem = stem.rstrip("0123456789").rstrip("-") or "run"
    number = 1
    while (parent / f"{stem}-{number:03d}").exists():
        number += 1
    return parent / f"{stem}-{number:03d}"


def estimated(found: Mapping[str, Any], steps: int, held: int) -> str:
    """What the child process measured, in words."""
    gib = 2**30
    words = [f"{found['parameters'] / 1e6:.3g} M parameters"]
    if found.get("memory_bytes"):
        words.append(f"{found['memory_bytes'] / gib:.2g} GiB of memory")
    if held:
        words.append(f"{held / gib:.2g} GiB for decoded scans")
    if found.get("seconds_per_step"):
        per_step = found["seconds_per_step"]
        words.append(f"{per_step:.2g} s a step, about {duration(per_step * steps)} in all")
    if found.get("checkpoint_bytes"):
        words.append(f"{found['checkpoint_bytes'] / 1e6:.3g} MB a checkpoint")
    how = "Measured" if found.get("measured") else "Reckoned from small steps"
    text = f"{how}: {', '.join(words)}."
    if found.get("reason"):
        text = f"No step could be taken: {found['reason'].rstrip('.')}. {', '.join(words)}."
    return printable(text)
