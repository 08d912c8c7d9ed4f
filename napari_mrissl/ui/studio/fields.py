"""Editors of single settings: a number, a range, a list of numbers, a choice."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

_LARGEST = 100_000
_DECIMALS = 3
_LEAST_WIDTH = 62
_STEPS_OF_A_RANGE = 20


class Field(QWidget):
    """Edits one value.

    Attributes
    ----------
    edited : Signal(object)
        The value as the user left it; parts that were not touched are exactly as shown.
    unreadable : Signal(str)
        What was typed, where it is no value at all.
    """

    edited = Signal(object)
    unreadable = Signal(str)

    def show_value(self, value: Any) -> None:
        """Show a value without telling."""
        raise NotImplementedError

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


class Numbers(Field):
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
        """See `Field.show_value`."""
        self._value = [value] if self._single else list(value)
        for part, one in zip(self.parts, self._value, strict=True):
            part.blockSignals(True)
            part.setValue(one)
            part.blockSignals(False)

    def _on_edited(self, number: int, value: Any) -> None:
        # The box rounds what it shows: only what was edited comes from it.
        self._value[number] = round(value, _DECIMALS) if isinstance(value, float) else value
        self.edited.emit(self._value[0] if self._single else tuple(self._value))


class NumberList(Field):
    """Any count of whole numbers, typed as ``8, 16, 32``."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setMinimumWidth(_LEAST_WIDTH)
        self._row().addWidget(self.line, 1)
        self.line.editingFinished.connect(self._on_edited)
        self._shown = ""

    def show_value(self, value: Any) -> None:
        """See `Field.show_value`."""
        self._shown = ", ".join(str(one) for one in value)
        self.line.setText(self._shown)

    def _on_edited(self) -> None:
        text = self.line.text()
        if text == self._shown:
            return
        self._shown = text
        words = [word for word in re.split(r"[,;\s]+", text) if word]
        if all(re.fullmatch(r"-?\d{1,6}", word) for word in words):
            self.edited.emit(tuple(int(word) for word in words))
        else:
            self.unreadable.emit(f"{text[:40]!r} is no list of whole numbers such as 8, 16, 32")


class Choice(Field):
    """One of a few values."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        super().__init__()
        self.box = QComboBox()
        for value in values:
            self.box.addItem(str(value), value)
        self._row().addWidget(self.box, 1)
        self.box.currentIndexChanged.connect(lambda n: self.edited.emit(self.box.itemData(n)))

    def show_value(self, value: Any) -> None:
        """See `Field.show_value`."""
        self.box.blockSignals(True)
        self.box.setCurrentIndex(self.box.findData(value))
        self.box.blockSignals(False)


def field_for(info: FieldInfo) -> Field:
    """The editor for a field of the settings."""
    kind = info.annotation
    if get_origin(kind) is Literal:
        return Choice(get_args(kind))
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if Ellipsis in items:
            return NumberList()
        return Numbers([_bare(one) for one in items], [_rules(one) for one in items])
    return Numbers([kind], [list(info.metadata)])


def limits_of(rules: list[Any]) -> tuple[float, float]:
    """Least and largest value that the rules of a number allow."""
    low, high = -float(_LARGEST), float(_LARGEST)
    for rule in _flat(rules):
        for bound in ("ge", "gt"):
            if getattr(rule, bound, None) is not None:
                low = float(getattr(rule, bound)) + (10.0**-_DECIMALS if bound == "gt" else 0)
        if getattr(rule, "le", None) is not None:
            high = float(rule.le)
    return low, high


class _Decimal(QDoubleSpinBox):
    """Shows no more digits than there are."""

    def textFromValue(self, value: float) -> str:
        """E.g. ``0.5`` and not ``0.500``."""
        text = str(super().textFromValue(value))
        point = self.locale().decimalPoint()
        return text.rstrip("0").rstrip(point) if point in text else text


def _spin(kind: Any, rules: list[Any]) -> QSpinBox | QDoubleSpinBox:
    low, high = limits_of(rules)
    box: QSpinBox | QDoubleSpinBox
    if kind is int:
        box = QSpinBox()
        steps = [rule.multiple_of for rule in _flat(rules) if hasattr(rule, "multiple_of")]
        box.setSingleStep(steps[0] if steps else 1)
        box.setRange(round(low), round(high))
    else:
        box = _Decimal()
        box.setDecimals(_DECIMALS)
        box.setRange(low, high)
        if high < _LARGEST:
            box.setSingleStep((high - low) / _STEPS_OF_A_RANGE)
        else:
            box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    box.setKeyboardTracking(False)
    # By its range alone it would be as wide as the largest number.
    box.setMinimumWidth(_LEAST_WIDTH)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box


def _flat(rules: list[Any]) -> list[Any]:
    """Rules of annotations within annotations."""
    found = []
    for rule in rules:
        inner = rule.metadata if isinstance(rule, FieldInfo) else [rule]
        found.extend(inner)
    return found


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _rules(kind: Any) -> list[Any]:
    return list(get_args(kind)[1:]) if get_origin(kind) is Annotated else []
