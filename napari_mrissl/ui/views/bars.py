"""The row of controls above the panes and the line of values below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from napari_mrissl.ui.pictures.cuts import LABEL_STYLES
from napari_mrissl.ui.pictures.parts import label_at, value_at
from napari_mrissl.ui.views.gestures import KEYS, MOUSE
from napari_mrissl.ui.views.pane import PANE_KINDS
from napari_mrissl.ui.views.presenter import FLICKER_HERTZ, MODES

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_mrissl.ui.pictures.scene import Scene

ALL_PANES = "all"
_STYLE_WORDS = {"filled": "filled", "contours": "outlined", "both": "both"}


class ViewsBar(QWidget):
    """Which panes, how volumes are compared, how labels are drawn, contrast, undo.

    Attributes
    ----------
    layout_chosen, mode_chosen, style_chosen : Signal(str)
        One of ``all`` and `PANE_KINDS`, `MODES`, `LABEL_STYLES`.
    contrast_chosen : Signal(object)
        The Image layer whose contrast is to be changed.
    """

    layout_chosen = Signal(str)
    mode_chosen = Signal(str)
    style_chosen = Signal(str)
    contrast_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers: list[Image] = []
        self.layout_box = _box(
            [("four views", ALL_PANES), *((kind, kind) for kind in PANE_KINDS)],
            "Which slices are shown; double-click a slice to see it alone, or all four again",
        )
        self.mode_box = _box(
            [(mode, mode) for mode in MODES],
            "Several visible images: over each other, in turns, or each in a picture of its own",
        )
        self.rate = QDoubleSpinBox()
        self.rate.setRange(0.5, 10.0)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setValue(FLICKER_HERTZ)
        self.rate.setSuffix(" /s")
        self.rate.setToolTip("How many images a second the flicker shows")
        self.rate.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.rate.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.rate.setVisible(False)
        self.style_box = _box(
            [(_STYLE_WORDS[style], style) for style in LABEL_STYLES],
            "How labels are drawn: filled, outlined or both. Opacity, colours and a contour of "
            "their own are set in the layer list",
        )
        self.contrast_box = _box([], "The image whose contrast the right mouse button changes")
        self.contrast_box.setMinimumContentsLength(8)
        self.auto = _button("Auto", "This image in its scan's own contrast (double right click)")
        self.fit = _button("Fit", "Show the whole scan in all panes (Home: in one)")
        self.undo = _button("Undo", "Take back the last move or contrast (U)")
        self.redo = _button("Redo", "Do it again (Shift+U)")
        self.help = _button("?", "All keys and mouse gestures")
        self.help.setFixedWidth(28)
        self._arrange()
        self.layout_box.currentIndexChanged.connect(self._on_layout)
        self.mode_box.currentIndexChanged.connect(self._on_mode)
        self.style_box.currentIndexChanged.connect(self._on_style)
        self.contrast_box.currentIndexChanged.connect(self._on_contrast)

    def show_images(self, layers: list[Image], target: Image | None) -> None:
        """List the visible images, the topmost first, with the one whose contrast is changed."""
        names = [layer.name for layer in layers]
        shown = [self.contrast_box.itemText(n) for n in range(self.contrast_box.count())]
        self.contrast_box.blockSignals(True)
        if shown != names:
            self.contrast_box.clear()
            self.contrast_box.addItems(names)
        self._layers = list(layers)
        if target in layers and self.contrast_box.currentIndex() != layers.index(target):
            self.contrast_box.setCurrentIndex(layers.index(target))
        self.contrast_box.blockSignals(False)
        for control in (self.contrast_box, self.auto):
            control.setEnabled(bool(layers))

    def choose(self, box: QComboBox, value: str) -> None:
        """Choose an entry by what it stands for."""
        index = box.findData(value)
        if index >= 0:
            box.setCurrentIndex(index)

    def _on_layout(self) -> None:
        self.layout_chosen.emit(self.layout_box.currentData())

    def _on_style(self) -> None:
        self.style_chosen.emit(self.style_box.currentData())

    def _on_mode(self) -> None:
        mode = self.mode_box.currentData()
        self.rate.setVisible(mode == "flicker")
        self.mode_chosen.emit(mode)

    def _on_contrast(self, index: int) -> None:
        if 0 <= index < len(self._layers):
            self.contrast_chosen.emit(self._layers[index])

    def _arrange(self) -> None:
        # Rows fill up as far as the dock is wide, so that it may be narrow.
        layout = QFlowLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(6)
        layout.setVerticalSpacing(3)
        for name, *fields in (
            ("Show", self.layout_box),
            ("Images", self.mode_box, self.rate),
            ("Labels", self.style_box),
            ("Contrast", self.contrast_box, self.auto),
            ("", self.fit, self.undo, self.redo, self.help),
        ):
            layout.addWidget(_group(name, *fields))


class Values(QWidget):
    """What is under the mouse in every visible layer, in one line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel(" ")
        self.note = QLabel()
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self._whole = ""
        # The line changes under a moving mouse; the panes must keep their size meanwhile.
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.text.setToolTip("Under the mouse: place in RAS mm, and value or label of each layer")
        self.note.setVisible(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.note)

    @property
    def whole(self) -> str:
        """The line as it is where there is room for all of it."""
        return self._whole

    def show_point(self, point: NDArray[np.float64] | None, scene: Scene) -> None:
        """Say what is at a point (3,) in world mm; None: nothing is under the mouse."""
        self._whole = "" if point is None else described(point, scene)
        self._elide()

    def show_notes(self, loading: list[str], problems: list[str]) -> None:
        """Say which layers are still computed, and how many cannot be drawn."""
        words = [f"loading {name} …" for name in loading[:1]]
        if problems:
            count = len(problems)
            words.append(f"{count} layer{'s' if count > 1 else ''} not shown")
        self.note.setText(", ".join(words))
        self.note.setToolTip("\n".join(problems) or "Voxels are computed in the background")
        self.note.setVisible(bool(words))

    def say(self, sentence: str) -> None:
        """Say something else, until the mouse moves."""
        self._whole = sentence
        self._elide()

    def resizeEvent(self, event) -> None:
        """Show as much of the line as there is room for."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        width = max(self.text.width(), 40)
        metrics = self.text.fontMetrics()
        mode = Qt.TextElideMode.ElideRight
        self.text.setText(metrics.elidedText(self._whole, mode, width) or " ")


def described(point: NDArray[np.float64], scene: Scene) -> str:
    """Place, values and label names at a point (3,) in world mm."""
    r, a, s = point
    words = [f"R {r:+.1f}  A {a:+.1f}  S {s:+.1f} mm"]
    for _, part in reversed(scene.images):
        value = value_at(part.volume, point)
        words.append(f"{part.name}: {'outside' if value is None else f'{value:.5g}'}")
    for _, part in reversed(scene.labels):
        label = label_at(part, point)
        if label:
            name = part.names.get(label)
            words.append(f"{part.name}: {label}{f' {name}' if name else ''}")
    return "   ".join(words)


class ViewsSheet(QDialog):
    """All keys and mouse gestures of the panes on one sheet."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Slice views: keys and mouse")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        outer = QVBoxLayout(self)
        outer.addWidget(QLabel("Keys work in the pane that was clicked last."))
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(3)
        for row, (name, meaning) in enumerate((*MOUSE, ("", ""), *KEYS)):
            grid.addWidget(QLabel(f"<b>{name}</b>"), row, 0)
            grid.addWidget(QLabel(meaning), row, 1)
        outer.addLayout(grid)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setToolTip("Close this sheet")
        buttons.rejected.connect(self.close)
        outer.addWidget(buttons)


def _box(entries: list[tuple[str, str]], tip: str) -> QComboBox:
    box = QComboBox()
    for text, value in entries:
        box.addItem(text, value)
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    return box


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _group(name: str, *fields: QWidget) -> QWidget:
    group = QWidget()
    layout = QHBoxLayout(group)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    if name:
        label = QLabel(name)
        label.setToolTip(fields[0].toolTip())
        label.setBuddy(fields[0])
        layout.addWidget(label)
    for field in fields:
        layout.addWidget(field)
    return group
