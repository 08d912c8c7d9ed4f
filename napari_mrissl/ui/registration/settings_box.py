"""How scans are registered: presets, what begins, what is compared, and all else folded away."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QGridLayout, QWidget

from napari_mrissl.errors import printable
from napari_mrissl.registration import PRESETS, RegistrationSettings
from napari_mrissl.ui.explorer.sources import SourceChoice
from napari_mrissl.ui.model_form import ModelForm
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.pretraining.device_choice import DeviceChoice
from napari_mrissl.ui.recorder.parts import button, label_of, row, sentence

OWN = "own"
_PRESETS = {
    "same person": ("Same person", "Rigid from the headers, then a field"),
    "MR to MR": ("MR to MR", "Two people: affine from centres of mass and axes, then a field"),
    "smooth": ("Smooth", "As the same person, finer and then smoothed: slower, closer"),
    "MR to CT": ("MR to CT (fixed: CT)", "Affine from the middles; the CT clipped to -450..450 HU"),
}
_INITIAL = {
    "header": ("Headers", "Where the files say that the scans are"),
    "centres": ("Middles of grids", "The middles of both grids on each other"),
    "moments": ("Centres of mass", "Centres of mass on each other, and principal axes"),
    "landmarks": ("Landmarks", "A map fitted to points in both scans: three pairs at least"),
}
_LINEAR = {
    "none": ("none", "Only what it begins with"),
    "rigid": ("rigid", "Turned and shifted, by mutual information"),
    "affine": ("affine", "Scaled and sheared too, by mutual information"),
}
_FEATURES = {
    "mind": ("MIND", "MIND-SSC: alike in images of different contrast"),
    "network": ("Network", "Features of a pretrained network"),
    "both": ("MIND and network", "Both: MIND and a network's features"),
    "intensity": ("Intensity", "The grey values themselves: one contrast only"),
}
_ELSEWHERE = ("initial", "linear", "deformable", "features", "weights", "device")


class SettingsBox(QWidget):
    """Edits `RegistrationSettings`.

    Attributes
    ----------
    changed : Signal()
        Other settings are chosen.
    invalid : Signal(str)
        What was typed is no valid setting, in one sentence.
    more : ModelForm
        Settings that are seldom changed.
    """

    changed = Signal()
    invalid = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.preset = choice_of(_PRESETS, "Settings for a usual pair")
        self.preset.addItem("own settings", OWN)
        self.initial = choice_of(_INITIAL, "Where the alignment begins")
        self.linear = choice_of(_LINEAR, "The linear alignment, by mutual information (SimpleITK)")
        self.linear.setMinimumContentsLength(3)
        self.deformable = QCheckBox("then a field")
        self.deformable.setToolTip("A displacement field follows the linear alignment: ConvexAdam")
        self.features = choice_of(_FEATURES, "What the field's search compares between the scans")
        self.weights = choice_of({}, "The network whose features are compared")
        self.other = button("Other...", "A weights.safetensors of a run, or another file of them")
        self.device = DeviceChoice()
        self.device.setMinimumContentsLength(6)
        self.device.setToolTip("What the field is computed on: the devices that torch finds here")
        self.more = ModelForm(PRESETS["same person"], skip=_ELSEWHERE)
        self.folding = section("More settings", self.more)
        self.folding.setToolTip("Windows, grids, smoothness, iterations, memory")
        self.folding.collapse(animate=False)
        self.cost = sentence("What the displacement field takes, before it is computed")
        self._network: list[QWidget] = []
        self._weights = ""
        self._arrange()
        self._connect()
        self.show_settings(PRESETS["same person"])

    @property
    def settings(self) -> RegistrationSettings:
        """What is chosen."""
        chosen = {
            "initial": self.initial.currentData(),
            "linear": self.linear.currentData(),
            "deformable": self.deformable.isChecked(),
            "features": self.features.currentData(),
            "weights": self.weights.currentData() or self._weights,
            "device": self.device.currentData(),
        }
        return self.more.settings.model_copy(update=chosen)  # type: ignore[return-value]

    @property
    def valid(self) -> bool:
        """Whether what is shown is what `settings` says."""
        return self.more.valid

    def show_settings(self, settings: RegistrationSettings) -> None:
        """Show settings, and the preset whose they are."""
        with QSignalBlocker(self):
            for box, value in (
                (self.initial, settings.initial),
                (self.linear, settings.linear),
                (self.features, settings.features),
            ):
                box.setCurrentIndex(box.findData(value))
            self.deformable.setChecked(settings.deformable)
            self._add_weights(settings.weights)
            self.device.show_chosen(settings.device)
            self.more.show_settings(settings)
        self._on_changed()

    def offer_networks(self, networks: tuple[SourceChoice, ...]) -> None:
        """Offer weights by name; the chosen ones stay chosen."""
        chosen = self.weights.currentData()
        with QSignalBlocker(self.weights):
            for one in networks:
                if self.weights.findData(one.weights) < 0:
                    self.weights.addItem(one.title.removeprefix("Network: "), one.weights)
            self.weights.setCurrentIndex(max(self.weights.findData(chosen), 0))

    def swap_windows(self) -> None:
        """Let each scan keep the values it is clipped to, now that it is the other one."""
        now = self.settings
        windows = {"fixed_window": now.moving_window, "moving_window": now.fixed_window}
        self.show_settings(now.model_copy(update=windows))

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setSpacing(4)
        weights = label_of("Weights", self.weights)
        rows: tuple[tuple[Any, Any], ...] = (
            (label_of("Preset", self.preset), self.preset),
            (label_of("Begin with", self.initial), self.initial),
            (label_of("Linear", self.linear), row((self.linear, 1), self.deformable)),
            (label_of("Features", self.features), self.features),
            (weights, row((self.weights, 1), self.other)),
            (label_of("Device", self.device), self.device),
        )
        for number, (label, field) in enumerate(rows):
            grid.addWidget(label, number, 0)
            add = grid.addWidget if isinstance(field, QWidget) else grid.addLayout
            add(field, number, 1)
        grid.addWidget(self.folding, len(rows), 0, 1, 2)
        grid.addWidget(self.cost, len(rows) + 1, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        self._network = [weights, self.weights, self.other]

    def _connect(self) -> None:
        self.preset.currentIndexChanged.connect(self._on_preset)
        for box in (self.initial, self.linear, self.features, self.weights, self.device):
            box.currentIndexChanged.connect(lambda _: self._on_changed())
        self.deformable.toggled.connect(lambda _: self._on_changed())
        self.more.edited.connect(lambda _: self._on_changed())
        self.more.invalid.connect(self.invalid)
        self.other.clicked.connect(self._on_other)

    def _on_preset(self) -> None:
        wanted = PRESETS.get(self.preset.currentData())
        if wanted is not None:
            now = self.settings
            kept = {"weights": now.weights, "device": now.device, "memory_gib": now.memory_gib}
            self.show_settings(wanted.model_copy(update=kept))

    def _on_changed(self) -> None:
        now = self.settings
        kept = {"weights", "device", "memory_gib"}
        found = next(
            (
                name
                for name, one in PRESETS.items()
                if one.model_dump(exclude=kept) == now.model_dump(exclude=kept)
            ),
            OWN,
        )
        with QSignalBlocker(self.preset):
            self.preset.setCurrentIndex(self.preset.findData(found))
        self.features.setEnabled(now.deformable)
        self.device.setEnabled(now.deformable)
        for part in self._network:
            part.setVisible(now.deformable and now.features in ("network", "both"))
        if not self.signalsBlocked():
            self.changed.emit()

    def _add_weights(self, weights: str) -> None:
        self._weights = weights
        if self.weights.findData(weights) < 0:
            name = weights.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
            self.weights.addItem(printable(name), weights)
        self.weights.setCurrentIndex(self.weights.findData(weights))

    def _on_other(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self, "Weights", "", "Weights (*.safetensors)")
        if found:
            self._add_weights(found)


def choice_of(words: dict[str, tuple[str, str]], tip: str) -> QComboBox:
    """A choice by key, each with its text and tooltip."""
    box = QComboBox()
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    for key, (text, explained) in words.items():
        box.addItem(text, key)
        box.setItemData(box.count() - 1, explained, Qt.ItemDataRole.ToolTipRole)
    return box
