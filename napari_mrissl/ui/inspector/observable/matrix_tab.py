"""The tab "Matrix": gaps between views, true, predicted, and how far apart; one cell in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QSlider, QWidget

from napari_mrissl.pretext.observable.gaps import AXES, Channel
from napari_mrissl.pretext.observable.observations import GapMatrix, ViewPair
from napari_mrissl.ui.inspector.observable import boxes
from napari_mrissl.ui.inspector.observable.choice import FEWEST, MOST, Choice
from napari_mrissl.ui.inspector.observable.heat_map import HeatMap, limits_of
from napari_mrissl.ui.inspector.observable.legend import legend
from napari_mrissl.ui.inspector.observable.pair_pictures import PairPictures
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

if TYPE_CHECKING:
    from napari.components import ViewerModel

CHANNELS: tuple[Channel, ...] = ("norm", *AXES)
_CHANNEL_WORDS = ("length", "along R", "along A", "along S")
HEADS = ("gaps", "vectors")
_HEAD_WORDS = ("gap head", "vector head")
_KEYS = "Click a cell, or walk with the arrow keys; T exchanges row and column."


class MatrixTab(QWidget):
    """Three heat maps of one matrix, the controls of its views, and the chosen pair.

    Parameters
    ----------
    viewer
        That the slices of the chosen pair are linked with.

    Attributes
    ----------
    shown_changed : Signal()
        Another component, head or scale.
    cell_chosen : Signal(int, int)
        By mouse or keys.
    count_chosen : Signal(int)
        How many views.
    lagging_toggled : Signal(bool)
        The slowly following copy is to look, or no longer.
    new_wanted, back_wanted, forward_wanted : Signal()
        Buttons.
    maps : tuple of HeatMap
        True, predicted and predicted minus true.
    """

    shown_changed = Signal()
    cell_chosen = Signal(int, int)
    count_chosen = Signal(int)
    lagging_toggled = Signal(bool)
    new_wanted = Signal()
    back_wanted = Signal()
    forward_wanted = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._matrix: GapMatrix | None = None
        self.channel = _combo(_CHANNEL_WORDS, "Which part of a gap: its length, or one axis of it")
        self.head = _combo(_HEAD_WORDS, "Whose answers: of the head for gaps, or for vectors")
        self.together = QCheckBox("one scale")
        self.together.setChecked(True)
        self.together.setToolTip("True and predicted gaps in the same colours, or each in its own")
        self.count = QSlider(Qt.Orientation.Horizontal)
        self.count.setRange(FEWEST, MOST)
        self.count.setPageStep(1)
        self.count.setMinimumWidth(50)
        # The network looks once the slider is let go.
        self.count.setTracking(False)
        self.count.setToolTip(
            "How many views are looked at, 3 to 12; more than in training is fine"
        )
        self.number = QLabel()
        self.number.setMinimumWidth(18)
        self.number.setToolTip(self.count.toolTip())
        self.new = button("New views", "Draw other views of this scan")
        self.back = button("Back", "Take back the last change of views or cell")
        self.forward = button("Forward", "Do the change again that was taken back")
        self.lagging = QCheckBox("slow copy")
        self.lagging.setToolTip(
            "Let the slowly following copy of the network look at all views but the first, as in "
            "training: while it lags, a cross in the errors"
        )
        self.camera = QCheckBox("camera")
        self.camera.setChecked(True)
        self.camera.setToolTip("Bring the main view to the chosen views, and frame them")
        self.maps = (
            HeatMap("true", f"True gaps from row to column. {_KEYS}"),
            HeatMap("predicted", f"Predicted gaps from row to column. {_KEYS}"),
            HeatMap("error", f"Predicted minus true. {_KEYS}"),
        )
        self.legend = legend(
            (boxes.VIEW_I, "i"), (boxes.VIEW_J, "j"), (boxes.TRUE_GAP, "true"),
            (boxes.PREDICTED_GAP, "predicted"),
        )  # fmt: skip
        self.hover = sentence("The cell under the mouse, or the chosen one")
        self.pair = sentence("The gap of the chosen cell along the scan's axes, R, A, S")
        self.pictures = PairPictures(viewer)
        self.facts = sentence("How good these answers are, beside the best constant ones")
        self.hints = sentence("Known failures of the method that apply here")
        self.hints.setStyleSheet("font-size: 11px;")
        self._arrange()
        self._connect()

    @property
    def chosen_channel(self) -> Channel:
        """Which part of gaps is shown."""
        return CHANNELS[self.channel.currentIndex()]

    @property
    def chosen_head(self) -> str:
        """Whose answers are shown."""
        return HEADS[self.head.currentIndex()]

    def show_choice(self, choice: Choice) -> None:
        """Show what was chosen, without a signal."""
        with QSignalBlocker(self.count), QSignalBlocker(self.lagging):
            self.count.setValue(choice.count)
            self.lagging.setChecked(choice.lagging)
        self.number.setText(str(choice.count))

    def show_history(self, *, back: bool, forward: bool) -> None:
        """Whether there is something to take back, or to do again."""
        self.back.setEnabled(back)
        self.forward.setEnabled(forward)

    def show_matrix(self, matrix: GapMatrix, cell: tuple[int, int]) -> None:
        """Draw a matrix and mark a cell."""
        self._matrix = matrix
        true, predicted, error = matrix.channel(self.chosen_channel)
        one = limits_of(true, predicted)
        together = self.together.isChecked()
        scales = (one, one) if together else (limits_of(true), limits_of(predicted))
        for values, scale, shown in zip(
            (true, predicted, error), (*scales, _both_ways(limits_of(error))), self.maps,
            strict=True,
        ):  # fmt: skip
            shown.present(values, scale)
            shown.mark(cell)
        self._on_hover(-1, -1)

    def show_pair(self, pair: ViewPair) -> None:
        """Say what the chosen cell is."""
        true, predicted = (
            " ".join(f"{value:+.0f}" for value in way) for way in (pair.true_mm, pair.predicted_mm)
        )
        self.pair.setText(
            f"View {pair.i} to {pair.j}, along R A S: true {true} mm, predicted {predicted} mm; "
            f"off by {pair.error_mm:.0f} mm."
        )

    def clear(self) -> None:
        """Show nothing."""
        self._matrix = None
        for one in self.maps:
            one.clear()
        for label in (self.hover, self.pair, self.facts, self.hints):
            label.setText("")
        self.pictures.clear()

    def _arrange(self) -> None:
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(
            row(
                label_of("Show", self.channel), (self.channel, 1), (self.head, 1), self.together
            )
        )  # fmt: skip
        layout.addLayout(
            row(label_of("Views", self.count), (self.count, 1), self.number, self.new, self.back,
                self.forward)
        )  # fmt: skip
        layout.addLayout(row(*((one, 1) for one in self.maps)))
        layout.addWidget(self.hover)
        layout.addLayout(row(self.camera, self.lagging, (self.legend, 1)))
        layout.addWidget(self.pair)
        layout.addWidget(self.pictures)
        layout.addWidget(self.facts)
        layout.addWidget(self.hints)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.channel.currentIndexChanged.connect(lambda _: self.shown_changed.emit())
        self.head.currentIndexChanged.connect(lambda _: self.shown_changed.emit())
        self.together.toggled.connect(lambda _: self.shown_changed.emit())
        self.count.sliderMoved.connect(lambda value: self.number.setText(str(value)))
        self.count.valueChanged.connect(self.count_chosen)
        self.lagging.toggled.connect(self.lagging_toggled)
        self.new.clicked.connect(self.new_wanted)
        self.back.clicked.connect(self.back_wanted)
        self.forward.clicked.connect(self.forward_wanted)
        for one in self.maps:
            one.cell_chosen.connect(self.cell_chosen)
            one.hovered.connect(self._on_hover)

    def _on_hover(self, i: int, j: int) -> None:
        """Say the numbers of the cell under the mouse, or else of the marked one."""
        if self._matrix is None:
            return
        if i < 0:
            i, j = self.maps[0].cell or (0, 0)
        true, predicted, error = (
            float(one.values[i, j]) for one in self.maps if one.values is not None
        )
        self.hover.setText(
            f"{i} → {j}, {_CHANNEL_WORDS[self.channel.currentIndex()]}: true {true:.1f} mm, "
            f"predicted {predicted:.1f} mm, error {error:+.1f} mm"
        )


def _both_ways(limits: tuple[float, float]) -> tuple[float, float]:
    return -limits[1], limits[1]


def _combo(words: tuple[str, ...], tip: str) -> QComboBox:
    combo = QComboBox()
    combo.addItems(list(words))
    combo.setToolTip(tip)
    return combo
