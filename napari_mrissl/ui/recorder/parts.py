"""Buttons, fields and rows as the recorder's boxes need them: each with label and tooltip."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

_PARTS = 1000
RECORDING_STYLE = "QPushButton { background-color: #c92a2a; color: white; font-weight: bold; }"
WARNING_STYLE = "color: #d08000;"


def button(text: str, tip: str) -> QPushButton:
    """A button that can become narrow without losing its text."""
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


def whole_number(low: int, high: int, value: int, tip: str) -> QSpinBox:
    """A field for a whole number."""
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    box.setToolTip(tip)
    box.setKeyboardTracking(False)
    return box


def decimal(low: float, high: float, value: float, suffix: str, tip: str) -> QDoubleSpinBox:
    """A field for a number with a unit."""
    box = QDoubleSpinBox()
    box.setDecimals(1)
    box.setRange(low, high)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setToolTip(tip)
    box.setKeyboardTracking(False)
    return box


def thin_bar(tip: str) -> QProgressBar:
    """A progress bar without text; see `show_part`."""
    bar = QProgressBar()
    bar.setRange(0, _PARTS)
    bar.setTextVisible(False)
    bar.setFixedHeight(6)
    bar.setToolTip(tip)
    return bar


def show_part(bar: QProgressBar, part: float) -> None:
    """Show on a `thin_bar` how much is done, 0 to 1."""
    bar.setValue(round(_PARTS * part))


def sentence(tip: str) -> QLabel:
    """A label for sentences, which wrap instead of widening the dock."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setToolTip(tip)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def label_of(text: str, field: QWidget) -> QLabel:
    """What a field is called, with the field's tooltip."""
    label = QLabel(text)
    label.setToolTip(field.toolTip())
    label.setBuddy(field)
    return label


def column(box: QWidget) -> QVBoxLayout:
    """The layout of a box within a section."""
    layout = QVBoxLayout(box)
    layout.setContentsMargins(0, 2, 0, 2)
    layout.setSpacing(4)
    return layout


def row(*widgets: QWidget | tuple[QWidget, int]) -> QHBoxLayout:
    """Widgets side by side; a pair gives the stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for one in widgets:
        if isinstance(one, tuple):
            layout.addWidget(*one)
        else:
            layout.addWidget(one)
    return layout


def scrolled(content: QWidget) -> QScrollArea:
    """What is higher than its dock, and scrolls in it; never sideways."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    return area


def clock(seconds: float) -> str:
    """Seconds as ``0:07.3`` or ``12:41.0``."""
    minutes, rest = divmod(round(max(0.0, seconds), 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"
