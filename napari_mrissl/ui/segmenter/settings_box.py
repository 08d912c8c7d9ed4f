"""Features and classifier, folded away: a form of the settings that scripts use too."""

from __future__ import annotations

from pydantic import BaseModel
from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.segmentation.classifiers import CLASSIFIERS
from napari_mrissl.ui.forms import SettingsForm
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.feature_choice import FeatureChoice
from napari_mrissl.ui.wheel import leave_wheel_alone

_CHOICES = {"classifier": tuple(CLASSIFIERS)}
_PLACES = ("features", "features.filters", "features.network")
_FILTER_LABELS = {
    "groups": "Filters",
    "mind_radius_mm": "MIND patch (mm)",
    "mind_dilation_mm": "MIND offset (mm)",
    "normalise": "Network channels",
}
_LABELS = {
    **{f"{place}.{name}": text for place in _PLACES for name, text in _FILTER_LABELS.items()},
    "mind": "MIND",
    "probability": "Probability maps",
    "uncertainty": "Uncertainty map",
}
_IN_FORM = frozenset(("kind", "normalise"))
"""Of a network's settings; its weights are chosen above the form."""


class SettingsBox(QWidget):
    """The settings of the segmentation; a change takes effect at once."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.fold = QCollapsible("Settings", expandedIcon="▾", collapsedIcon="▸")
        self.fold.setDuration(0)
        self.fold.toggleButton().setToolTip("Features, classifier and extra results")
        self.fold.layout().setContentsMargins(0, 0, 0, 0)
        self.features = FeatureChoice(controller.settings.features)
        content = QWidget()
        self._inner = QVBoxLayout(content)
        self._inner.setContentsMargins(0, 0, 0, 0)
        self._inner.addWidget(self.features)
        self.form = self._made_form(controller.settings)
        self._inner.addWidget(self.form)
        self.fold.addWidget(content)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)
        self.features.chosen.connect(self._choose_features)

    def show_settings(self, settings: SegmentSettings) -> None:
        """Show other settings without applying them."""
        self.features.show_features(settings.features)
        if type(settings.features) is type(self.form.settings.features):
            self.form.settings = settings
            return
        # Other features have other fields.
        old, self.form = self.form, self._made_form(settings)
        self._inner.replaceWidget(old, self.form)
        old.hide()
        old.deleteLater()
        leave_wheel_alone(self.form)

    def _made_form(self, settings: SegmentSettings) -> SettingsForm:
        form = SettingsForm(settings, skip=_not_in_form(), choices=_CHOICES, labels=_LABELS)
        form.changed.connect(self._edited)
        form.invalid.connect(lambda sentence: self._controller.said.emit("error", sentence))
        return form

    def _edited(self, settings: SegmentSettings) -> None:
        self.features.show_features(settings.features)
        self._controller.set_settings(settings)

    def _choose_features(self, features: BaseModel) -> None:
        settings = self.form.settings.model_copy(update={"features": features})
        self.show_settings(settings)
        self._controller.set_settings(settings)


def _not_in_form() -> set[str]:
    fields = set(NetworkSettings.model_fields) - _IN_FORM
    return {f"{place}.{name}" for place in ("features", "features.network") for name in fields}
