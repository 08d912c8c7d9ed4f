"""The tab "Views": fixed against moved, and what the field does."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QLabel, QWidget

from napari_mrissl.ui.recorder.parts import button, column, decimal, label_of, sentence
from napari_mrissl.ui.registration.colour_scale import ColourScale, Scale
from napari_mrissl.ui.registration.overlays import ARROWS, CHECKERBOARD, GRID, JACOBIAN
from napari_mrissl.ui.registration.pictures import Part
from napari_mrissl.ui.registration.result import Result
from napari_mrissl.ui.registration.settings_box import choice_of

_PARTS = {
    "field": ("what the field adds", "Beyond the linear alignment"),
    "whole": ("the whole transform", "From the scans as their files have them"),
}


class _Shown(NamedTuple):
    """A layer that can be shown, and its measure in mm: first value, least, most, tooltip."""

    title: str
    tip: str
    measure: tuple[float, float, float, str] | None


_SHOWN = {
    CHECKERBOARD: _Shown(
        "Checkerboard",
        "Cubes of the fixed and of the moved scan in turn",
        (20.0, 1.0, 500.0, "Side of a cube"),
    ),
    GRID: _Shown(
        "Deformed grid",
        "Where straight lines through the moving scan come to lie",
        (10.0, 1.0, 200.0, "Between lines"),
    ),
    ARROWS: _Shown(
        "Arrows",
        "Displacements from the fixed to the moving anatomy, in true length",
        (8.0, 1.0, 200.0, "Between arrows"),
    ),
    JACOBIAN: _Shown(
        "Jacobian map", "White keeps volume, green grows, pink shrinks; 0 or less folds", None
    ),
}


class ViewsTab(QWidget):
    """Switches for views of a result.

    Attributes
    ----------
    flicker_wanted : Signal(bool)
        Begin or stop.
    pace_changed : Signal(float)
        Seconds that each scan is seen.
    view_wanted : Signal(str, bool)
        A layer by name, on or off; on also where its measure changed.
    part_changed : Signal()
        Another part of the transform is to be drawn.
    cursor_wanted : Signal(bool)
        Link the cursor, or no longer.
    boxes : dict of QCheckBox
        By the layer's name.
    scales : dict of ColourScale
        What the colours of arrows and map stand for, by the layer's name.
    measures : dict of QDoubleSpinBox
        In mm, by the layer's name.
    """

    flicker_wanted = Signal(bool)
    pace_changed = Signal(float)
    view_wanted = Signal(str, bool)
    part_changed = Signal()
    cursor_wanted = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.flicker = button("Flicker", "Show the fixed and the moved scan in turn")
        self.flicker.setCheckable(True)
        self.pace = decimal(0.1, 10, 0.7, " s", "How long each is seen")
        self.seen = sentence("Which of the two is seen now")
        self.part = choice_of(_PARTS, "What grid, arrows and map are drawn of")
        self._part: Part = "field"
        self.boxes: dict[str, QCheckBox] = {}
        self.measures: dict[str, QDoubleSpinBox] = {}
        self.scales = {
            ARROWS: ColourScale("What the colours of the arrows stand for"),
            JACOBIAN: ColourScale("What the colours of the map stand for"),
        }
        self.folds = sentence("Share of voxels at which space folds")
        self.cursor = QCheckBox("Linked cursor")
        self.cursor.setToolTip(
            "Move the mouse over the main view in 2D, or the crosshair of the slice views: blue "
            "is that place, orange where the moving scan has the same anatomy, seen onto this "
            "slice. In 3D the mouse has no depth and is not followed; in napari's grid "
            "view the marks have a cell of their own, and only the places below count"
        )
        self.places = sentence("The two places in mm: right, anterior, superior of the origin")
        self.hint = sentence("What views need")
        self.hint.setText("Register two scans first.")
        self._arrange()
        self.flicker.toggled.connect(self.flicker_wanted)
        self.pace.valueChanged.connect(self.pace_changed)
        self.part.currentIndexChanged.connect(lambda _: self._on_part())
        self.cursor.toggled.connect(self.cursor_wanted)
        self.present(None)

    @property
    def chosen_part(self) -> Part:
        """What is drawn of the transform."""
        part: Part = self.part.currentData()
        return part

    @property
    def ticked(self) -> list[str]:
        """Names of the layers that are wanted."""
        return [name for name, box in self.boxes.items() if box.isChecked()]

    def measure(self, name: str) -> float:
        """In mm; 1 where a layer has none."""
        return float(self.measures[name].value()) if name in self.measures else 1.0

    def present(self, result: Result | None) -> None:
        """Allow what there is; without a result everything is switched off."""
        there = result is not None
        for part in (self.flicker, self.cursor, self.part, *self.boxes.values()):
            part.setEnabled(there)
        self.part.setEnabled(result is not None and result.deformable)
        self.hint.setVisible(not there)
        if result is None:
            self.flicker.setChecked(False)
            self.cursor.setChecked(False)
            for box in self.boxes.values():
                box.setChecked(False)
        else:
            with QSignalBlocker(self.part):
                shown = self._part if result.deformable else "whole"
                self.part.setCurrentIndex(self.part.findData(shown))
        self.folds.setText("" if result is None else _folds(result))
        self.folds.setVisible(bool(self.folds.text()))

    def show_scale(self, name: str, scale: Scale | None) -> None:
        """What the colours of a layer stand for; None while it is not shown."""
        if name in self.scales:
            self.scales[name].present(scale)

    def show_seen(self, name: str) -> None:
        """Which layer flickers in now; ``""`` when it has stopped."""
        self.seen.setText(f"Seen now: {name}" if name else "")
        self.seen.setVisible(bool(name))
        if not name:
            with QSignalBlocker(self.flicker):
                self.flicker.setChecked(False)
        self.flicker.setText("Stop" if name else "Flicker")

    def show_places(self, fixed: Any, moving: Any) -> None:
        """Two places in RAS mm."""
        apart = float(np.linalg.norm(np.asarray(moving) - np.asarray(fixed)))
        self.places.setText(f"Fixed {_place(fixed)}\nMoving {_place(moving)}\n{apart:.1f} mm apart")
        self.places.show()

    def hide_places(self) -> None:
        """The cursor is not linked."""
        self.places.setText("")
        self.places.hide()

    def _arrange(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.flicker, 0, 0)
        grid.addWidget(QLabel("every"), 0, 1)
        grid.addWidget(self.pace, 0, 2)
        grid.addWidget(self.seen, 1, 0, 1, 3)
        number = 2
        for name, one in _SHOWN.items():
            box = QCheckBox(one.title)
            box.setToolTip(one.tip)
            box.toggled.connect(lambda on, name=name: self.view_wanted.emit(name, on))
            self.boxes[name] = box
            grid.addWidget(box, number, 0)
            if one.measure is not None:
                value, low, high, tip = one.measure
                field = decimal(low, high, value, " mm", tip)
                field.setAccessibleName(f"{one.title}: {tip}")
                field.valueChanged.connect(lambda _, name=name: self._on_measure(name))
                self.measures[name] = field
                every = QLabel("of" if name == CHECKERBOARD else "every")
                every.setToolTip(tip)
                grid.addWidget(every, number, 1)
                grid.addWidget(field, number, 2)
            number += 1
            if name in self.scales:
                grid.addWidget(self.scales[name], number, 0, 1, 3)
                number += 1
        last = number
        grid.addWidget(self.folds, last, 0, 1, 3)
        grid.addWidget(label_of("Drawn of", self.part), last + 1, 0)
        grid.addWidget(self.part, last + 1, 1, 1, 2)
        grid.addWidget(self.cursor, last + 2, 0, 1, 3)
        grid.addWidget(self.places, last + 3, 0, 1, 3)
        grid.setColumnStretch(2, 1)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(grid)
        layout.addWidget(self.hint)
        layout.addStretch(1)
        self.seen.hide()
        self.places.hide()

    def _on_part(self) -> None:
        self._part = self.chosen_part
        self.part_changed.emit()

    def _on_measure(self, name: str) -> None:
        if self.boxes[name].isChecked():
            self.view_wanted.emit(name, True)


def _folds(result: Result) -> str:
    least, most = result.determinants
    return (
        f"Folds: {100 * result.fold_share:.2g} % of voxels. Jacobian determinant "
        f"{least:.2g} to {most:.2g}: 1 keeps volume, 0 or less folds."
    )


def _place(world: Any) -> str:
    return ", ".join(
        f"{abs(float(value)):.1f} {letters[float(value) < 0]}"
        for value, letters in zip(world, ("RL", "AP", "SI"), strict=True)
    )
