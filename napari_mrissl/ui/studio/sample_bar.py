"""Which stage of which sample is shown, and how."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QSlider, QWidget

from napari_mrissl.synthesis.engine import TITLES
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence, whole_number
from napari_mrissl.ui.studio.canvas import PLANES
from napari_mrissl.ui.studio.sample import STAGES, Sample

SIDES = (32, 48, 64, 96, 128)
"""Voxels along each side of what can be shown."""

ALL_PLANES = "All planes"


class StageBar(QWidget):
    """Steps through the stages.

    Attributes
    ----------
    chosen : Signal(str)
        A stage's name.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.before = button("◀", "The stage before (left arrow key on the pictures)")
        self.next = button("▶", "The next stage (right arrow key on the pictures)")
        for one in (self.before, self.next):
            one.setFixedWidth(34)
        self.before.setAccessibleName("Stage before")
        self.next.setAccessibleName("Next stage")
        self.box = QComboBox()
        self.box.setToolTip("The stage that is shown; those that changed nothing are marked")
        for name in STAGES:
            self.box.addItem(TITLES[name], name)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, len(STAGES) - 1)
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.slider.setToolTip("Through all stages, from the templates to the finished views")
        self.slider.setAccessibleName("Stage")
        self.facts = sentence("What was drawn for this stage of this sample")
        # Room for two lines, so that the pictures keep their size from stage to stage.
        self.facts.setMinimumHeight(2 * self.facts.fontMetrics().lineSpacing())
        self.before.clicked.connect(lambda: self.step(-1))
        self.next.clicked.connect(lambda: self.step(1))
        self.box.currentIndexChanged.connect(self._show)
        self.slider.valueChanged.connect(self.box.setCurrentIndex)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(label_of("Stage", self.box), self.before, (self.box, 1), self.next))
        layout.addWidget(self.slider)
        layout.addWidget(self.facts)
        self.choose(STAGES[-1])

    @property
    def stage(self) -> str:
        """Name of the stage that is shown."""
        return str(self.box.currentData())

    def choose(self, name: str) -> None:
        """Show a stage by its name."""
        self.box.setCurrentIndex(self.box.findData(name))

    def step(self, count: int) -> None:
        """Go on by so many stages, as far as there are any."""
        self.box.setCurrentIndex(min(max(self.box.currentIndex() + count, 0), len(STAGES) - 1))

    def show_sample(self, sample: Sample) -> None:
        """Mark what did not act, and say what was drawn."""
        for number, shown in enumerate(sample.stages.values()):
            if all(shown.acted):
                mark = ""
            elif any(shown.acted):
                mark = f"  (view {'AB'[shown.acted.index(True)]} only)"
            else:
                mark = "  (not drawn)"
            self.box.setItemText(number, f"{number + 1}. {shown.title}{mark}")
        self.facts.setText(sample.stages[self.stage].facts())

    def _show(self, number: int) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(number)
        self.before.setEnabled(number > 0)
        self.next.setEnabled(number < len(STAGES) - 1)
        self.chosen.emit(self.stage)


class SampleBar(QWidget):
    """Seed, index and size of the sample, the planes shown, and what can be done with it.

    Attributes
    ----------
    changed : Signal()
        Another sample is wanted.
    looks_changed : Signal()
        The same sample is to be shown otherwise.
    """

    changed = Signal()
    looks_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.seed = whole_number(0, 2**31 - 1, 0, "The same seed and index give the same sample")
        self.index = whole_number(0, 2**31 - 1, 0, "Number of the sample under this seed")
        self.new = button("New sample", "The sample of the next index")
        self.side = QComboBox()
        self.side.setToolTip(
            "Voxels along each side of what is shown; training has the side of the settings"
        )
        for side in SIDES:
            self.side.addItem(f"{side}³", side)
        self.side.setCurrentIndex(SIDES.index(64))
        self.planes = QComboBox()
        self.planes.addItems([ALL_PLANES, *(plane.capitalize() for plane in PLANES)])
        self.planes.setToolTip("Planes that are shown; one alone is larger")
        self.overlay = QCheckBox("Labels")
        self.overlay.setToolTip("Lay the label map over the views")
        self.whole = button("Whole", "Whole slices: undo zoom and pan (Home, or double-click)")
        self.add = button(
            "Add to viewer", "Both views and their labels as layers, with voxels of 1 mm"
        )
        self.memory = sentence("Memory that the shown sample takes, and that a training pair takes")
        self.new.clicked.connect(lambda: self.index.setValue(self.index.value() + 1))
        self.seed.valueChanged.connect(self.changed)
        self.index.valueChanged.connect(self.changed)
        self.side.currentIndexChanged.connect(self.changed)
        self.planes.currentIndexChanged.connect(self.looks_changed)
        self.overlay.toggled.connect(self.looks_changed)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            row(
                label_of("Seed", self.seed),
                (self.seed, 1),
                label_of("Index", self.index),
                (self.index, 1),
                (self.new, 1),
            )
        )
        layout.addLayout(
            row(
                label_of("Size", self.side),
                self.side,
                (self.planes, 1),
                self.overlay,
                self.whole,
                self.add,
            )
        )
        layout.addWidget(self.memory)
        for box in (self.seed, self.index):
            box.setMinimumWidth(64)

    @property
    def shown_planes(self) -> tuple[str, ...]:
        """Names of the planes to be shown."""
        number = self.planes.currentIndex()
        return PLANES if number == 0 else (PLANES[number - 1],)
