"""Numeric fields of the pose, in millimetres and degrees, and how the slice is shown."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QWidget,
)

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.navigator.anatomy import CONVENTIONS, rotation_of_tilts, tilt_angles
from napari_mrissl.ui.navigator.state import NavigatorState

_CENTER = (
    ("R", "Centre of the slice, mm towards the patient's right (negative: left)"),
    ("A", "Centre of the slice, mm towards anterior (negative: posterior)"),
    ("S", "Centre of the slice, mm towards superior (negative: inferior)"),
)
_ANGLES = (
    ("tilt", "Degrees about the slice's right axis, from the last chosen anatomical plane"),
    ("turn", "Degrees about the slice's up axis, from the last chosen anatomical plane"),
    ("spin", "Degrees in the slice's own plane, anticlockwise"),
)


class PosePanel(QWidget):
    """Centre, angles and field of view as numbers; interpolation and convention.

    Parameters
    ----------
    state
        What is shown and changed.
    """

    def __init__(self, state: NavigatorState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.center = [self._field(tip, 10_000, " mm") for _, tip in _CENTER]
        self.angles = [self._field(tip, 180, "°") for _, tip in _ANGLES]
        for field in self.angles:
            field.setWrapping(True)
        self.angles[1].setRange(-90, 90)
        self.angles[1].setWrapping(False)
        self.fov = self._field("Side length of the slice in mm", 10_000, " mm")
        self.fov.setMinimum(0.1)
        self.interpolation = QComboBox()
        self.interpolation.addItems(["linear", "nearest"])
        self.interpolation.setToolTip(
            "linear: blend the eight voxels around a point; nearest: show voxels as they are"
        )
        self.convention = QComboBox()
        self.convention.addItems(CONVENTIONS)
        self.convention.setToolTip(
            "neurological: patient's right on the right; radiological: on the left. "
            "Changing it mirrors the slice"
        )
        self.show_plane = QCheckBox("Plane in main view")
        self.show_plane.setChecked(True)
        self.show_plane.setToolTip("Show the slice in the main view: a plane in 3D, a line in 2D")
        self.follow = QCheckBox("Link 2D slider")
        self.follow.setChecked(True)
        self.follow.setToolTip("The main view's 2D slider follows the slice, and moves it")
        self._arrange()

        for field in self.center:
            field.valueChanged.connect(self._on_center)
        for field in self.angles:
            field.valueChanged.connect(self._on_angles)
        self.fov.valueChanged.connect(self._on_fov)
        self.interpolation.currentTextChanged.connect(self._on_interpolation)
        self.convention.currentTextChanged.connect(self._on_convention)

    def show_pose(self, pose: Pose) -> None:
        """Write a pose into the fields."""
        self.fov.blockSignals(True)
        self.fov.setRange(*self._state.fov_limits)
        self.fov.blockSignals(False)
        angles = tilt_angles(pose, self._state.base)
        for field, value in zip(
            (*self.center, *self.angles, self.fov), (*pose.center, *angles, pose.fov), strict=True
        ):
            rounded = round(float(value), field.decimals()) + 0.0
            if field.value() != rounded:
                field.blockSignals(True)
                field.setValue(rounded)
                field.blockSignals(False)

    def show_settings(self) -> None:
        """Write interpolation and convention into their boxes."""
        for box, value in (
            (self.interpolation, self._state.interpolation),
            (self.convention, self._state.convention),
        ):
            box.blockSignals(True)
            box.setCurrentText(value)
            box.blockSignals(False)

    def _field(self, tip: str, limit: float, suffix: str) -> QDoubleSpinBox:
        field = QDoubleSpinBox()
        field.setRange(-limit, limit)
        field.setDecimals(1)
        field.setSingleStep(1.0)
        field.setSuffix(suffix)
        # Wheel, arrow keys and typing change a field; buttons would make three too wide.
        field.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        field.setToolTip(tip)
        field.setKeyboardTracking(False)
        field.setAlignment(Qt.AlignmentFlag.AlignRight)
        field.setMinimumWidth(60)
        return field

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(4)
        for row, (names, fields) in enumerate(((_CENTER, self.center), (_ANGLES, self.angles))):
            for column, ((name, _), field) in enumerate(zip(names, fields, strict=True)):
                self._put(grid, row, column, name, field)
        self._put(grid, 2, 0, "fov", self.fov)
        boxes = QHBoxLayout()
        boxes.setSpacing(4)
        boxes.addWidget(self.interpolation)
        boxes.addWidget(self.convention, 1)
        grid.addLayout(boxes, 2, 2, 1, 4)
        grid.addWidget(self.show_plane, 3, 0, 1, 3)
        grid.addWidget(self.follow, 3, 3, 1, 3)
        for column in (1, 3, 5):
            grid.setColumnStretch(column, 1)

    @staticmethod
    def _put(grid: QGridLayout, row: int, column: int, name: str, field: QWidget) -> None:
        label = QLabel(name)
        label.setToolTip(field.toolTip())
        label.setBuddy(field)
        grid.addWidget(label, row, 2 * column)
        grid.addWidget(field, row, 2 * column + 1)

    def _on_center(self) -> None:
        pose = self._state.pose
        # Fields are rounded: only those the user changed may move the slice.
        typed = np.array([field.value() for field in self.center])
        kept = np.abs(typed - pose.center) < 0.0501
        center = np.where(kept, pose.center, typed)
        self._state.set_pose(Pose(center, pose.rotation, pose.fov), burst="centre field")
        self.show_pose(self._state.pose)

    def _on_angles(self) -> None:
        pose = self._state.pose
        present = tilt_angles(pose, self._state.base)
        typed = np.array([field.value() for field in self.angles])
        angles = np.where(np.abs(typed - present) < 0.0501, present, typed)
        rotation = rotation_of_tilts(angles, self._state.base)
        self._state.set_pose(Pose(pose.center, rotation, pose.fov), burst="angle field")

    def _on_fov(self, value: float) -> None:
        pose = self._state.pose
        self._state.set_pose(Pose(pose.center, pose.rotation, value), burst="fov field")

    def _on_interpolation(self, name: str) -> None:
        self._state.interpolation = name

    def _on_convention(self, name: str) -> None:
        self._state.set_convention(name)
