"""The tab "Run": the cost while the field is refined, what came out, undo, redo, save."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_mrissl.registration import Cost
from napari_mrissl.ui.plot_box import PlotBox
from napari_mrissl.ui.recorder.parts import button, column, row, sentence
from napari_mrissl.ui.registration.result import Result
from napari_mrissl.ui.registration.work import clock

_MISSING = "Curves need pyqtgraph, which is not installed: install napari-mrissl[app]."
_TIP = "What Adam lowers at each step: how unlike the features are, and how rough the field is"
# Distinct for colour-blind readers (Okabe-Ito), on dark and on light ground.
_COLORS = {"all": "#0072b2", "features": "#d55e00", "roughness": "#009e73"}
_DARK_COLORS = {"all": "#56b4e9", "features": "#e69f00", "roughness": "#2fc79a"}
_DRAW_MS = 100
"""The curve is drawn anew no more often than this: there may be hundreds of steps a second."""

_BEGIN = "Choose two scans and press Register."


class RunTab(QWidget):
    """Shows a registration while it is computed, and when it is done.

    Attributes
    ----------
    undo_wanted, redo_wanted : Signal()
        A button was pressed.
    save_wanted : Signal(str)
        The folder for the files.
    costs : list of Cost
        That were told.
    """

    undo_wanted = Signal()
    redo_wanted = Signal()
    save_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.costs: list[Cost] = []
        self.title = sentence("The scans that were registered")
        self.title.setStyleSheet("font-weight: bold;")
        self.plot = PlotBox(_MISSING, _TIP, "Parts of the cost", 170, grows=True)
        self.facts = sentence("What the registration came to")
        self.undo = button("Undo", "Take the result back; that before it is shown again")
        self.redo = button("Redo", "Show the result again that was taken back")
        self.save = button("Save...", "Write the files of mrissl register to a new or empty folder")
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(_DRAW_MS)
        self._drawing.timeout.connect(self._draw)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.title)
        layout.addWidget(self.facts)
        layout.addLayout(row((self.undo, 1), (self.redo, 1), (self.save, 1)))
        layout.addWidget(self.plot, 1)
        layout.addStretch(0)
        self.undo.clicked.connect(self.undo_wanted)
        self.redo.clicked.connect(self.redo_wanted)
        self.save.clicked.connect(self._on_save)
        self.present(None, can_undo=False, can_redo=False)

    def begin(self, title: str) -> None:
        """Forget the curve of an earlier run."""
        self.costs = []
        self.title.setText(title)
        self.facts.setText("The curve begins when the field is refined.")
        self._draw()

    def add(self, cost: Cost) -> None:
        """One more step of the refinement."""
        self.costs.append(cost)
        if not self._drawing.isActive():
            self._drawing.start()

    def present(self, result: Result | None, *, can_undo: bool, can_redo: bool) -> None:
        """Show what a registration came to, or with None how to begin."""
        self.undo.setEnabled(can_undo)
        self.redo.setEnabled(can_redo)
        self.save.setEnabled(result is not None)
        if result is None:
            self.costs = []
            self.title.setText("")
            self.facts.setText(_BEGIN)
        else:
            self.costs = list(result.found.costs)
            self.title.setText(named(result))
            self.facts.setText(facts_of(result))
        self.title.setVisible(bool(self.title.text()))
        self._draw()

    def set_look(self, look: Any) -> None:
        """Take a theme's colours."""
        self.plot.set_look(look)
        self._draw()

    def shut_down(self) -> None:
        """End the plot."""
        self._drawing.stop()
        self.plot.shut_down()

    def _draw(self) -> None:
        self.title.setVisible(bool(self.title.text()))
        self.plot.setVisible(bool(self.costs))
        if not self.costs or not self.plot.prepared():
            return
        canvas = self.plot.canvas
        colors = _DARK_COLORS if self.plot.look.dark else _COLORS
        canvas.clear()
        for name, values in _curves(self.costs).items():
            pen = self.plot.drawing.mkPen(colors[name], width=2)
            canvas.plot([cost.step for cost in self.costs], values, pen=pen)
        canvas.setLabel("bottom", "step")
        canvas.setLabel("left", "cost")
        self.plot.show_legend([(color, name) for name, color in colors.items()])
        self.plot.paint()

    def _on_save(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "A new or empty folder")
        if found:
            self.save_wanted.emit(found)


def named(result: Result) -> str:
    """Which scan lies on which."""
    return f"{result.scans.moving.name} on {result.scans.fixed.name}"


def facts_of(result: Result) -> str:
    """Displacements, folds and time in a few sentences."""
    found, (median, most) = result.found, result.lengths_mm
    what = "The field moves by" if result.deformable else "The linear part moves by"
    said = [f"{what} {median:.1f} mm (median), at most {most:.1f} mm."]
    if result.deformable:
        least, largest = result.determinants
        said.append(
            f"Folds: {100 * result.fold_share:.2g} % of voxels; Jacobian determinant "
            f"{least:.2g} to {largest:.2g}."
        )
        said.append(f"Compared at {found.spacing_mm:.2g} mm.")
    if not result.whole:
        said.append("It was stopped: the linear alignment alone was kept.")
    if found.seconds:
        times = (f"{name} {clock(seconds)}" for name, seconds in found.seconds.items())
        said.append(f"Time: {', '.join(times)}.")
    return " ".join(said)


def _curves(costs: Sequence[Cost]) -> dict[str, np.ndarray[Any, Any]]:
    table = np.array([(one.total, one.data, one.smoothness) for one in costs])
    return dict(zip(_COLORS, table.T, strict=True))
