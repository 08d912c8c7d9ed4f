"""Editors of single settings: numbers, ranges, lists, choices, words, yes or no, or nothing."""

from __future__ import annotations

import re
import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_mrissl.ui.field_types import (
    DECIMALS,
    LARGEST,
    bare,
    first_value,
    flat,
    inner_type,
    limits_of,
    rules_of,
)

_LEAST_WIDTH = 62
_STEPS_OF_A_RANGE = 20
_COLUMNS = 2


class _Editor(QWidget):
    """Tells what was edited; each kind of editor shows a value by its own `show_value`.

    Attributes
    ----------
    edited : Signal(object)
        The value as the user left it; parts that were not touched are exactly as shown.
    unreadable : Signal(str)
        What was typed, where it is no value at all.
    """

    edited = Signal(object)
    unreadable = Signal(str)

    def say(self, tip: str) -> None:
        """What the field means, on every part of it."""
        self.setToolTip(tip)
        for part in self.findChildren(QWidget):
            part.setToolTip(tip)

    def _row(self) -> QHBoxLayout:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        return layout


class Numbers(_Editor):
    """One number, or the two ends of a range."""

    def __init__(self, kinds: list[Any], rules: list[Any]) -> None:
        super().__init__()
        self.parts = [_spin(kind, found) for kind, found in zip(kinds, rules, strict=True)]
        self._single = len(self.parts) == 1
        self._value: list[Any] = []
        layout = self._row()
        for number, part in enumerate(self.parts):
            if number:
                layout.addWidget(QLabel("to"))
            layout.addWidget(part, 1)
            part.valueChanged.connect(lambda value, n=number: self._on_edited(n, value))

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        self._value = [value] if self._single else list(value)
        for part, one in zip(self.parts, self._value, strict=True):
            part.blockSignals(True)
            part.setValue(one)
            part.blockSignals(False)

    def _on_edited(self, number: int, value: Any) -> None:
        # The box rounds what it shows: only what was edited comes from it.
        self._value[number] = round(value, DECIMALS) if isinstance(value, float) else value
        self.edited.emit(self._value[0] if self._single else tuple(self._value))


class NumberList(_Editor):
    """Any count of numbers, typed as ``8, 16, 32``.

    Parameters
    ----------
    kind
        ``int`` or ``float``.
    """

    def __init__(self, kind: type = int) -> None:
        super().__init__()
        self._kind = kind
        self.line = QLineEdit()
        self.line.setMinimumWidth(_LEAST_WIDTH)
        self._row().addWidget(self.line, 1)
        self.line.editingFinished.connect(self._on_edited)
        self._shown = ""

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        self._shown = ", ".join(str(one) for one in value)
        self.line.setText(self._shown)

    def _on_edited(self) -> None:
        text = self.line.text()
        if text == self._shown:
            return
        self._shown = text
        words = [word for word in re.split(r"[,;\s]+", text) if word]
        wanted = r"-?\d{1,6}" if self._kind is int else r"-?\d{0,6}\.?\d{1,8}(e-?\d{1,2})?"
        if all(re.fullmatch(wanted, word) for word in words):
            self.edited.emit(tuple(self._kind(word) for word in words))
        else:
            what = "whole numbers such as 8, 16, 32" if self._kind is int else "numbers"
            self.unreadable.emit(f"{text[:40]!r} is no list of {what}")


class Choice(_Editor):
    """One of a few values."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        super().__init__()
        self.box = QComboBox()
        for value in values:
            self.box.addItem(str(value), value)
        self._row().addWidget(self.box, 1)
        self.box.currentIndexChanged.connect(lambda n: self.edited.emit(self.box.itemData(n)))

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        self.box.blockSignals(True)
        self.box.setCurrentIndex(self.box.findData(value))
        self.box.blockSignals(False)


class Choices(_Editor):
    """Some of a few values, in their order: a box to tick for each."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        self.boxes = {value: QCheckBox(str(value)) for value in values}
        for place, box in enumerate(self.boxes.values()):
            grid.addWidget(box, *divmod(place, _COLUMNS))
            box.clicked.connect(self._on_edited)

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        for one, box in self.boxes.items():
            box.setChecked(one in value)

    def _on_edited(self) -> None:
        self.edited.emit(tuple(one for one, box in self.boxes.items() if box.isChecked()))


