"""The tab "Probe": Dice by noise and level of the decoder; a cell shows its features."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QTableWidget, QTableWidgetItem, QWidget

from napari_mrissl.ui.inspector.diffusion.probe_grid import ProbeGrid
from napari_mrissl.ui.inspector.navigation.picture import heat
from napari_mrissl.ui.inspector.observable.heat_map import SEQUENTIAL
from napari_mrissl.ui.recorder.parts import button, column, row, sentence

_CLICK = "Click a cell: its features of the patch become a layer of colours."
_MISSING = "Open the folder of a benchmark to see the Dice of probes on each."
_DICE = "The numbers are the Dice of probes on the features of each cell."


class ProbeTab(QWidget):
    """A grid whose cells are clicked.

    Attributes
    ----------
    open_wanted, remove_wanted : Signal()
        Buttons.
    cell_chosen : Signal(int, int)
        Row and column.
    grid : ProbeGrid or None
        What is shown.
    """

    open_wanted = Signal()
    remove_wanted = Signal()
    cell_chosen = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.grid: ProbeGrid | None = None
        self.open = button("Open table…", "The folder of a benchmark of diffusion")
        self.remove = button("Remove", "Take the features out of the viewer")
        self.table = QTableWidget(0, 0)
        self.table.setToolTip("Rows: noise; columns: levels of the decoder, from the deepest")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(header.ResizeMode.Stretch)
        self.table.setMinimumHeight(190)
        self.words = sentence("What is shown")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row((self.open, 1), (self.remove, 1)))
        layout.addWidget(self.table)
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.open.clicked.connect(self.open_wanted)
        self.remove.clicked.connect(self.remove_wanted)
        self.table.cellClicked.connect(self.cell_chosen)
        self.clear()

    def show_grid(self, grid: ProbeGrid) -> None:
        """Show a table; what was said of features is taken back."""
        self.grid = grid
        self.table.clear()
        self.table.setRowCount(len(grid.ratios_db))
        self.table.setColumnCount(len(grid.levels))
        self.table.setVerticalHeaderLabels([f"{ratio:+g} dB" for ratio in grid.ratios_db])
        self.table.setHorizontalHeaderLabels([f"level {name}" for name in grid.levels])
        image = None
        if grid.dice is not None:
            image = heat(grid.dice, (0.0, 1.0), SEQUENTIAL)
        for line in range(len(grid.ratios_db)):
            for place in range(len(grid.levels)):
                item = QTableWidgetItem("show")
                if grid.dice is not None and image is not None:
                    item.setText(f"{grid.dice[line, place]:.3f}")
                    color = QColor(image.pixel(place, line))
                    item.setBackground(color)
                    bright = color.lightnessF() > 0.45
                    item.setForeground(QColor("#000000" if bright else "#ffffff"))
                self.table.setItem(line, place, item)
        self.clear()

    def show_features(self, ratio_db: float, level: str) -> None:
        """Say whose colours are in the viewer."""
        self.words.setText(
            f"Colours: the first three principal components of level {level} at an SNR of "
            f"{ratio_db:+g} dB, on the patch. Like colours are like features."
        )
        self.remove.setEnabled(True)

    def clear(self) -> None:
        """No features are shown."""
        measured = self.grid is not None and self.grid.dice is not None
        self.words.setText(f"{_DICE if measured else _MISSING} {_CLICK}")
        self.remove.setEnabled(False)
