"""Features and classifier, folded away: a form of the settings that scripts use too."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.segmentation.classifiers import CLASSIFIERS
from napari_mrissl.ui.forms import SettingsForm
from napari_mrissl.ui.segmenter.controller import Controller

_CHOICES = {"classifier": tuple(CLASSIFIERS)}
_LABELS = {
    "features.groups": "Features",
    "features.mind_radius_mm": "MIND patch (mm)",
    "features.mind_dilation_mm": "MIND offset (mm)",
    "mind": "MIND",
    "probability": "Probability maps",
    "uncertainty": "Uncertainty map",
}


class SettingsBox(QWidget):
    """The settings of the segmentation; a change takes effect at once."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.fold = QCollapsible("Settings", expandedIcon="▾", collapsedIcon="▸")
        self.fold.setDuration(0)
        self.fold.toggleButton().setToolTip("Features, classifier and extra results")
        self.fold.layout().setContentsMargins(0, 0, 0, 0)
        self.form = SettingsForm(controller.settings, choices=_CHOICES, labels=_LABELS)
        self.fold.addWidget(self.form)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)
        self.form.changed.connect(controller.set_settings)
        self.form.invalid.connect(lambda sentence: controller.said.emit("error", sentence))

    def show_settings(self, settings: SegmentSettings) -> None:
        """Show other settings without applying them."""
        self.form.settings = settings
