"""Which features clicks are classified by: the filter bank, a network, or both."""

from __future__ import annotations

from pydantic import BaseModel
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from napari_mrissl.features import FilterBankSettings
from napari_mrissl.features.combined import CombinedSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.networks.weight_library import DEFAULT, SHIPPED_DEFAULT, names
from napari_mrissl.networks.weight_places import is_identity

_FILTERS = "Filter bank"
_TIP = (
    "What a voxel is known by: filters of a few millimetres, or a pretrained network, which is "
    "run once for each scan in a process of its own. Weights are added by mrissl weights import"
)


class FeatureChoice(QWidget):
    """A choice of features by name; what it makes keeps the filters that were set.

    Attributes
    ----------
    chosen : Signal(object)
        Settings of features, when the user chooses others.
    """

    chosen = Signal(object)

    def __init__(self, settings: BaseModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._filters = filters_of(settings) or FilterBankSettings()
        self.combo = QComboBox()
        self.combo.setToolTip(_TIP)
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setMinimumContentsLength(12)
        label = QLabel("Features by")
        label.setBuddy(self.combo)
        label.setToolTip(_TIP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addWidget(self.combo, 1)
        self._names: tuple[str, ...] = ()
        self.refresh()
        self.combo.currentIndexChanged.connect(self._choose)

    def refresh(self) -> None:
        """List the weights there are now; what is chosen stays chosen even if it is gone."""
        self._names = names()
        self.show_features(self._settings)

    def show_features(self, settings: BaseModel) -> None:
        """Show a choice without telling."""
        self._settings = settings
        self._filters = filters_of(settings) or self._filters
        blocker = QSignalBlocker(self.combo)
        self.combo.clear()
        self.combo.addItem(_FILTERS, ("filters", ""))
        current = _name_of(settings)
        gone = () if current is None or current in self._names else (current,)
        for name in (*self._names, *gone):
            shown = _shown(name, missing=name in gone)
            self.combo.addItem(f"Network: {shown}", ("network", name))
            self.combo.addItem(f"Filters + network: {shown}", ("both", name))
        self.combo.setCurrentIndex(self._place(settings))
        blocker.unblock()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Weights may have been added since it was last seen."""
        self.refresh()
        super().showEvent(event)

    def _place(self, settings: BaseModel) -> int:
        name = _name_of(settings)
        if name is None:
            return 0
        kind = "both" if isinstance(settings, CombinedSettings) else "network"
        # Not by findData: Qt compares tuples by their place in memory.
        entries = [self.combo.itemData(number) for number in range(self.combo.count())]
        return entries.index((kind, name))

    def _choose(self, number: int) -> None:
        kind, name = self.combo.itemData(number)
        network = network_of(self._settings) or NetworkSettings()
        network = network.model_copy(update={"weights": name})
        found: BaseModel = self._filters
        if kind == "network":
            found = network
        elif kind == "both":
            found = CombinedSettings(filters=self._filters, network=network)
        if found != self._settings:
            self._settings = found
            self.chosen.emit(found)


def filters_of(settings: BaseModel) -> FilterBankSettings | None:
    """The filters among the features, if there are any."""
    if isinstance(settings, CombinedSettings):
        return settings.filters
    return settings if isinstance(settings, FilterBankSettings) else None


def network_of(settings: BaseModel) -> NetworkSettings | None:
    """The network among the features, if there is one."""
    found = settings.network if isinstance(settings, CombinedSettings) else settings
    # Networks for slices come from files of prompts; this form has no words for them.
    return found if isinstance(found, NetworkSettings) else None


def _shown(name: str, *, missing: bool) -> str:
    # Weights outside the library are known by their SHA-256, a run's for instance.
    if is_identity(name):
        return name[:8]
    return f"{name} (not here)" if missing and name != RANDOM else name


def _name_of(settings: BaseModel) -> str | None:
    network = network_of(settings)
    if network is None:
        return None
    return SHIPPED_DEFAULT if network.weights == DEFAULT else str(network.weights)
