"""The tab "Map": which drawings of the coordinates are in the viewer."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QWidget

from napari_mrissl.ui.inspector.coordinates.work import Loaded
from napari_mrissl.ui.recorder.parts import column, label_of, row, sentence, whole_number

AXES = ("right", "anterior", "superior")


class MapTab(QWidget):
    """Ticks of layers, and which coordinate lines and arrows are of.

    Attributes
    ----------
    changed : Signal()
        Other drawings are wanted.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colours = _tick(
            "Colours", "The three coordinates as red, green and blue; air is black", on=True
        )
        self.lines = _tick(
            "Iso-lines",
            "Black lines along which a coordinate is the same, and the outline",
            on=True,
        )
        self.arrows = _tick(
            "Gradient arrows",
            "Where a coordinate rises, and how steeply: 8 mm long where it rises by 1 mm a mm",
        )
        self.folds = _tick("Folds", "Where coordinates are mirrored or flat, in red")
        self.axis = QComboBox()
        self.axis.addItems(AXES)
        self.axis.setCurrentIndex(2)
        self.axis.setToolTip("Which coordinate the iso-lines and arrows are of")
        self.each = whole_number(2, 100, 10, "Between two iso-lines")
        self.each.setSuffix(" mm")
        self.legend = sentence("What the colours mean")
        self.facts = sentence("How much of the body is folded")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(self.colours, self.folds))
        layout.addLayout(row(self.lines, self.arrows))
        layout.addLayout(
            row(
                label_of("Of", self.axis), (self.axis, 1), label_of("A line each", self.each),
                self.each,
            )
        )  # fmt: skip
        layout.addWidget(self.legend)
        layout.addWidget(self.facts)
        layout.addStretch(1)
        for box in (self.colours, self.lines, self.arrows, self.folds):
            box.toggled.connect(lambda _: self.changed.emit())
        self.axis.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.each.valueChanged.connect(lambda _: self.changed.emit())

    def show_loaded(self, loaded: Loaded) -> None:
        """Say what the colours mean and how much is folded."""
        low, high = loaded.drawn.low, loaded.drawn.high
        names = ("red to the right", "green to anterior", "blue to superior")
        ranges = [
            f"{name}, {first:.0f} to {last:.0f} mm"
            for name, first, last in zip(names, low, high, strict=True)
        ]
        own = loaded.field.own_axes
        begin = "Axes are fitted to this very scan: " if own else "Colours rise: "
        self.legend.setText(f"{begin}{'; '.join(ranges)}.")
        self.facts.setText(
            f"Folded: {100 * loaded.field.folded:.1f} % of the body (chance 50 %). Lines are "
            "closer where the network stretches the body."
        )

    def clear(self) -> None:
        """Say nothing."""
        self.legend.setText("")
        self.facts.setText("")


def _tick(text: str, tip: str, *, on: bool = False) -> QCheckBox:
    box = QCheckBox(text)
    box.setChecked(on)
    box.setToolTip(tip)
    return box