class Flag(_Editor):
    """Yes or no."""

    def __init__(self) -> None:
        super().__init__()
        self.box = QCheckBox()
        self._row().addWidget(self.box, 1)
        self.box.clicked.connect(lambda ticked: self.edited.emit(ticked))

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        self.box.setChecked(bool(value))


class Words(_Editor):
    """A line of text."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setMinimumWidth(_LEAST_WIDTH)
        self._row().addWidget(self.line, 1)
        self._shown = ""
        self.line.editingFinished.connect(self._on_edited)

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        self._shown = value
        self.line.setText(value)

    def _on_edited(self) -> None:
        if self.line.text() != self._shown:
            self._shown = self.line.text()
            self.edited.emit(self._shown)


class Maybe(_Editor):
    """A value, or none: a box to tick before the value's own editor.

    Parameters
    ----------
    field
        Edits the value when there is one.
    first
        Shown when the box is ticked and there was no value before.
    """

    def __init__(self, field: Field, first: Any) -> None:
        super().__init__()
        self.box = QCheckBox()
        self.field = field
        self._value = first
        layout = self._row()
        layout.addWidget(self.box)
        layout.addWidget(field, 1)
        self.box.clicked.connect(self._on_ticked)
        field.edited.connect(self._on_edited)
        field.unreadable.connect(self.unreadable)
        self.show_value(None)

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        self.box.setChecked(value is not None)
        self.field.setEnabled(value is not None)
        if value is not None:
            self._value = value
        self.field.show_value(self._value)

    def _on_ticked(self, ticked: bool) -> None:
        self.field.setEnabled(ticked)
        self.edited.emit(self._value if ticked else None)

    def _on_edited(self, value: Any) -> None:
        self._value = value
        self.edited.emit(value)


Field = Numbers | NumberList | Choice | Choices | Flag | Words | Maybe
"""An editor of one value: what `field_for` gives."""


def field_for(info: FieldInfo) -> Field:
    """The editor for a field of a settings model.

    Raises
    ------
    TypeError
        If there is no editor for its type, as for a mapping.
    """
    return _field(info.annotation, list(info.metadata), info.default)


def _field(annotation: Any, rules: list[Any], default: Any) -> Field:
    kind = bare(annotation)
    rules = [*rules, *rules_of(annotation)]
    if get_origin(kind) in (Union, types.UnionType):
        inner = inner_type(kind)
        if inner is kind or type(None) not in get_args(kind):
            raise TypeError(f"no editor for {annotation}")
        (one,) = (each for each in get_args(kind) if each is not type(None))
        return Maybe(_field(one, rules, None), first_value(one, rules, default))
    if get_origin(kind) is Literal:
        return Choice(get_args(kind))
    if get_origin(kind) is tuple:
        return _tuple_field(get_args(kind))
    if kind is bool:
        return Flag()
    if kind is str:
        return Words()
    if kind in (int, float):
        return Numbers([kind], [rules])
    raise TypeError(f"no editor for {annotation}")


def _tuple_field(items: tuple[Any, ...]) -> Field:
    first = bare(items[0])
    if Ellipsis not in items:
        return Numbers([bare(one) for one in items], [rules_of(one) for one in items])
    if get_origin(first) is Literal:
        return Choices(get_args(first))
    if first in (int, float):
        return NumberList(first)
    raise TypeError(f"no editor for a tuple of {first}")


class _Decimal(QDoubleSpinBox):
    """Shows no more digits than there are."""

    def textFromValue(self, value: float) -> str:
        """E.g. ``0.5`` and not ``0.500``."""
        text = str(super().textFromValue(value))
        point = self.locale().decimalPoint()
        return text.rstrip("0").rstrip(point) if point in text else text


def _spin(kind: Any, rules: list[Any]) -> QSpinBox | QDoubleSpinBox:
    low, high = limits_of(rules, kind)
    box: QSpinBox | QDoubleSpinBox
    if kind is int:
        box = QSpinBox()
        steps = [rule.multiple_of for rule in flat(rules) if hasattr(rule, "multiple_of")]
        box.setSingleStep(steps[0] if steps else 1)
        box.setRange(round(low), round(high))
    else:
        box = _Decimal()
        box.setDecimals(DECIMALS)
        box.setRange(low, high)
        if high < LARGEST and low > -LARGEST:
            box.setSingleStep(round(high - low, 6) / _STEPS_OF_A_RANGE)
        else:
            box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    box.setKeyboardTracking(False)
    # By its range alone it would be as wide as the largest number.
    box.setMinimumWidth(_LEAST_WIDTH)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box
