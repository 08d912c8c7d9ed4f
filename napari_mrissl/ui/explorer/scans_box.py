"""Which scans are explored, by which features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QSizePolicy,
    QWidget,
)

from napari_mrissl.features.similarity import Comparison
from napari_mrissl.ui.explorer.sources import PLAIN_SOURCES, SourceChoice, network_choice
from napari_mrissl.ui.layers import METADATA_KEY
from napari_mrissl.ui.recorder.parts import button, label_of, row, sentence
from napari_mrissl.ui.segmenter.prompt_layers import ROLE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

_EVENTS = ("inserted", "removed", "renamed", "reordered")
_COMPARISONS: tuple[tuple[str, Comparison], ...] = (
    ("as they are", "plain"),
    ("standardised", "standardised"),
)
_LIST_ROWS = 3


class ScansBox(QWidget):
    """Scans to tick, a choice of features, and a button that computes them.

    Parameters
    ----------
    viewer
        Whose 3-D images can be ticked.

    Attributes
    ----------
    changed : Signal()
        Other scans were ticked, or another source of features was chosen.
    compared : Signal()
        Features are to be compared in another way.
    compute_wanted : Signal()
        The features of the ticked scans are to be computed.
    gone : Signal(object)
        A layer that was listed has left the viewer.
    """

    changed = Signal()
    compared = Signal()
    compute_wanted = Signal()
    gone = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Image] = []
        self._sources: list[SourceChoice] = list(PLAIN_SOURCES)
        self.scans = QListWidget()
        self.scans.setToolTip("Scans to explore together: tick any 3-D images of the viewer")
        self.scans.setAccessibleName("Scans to explore")
        self.scans.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.scans.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scans.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.scans.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line = self.scans.fontMetrics().lineSpacing() + 5
        self.scans.setFixedHeight(_LIST_ROWS * line + 4)
        self.source = _combo("What turns a scan into features")
        self.open = button("Other...", "Use the weights of a file or of a run's folder")
        menu = QMenu(self.open)
        menu.setToolTipsVisible(True)
        file = menu.addAction("Weights file...", self._on_file)
        file.setToolTip("A .safetensors file; others are made one by mrissl weights import")
        menu.addAction("Folder of a run...", self._on_folder)
        self.open.setMenu(menu)
        self.tap = _combo("Which layer of the network gives the features")
        self.tap_label = label_of("Layer", self.tap)
        self.comparison = _combo(
            "Cosine of features as they are, or of channels less their mean and divided by their "
            "spread over the scan's foreground"
        )
        for title, value in _COMPARISONS:
            self.comparison.addItem(title, value)
        self.compute = button("Compute features", "Compute the features of the ticked scans")
        self.facts = sentence("What computing the features takes")
        self._arrange()
        self.offer_layers(())
        self._fill_sources()
        self.choose_comparison(self.choice.comparison)
        self._connect()
        self._on_layers()

    @property
    def ticked(self) -> list[Image]:
        """The layers that are ticked, the topmost first."""
        checked = Qt.CheckState.Checked
        return [
            layer
            for number, layer in enumerate(self._layers)
            if self.scans.item(number).checkState() == checked
        ]

    @property
    def choice(self) -> SourceChoice:
        """The source of features."""
        return self._sources[max(self.source.currentIndex(), 0)]

    @property
    def chosen_tap(self) -> int | None:
        """The layer of the network, or None for its end."""
        found = self.tap.currentData()
        return int(found) if found is not None and self.choice.weights is not None else None

    @property
    def chosen_comparison(self) -> Comparison:
        """How features are compared."""
        found: Comparison = self.comparison.currentData()
        return found

    @property
    def layers(self) -> list[Image]:
        """All that are listed."""
        return list(self._layers)

    def offer(self, networks: Sequence[SourceChoice]) -> None:
        """List networks below the sources that need none; what was opened by hand stays."""
        known = {one.key for one in networks}
        by_hand = [one for one in self._sources if one.weights is not None and one.key not in known]
        kept = [one for one in by_hand if one.key == self.choice.key or "/" in one.key]
        wanted = [*PLAIN_SOURCES, *networks, *kept]
        if wanted != self._sources:
            chosen = self.choice
            self._sources = wanted
            self._fill_sources(chosen.key)

    def choose_source(self, key: str) -> bool:
        """Choose a source by its key; one of a network that is not listed is added."""
        keys = [one.key for one in self._sources]
        if key not in keys and key.startswith("network:"):
            self._sources.append(network_choice(key.removeprefix("network:")))
            self._fill_sources()
            keys.append(key)
        if key not in keys:
            return False
        self.source.setCurrentIndex(keys.index(key))
        return True

    def choose_scans(self, names: Sequence[str]) -> list[str]:
        """Tick the layers with these names and no others; names that are not there."""
        with QSignalBlocker(self.scans):
            for number, layer in enumerate(self._layers):
                self.scans.item(number).setCheckState(_state(layer.name in names))
        self.changed.emit()
        there = {layer.name for layer in self._layers}
        return [name for name in names if name not in there]

    def choose_tap(self, tap: int) -> bool:
        """Choose a layer of the network by its number, which is offered from now on."""
        if self.choice.weights is None:
            return False
        if self.tap.findData(tap) < 0:
            self.tap.addItem(str(tap), tap)
        self.tap.setCurrentIndex(self.tap.findData(tap))
        return True

    def choose_comparison(self, comparison: str) -> bool:
        """Choose how to compare; False if there is no such way."""
        place = self.comparison.findData(comparison)
        if place >= 0:
            self.comparison.setCurrentIndex(place)
        return place >= 0

    def disconnect_viewer(self) -> None:
        """Stop following the viewer's layers, and let go of them."""
        for name in _EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self._on_layers)
        self._layers = []

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 4, 6, 0)
        grid.setSpacing(4)
        scans = label_of("Scans", self.scans)
        grid.addWidget(scans, 0, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self.scans, 0, 1)
        grid.addWidget(label_of("Features", self.source), 1, 0)
        grid.addLayout(row((self.source, 1), self.open), 1, 1)
        grid.addWidget(label_of("Compare", self.comparison), 2, 0)
        grid.addLayout(row((self.comparison, 1), self.tap_label, (self.tap, 1)), 2, 1)
        grid.addWidget(self.compute, 3, 1)
        grid.addWidget(self.facts, 4, 0, 1, 2)
        grid.setColumnStretch(1, 1)

    def _connect(self) -> None:
        self.scans.itemChanged.connect(lambda _: self.changed.emit())
        self.source.currentIndexChanged.connect(self._on_source)
        self.tap.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.comparison.currentIndexChanged.connect(lambda _: self.compared.emit())
        self.compute.clicked.connect(self.compute_wanted)
        for name in _EVENTS:
            getattr(self._viewer.layers.events, name).connect(self._on_layers)

    def _fill_sources(self, chosen: str = "") -> None:
        """List the sources; the choice stays, with its layer and comparison."""
        with QSignalBlocker(self.source):
            before = self.source.currentIndex()
            self.source.clear()
            for number, one in enumerate(self._sources):
                self.source.addItem(one.title)
                self.source.setItemData(number, one.tip, Qt.ItemDataRole.ToolTipRole)
            keys = [one.key for one in self._sources]
            place = keys.index(chosen) if chosen in keys else max(before, 0)
            self.source.setCurrentIndex(min(place, len(keys) - 1))
        self._show_taps()

    def _show_taps(self) -> None:
        network = self.choice.weights is not None
        self.tap.setVisible(network)
        self.tap_label.setVisible(network)

    def offer_layers(self, layers: Sequence[tuple[int, int]]) -> None:
        """Offer the layers of the chosen network, by number and stride; and its end."""
        chosen, wanted = self.chosen_tap, [None, *(number for number, _ in layers)]
        if [self.tap.itemData(n) for n in range(self.tap.count())] == wanted:
            return
        with QSignalBlocker(self.tap):
            self.tap.clear()
            self.tap.addItem("last", None)
            for number, stride in layers:
                self.tap.addItem(f"{number}, at 1/{stride}", number)
            self.tap.setCurrentIndex(max(self.tap.findData(chosen), 0))

    def _on_source(self) -> None:
        self._show_taps()
        with QSignalBlocker(self.tap):
            self.tap.setCurrentIndex(0)  # another network has other layers
        with QSignalBlocker(self.comparison):
            self.choose_comparison(self.choice.comparison)
        self.changed.emit()

    def _on_file(self) -> None:
        found, _ = QFileDialog.getOpenFileName(
            self, "Weights of a network", "", "Weights (*.safetensors)"
        )
        if found:
            self.choose_source(f"network:{found}")

    def _on_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "The folder of a run")
        if found:
            self.choose_source(f"network:{found}")

    def _on_layers(self, _: Any = None) -> None:
        before, ticked = self._layers, self.ticked
        self._layers = [layer for layer in reversed(self._viewer.layers) if _is_scan(layer)]
        first = not before and bool(self._layers)
        with QSignalBlocker(self.scans):
            self.scans.clear()
            for number, layer in enumerate(self._layers):
                item = QListWidgetItem(layer.name)
                item.setToolTip(layer.name)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(_state(layer in ticked or (first and number == 0)))
                self.scans.addItem(item)
        gone = [layer for layer in before if layer not in self._layers]
        for layer in gone:
            self.gone.emit(layer)
        if gone or first or self.ticked != ticked:
            self.changed.emit()


def _state(ticked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo


def _is_scan(layer: Any) -> bool:
    from napari.layers import Image

    if not isinstance(layer, Image) or layer.ndim != 3 or layer.rgb:
        return False
    return layer.metadata.get(METADATA_KEY, {}).get(ROLE) is None
