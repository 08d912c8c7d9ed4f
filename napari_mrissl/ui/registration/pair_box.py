"""Which scans are registered, and what is known of them: labels, masks, points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QWidget

from napari_mrissl.ui.explorer.landmark_pair import LANDMARKS
from napari_mrissl.ui.inspector.source_box import is_scan
from napari_mrissl.ui.recorder.parts import button
from napari_mrissl.ui.registration.asked import Side
from napari_mrissl.ui.segmenter.prompt_layers import role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_EVENTS = ("inserted", "removed", "renamed", "reordered")
FIXED, MOVING = "fixed", "moving"
_LEAST_WIDTH = 90
ROWS = ("scan", "labels", "mask", "points")
_TITLES = {"scan": "Scan", "labels": "Labels", "mask": "Mask", "points": "Points"}
_TIPS = {
    (FIXED, "scan"): "The scan that stays: results are on its grid",
    (MOVING, "scan"): "The scan that is brought onto the fixed one",
    (FIXED, "labels"): "A label map of the fixed scan: Dice and HD95 are measured",
    (MOVING, "labels"): "A label map of the moving scan: it is moved with it",
    (FIXED, "mask"): "Labels of the fixed scan: where they are 0 nothing is compared",
    (MOVING, "mask"): "Labels of the moving scan: where they are 0 nothing is compared",
    (FIXED, "points"): "Landmarks in the fixed scan, in the order of those in the moving one",
    (MOVING, "points"): "Landmarks in the moving scan: their error is measured in mm",
}


class LayerChoice(QComboBox):
    """A choice of layers that follows a list of them.

    Parameters
    ----------
    title, tip
        What is chosen, for those who cannot see the row; and what for.
    fits
        Whether a layer can be chosen.
    nothing
        What no choice is called; ``""`` where something must be chosen.
    """

    def __init__(self, title: str, tip: str, fits: Callable[[Any], bool], nothing: str) -> None:
        super().__init__()
        self._fits, self._nothing = fits, nothing
        self._layers: list[Any] = []
        self.setAccessibleName(title)
        self.setToolTip(tip)
        # Two beside each other in a narrow dock: by its hint each would be wider.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(_LEAST_WIDTH)
        self.setPlaceholderText("open one")
        self._tip = tip
        # Names are longer than the field.
        self.currentTextChanged.connect(self._say_name)

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        number = self.currentIndex() - bool(self._nothing)
        return self._layers[number] if 0 <= number < len(self._layers) else None

    @property
    def layers(self) -> list[Any]:
        """All that can be chosen."""
        return list(self._layers)

    def offer(self, layers: Iterable[Layer]) -> None:
        """Offer those of the layers that fit; the chosen one stays chosen. Emits nothing."""
        chosen = self.layer
        self._layers = [layer for layer in layers if self._fits(layer)]
        with QSignalBlocker(self):
            self.clear()
            self.addItems([*([self._nothing] if self._nothing else []), *self._names])
            for number, name in enumerate(self._names):
                self.setItemData(number + bool(self._nothing), name, Qt.ItemDataRole.ToolTipRole)
            if chosen in self._layers:
                self.setCurrentIndex(self._layers.index(chosen) + bool(self._nothing))
            else:
                # With a placeholder, a combo box chooses nothing by itself.
                self.setCurrentIndex(0 if self._nothing else -1)
        self._say_name()
        self.setEnabled(bool(self._layers))

    def choose(self, layer: Any) -> None:
        """Choose a layer that is offered, or with None nothing."""
        number = self._layers.index(layer) if layer in self._layers else -1
        self.setCurrentIndex(number + bool(self._nothing))

    def choose_name(self, name: str) -> bool:
        """Choose a layer by its name; False if none is called so."""
        if name in self._names:
            self.choose(self._layers[self._names.index(name)])
        return name in self._names

    def _say_name(self, _: str = "") -> None:
        layer = self.layer
        self.setToolTip(self._tip if layer is None else f"{layer.name}\n{self._tip}")

    def forget(self) -> None:
        """Let go of all layers."""
        self._layers = []

    @property
    def _names(self) -> list[str]:
        return [layer.name for layer in self._layers]


class PairBox(QWidget):
    """Pickers for both scans, side by side.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.

    Attributes
    ----------
    changed : Signal()
        Something else is chosen, or what was chosen has gone.
    swapped : Signal()
        The two scans were exchanged.
    choices : dict of LayerChoice
        By side and row (`ROWS`).
    """

    changed = Signal()
    swapped = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        fits = {"scan": is_scan, "labels": _is_labels, "mask": _is_labels, "points": _is_points}
        self.choices = {
            (side, row): LayerChoice(
                f"{side} {row}", _TIPS[side, row], fits[row], "" if row == "scan" else "none"
            )
            for row in ROWS
            for side in (FIXED, MOVING)
        }
        self.swap = button("Swap", "Exchange the fixed and the moving scan with all of theirs")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setSpacing(4)
        grid.addWidget(self.swap, 0, 0)
        for number, side in enumerate((FIXED, MOVING), 1):
            heading = QLabel(side.capitalize())
            heading.setStyleSheet("font-weight: bold;")
            grid.addWidget(heading, 0, number)
            grid.setColumnStretch(number, 1)
            for place, row in enumerate(ROWS, 1):
                grid.addWidget(self.choices[side, row], place, number)
        for place, row in enumerate(ROWS, 1):
            label = QLabel(_TITLES[row])
            label.setToolTip(_TIPS[FIXED, row])
            grid.addWidget(label, place, 0)
        for choice in self.choices.values():
            choice.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.swap.clicked.connect(self._on_swap)
        for name in _EVENTS:
            getattr(viewer.layers.events, name).connect(self._on_layers)
        self._on_layers()

    def side(self, name: str) -> Side:
        """What is chosen of the ``"fixed"`` or the ``"moving"`` scan."""
        return Side(*(self.choices[name, row].layer for row in ROWS))

    def choose(self, side: str, row: str, layer: Any) -> None:
        """Choose a layer, or with None nothing."""
        self.choices[side, row].choose(layer)

    def disconnect_viewer(self) -> None:
        """Stop following the viewer's layers, and let go of them."""
        for name in _EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self._on_layers)
        for choice in self.choices.values():
            choice.forget()

    def _on_layers(self, _: Any = None) -> None:
        before = self._chosen
        layers = list(self._viewer.layers)
        for choice in self.choices.values():
            choice.offer(layers)
        # The first two scans that are open.
        scans = [layer for layer in layers if is_scan(layer)]
        for side, other in ((FIXED, MOVING), (MOVING, FIXED)):
            choice, taken = self.choices[side, "scan"], self.choices[other, "scan"].layer
            free = [layer for layer in scans if layer is not taken]
            if choice.layer is None and free:
                with QSignalBlocker(choice):
                    choice.choose(free[0])
        if self._chosen != before:
            self.changed.emit()

    @property
    def _chosen(self) -> list[Any]:
        return [choice.layer for choice in self.choices.values()]

    def _on_swap(self) -> None:
        with QSignalBlocker(self):
            for row in ROWS:
                one, other = self.choices[FIXED, row], self.choices[MOVING, row]
                first, second = one.layer, other.layer
                one.choose(second)
                other.choose(first)
        self.swapped.emit()
        self.changed.emit()


def _is_labels(layer: Any) -> bool:
    from napari.layers import Labels

    return isinstance(layer, Labels) and layer.ndim == 3 and role_of(layer)[0] is None


def _is_points(layer: Any) -> bool:
    from napari.layers import Points

    ours = (None, LANDMARKS)
    return isinstance(layer, Points) and layer.ndim == 3 and role_of(layer)[0] in ours
