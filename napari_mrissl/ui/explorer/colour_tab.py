"""The tab "Look": features as colours, one channel, their length, and all channels as a grid."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QScrollArea, QSlider, QWidget

from napari_mrissl.features.projections import Projection
from napari_mrissl.ui.explorer.work import Grid
from napari_mrissl.ui.inspector.vectorpose.parts import ImageStrip
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

_BEGIN = "Compute features, then show them in the viewer."


class ColourTab(QWidget):
    """What of the features is shown in the viewer, and the channels of the slice in view.

    Attributes
    ----------
    colours_wanted, length_wanted, hide_wanted : Signal()
        Show three colours, or the length; hide what is shown.
    channel_wanted : Signal(int)
        Show this channel.
    grid_changed : Signal()
        The grid is to be drawn anew, as for another scan.
    """

    colours_wanted = Signal()
    length_wanted = Signal()
    hide_wanted = Signal()
    channel_wanted = Signal(int)
    grid_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._title = ""
        self.colours = button(
            "Colours",
            "The three directions in which the features of all explored scans together vary most, "
            "as red, green and blue: equal colours mean equal features",
        )
        self.one = button("Channel", "The channel of the slider, on one range for all scans")
        self.length = button("Length", "The length (L2) of every voxel's features, as compared")
        self.hide_all = button("Hide", "Hide colours and channels; Colours or Channel bring back")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip("Which channel is shown")
        self.slider.setPageStep(1)
        self.slider.setRange(0, 0)
        self.name = sentence("Name of the channel")
        self.facts = sentence("What the colours hold")
        self.scan = QComboBox()
        self.scan.setToolTip("The scan whose channels are drawn below, in the slice in view")
        self.scan.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.scan.setMinimumContentsLength(8)
        self.grid = ImageStrip(84, 150)
        self.grid.setToolTip(
            "All channels in the slice in view, as it lies in the main view, each on its own range"
        )
        scroll = QScrollArea()
        scroll.setWidget(self.grid)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(
            row((self.colours, 1), (self.one, 1), (self.length, 1), (self.hide_all, 1))
        )
        layout.addWidget(self.facts)
        layout.addLayout(row(label_of("Channel", self.slider), (self.slider, 1)))
        layout.addWidget(self.name)
        layout.addLayout(row(label_of("All channels of", self.scan), (self.scan, 1)))
        layout.addWidget(scroll, 1)
        self.colours.clicked.connect(self.colours_wanted)
        self.one.clicked.connect(lambda: self.channel_wanted.emit(self.slider.value()))
        self.length.clicked.connect(self.length_wanted)
        self.hide_all.clicked.connect(self.hide_wanted)
        self.slider.valueChanged.connect(self._on_slider)
        self.scan.currentIndexChanged.connect(lambda _: self.grid_changed.emit())
        self.present((), ())

    @property
    def chosen_scan(self) -> int:
        """Which of the scans the grid shows; -1 for none."""
        return int(self.scan.currentIndex())

    def present(self, scans: Sequence[str], names: tuple[str, ...], title: str = "") -> None:
        """Offer these scans and channels of features of that title."""
        before = self.scan.currentText()
        with QSignalBlocker(self.scan):
            self.scan.clear()
            self.scan.addItems(list(scans))
            self.scan.setCurrentIndex(max(self.scan.findText(before), 0) if scans else -1)
        self._names = names
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(len(names) - 1, 0))
        there, known = bool(scans), self._title == title
        self._title = title
        for one in (self.colours, self.one, self.length, self.hide_all, self.slider, self.scan):
            one.setEnabled(there)
        if not there:
            self.facts.setText(_BEGIN)
            self.grid.present([])
        elif self.facts.text() == _BEGIN or not known:
            self.facts.setText(f"Features: {title}.")
        self._show_name()

    def set_channel(self, number: int) -> None:
        """Put the slider to a channel, without a signal."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(number)
        self._show_name()

    def show_projection(self, projection: Projection, scans: int) -> None:
        """Say how much of the features the colours hold."""
        red, green, blue = (f"{100 * share:.0f}" for share in projection.explained)
        of = "the scan" if scans == 1 else f"{scans} scans together"
        self.facts.setText(
            f"Features: {self._title}. Red, green and blue hold {red}, {green} and {blue} % of "
            f"the variance of {of}."
        )

    def show_grid(self, grid: Grid) -> None:
        """Draw the slice of every channel."""
        self.grid.present(grid.images, grid.aspect)

    def _on_slider(self, number: int) -> None:
        self._show_name()
        self.channel_wanted.emit(number)

    def _show_name(self) -> None:
        number = self.slider.value()
        there = number < len(self._names)
        self.name.setText(
            f"{number + 1} of {len(self._names)}: {self._names[number]}" if there else ""
        )
