"""A form for any pydantic model: a magicgui widget per field; a valid model, or why not."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol, Union, get_args, get_origin

from magicgui.widgets import create_widget
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QGridLayout, QLabel, QWidget

from napari_mrissl.ui.field_types import bare
from napari_mrissl.ui.field_words import attribute_notes, title_of

_LARGEST = 1_000_000
_COLUMNS = 2


class _Editor(Protocol):
    """Shows one field and gives it back."""

    native: QWidget

    def read(self) -> Any: ...

    def show(self, value: Any) -> None: ...

    def parts(self) -> Mapping[str, Any]: ...


class SettingsForm(QWidget):
    """Edits a (possibly nested) pydantic model.

    Fields with a single possible value are not shown. Tooltips are the fields'
    descriptions, or what the model's docstring says under ``Attributes``.

    Parameters
    ----------
    settings
        Shown at first; its type is what the form edits.
    skip
        Dotted names of fields that are not shown and keep their value.
    choices
        Words to choose from, by dotted name, for fields whose type does not say them.
    labels
        What to call fields, by dotted name, and the words of a choice, by the word.

    Attributes
    ----------
    changed : Signal(object)
        A valid model, after each edit that gives one.
    invalid : Signal(str)
        One sentence, when an edit gives none; `settings` stays at the last valid one.
    """

    changed = Signal(object)
    invalid = Signal(str)

    def __init__(
        self,
        settings: BaseModel,
        *,
        skip: Collection[str] = (),
        choices: Mapping[str, Sequence[str]] | None = None,
        labels: Mapping[str, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._skip = frozenset(skip)
        self._choices = dict(choices or {})
        self._labels = dict(labels or {})
        self._editors: dict[str, _Editor] = {}
        self._showing = False
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setVerticalSpacing(4)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._add_fields(settings, "")

    @property
    def settings(self) -> BaseModel:
        """The last valid model."""
        return self._settings

    @settings.setter
    def settings(self, settings: BaseModel) -> None:
        self._settings = settings
        self._showing = True
        try:
            for path, editor in self._editors.items():
                editor.show(_value_at(settings, path))
        finally:
            self._showing = False

    def editor(self, path: str) -> QWidget:
        """The widget of a field by its dotted name, e.g. ``"features.scales_mm"``."""
        return self._editors[path].native

    def magic(self, path: str, part: str = "") -> Any:
        """The magicgui widget of a field; ``part`` names one check box of several."""
        return self._editors[path].parts()[part]

    def _add_fields(self, model: BaseModel, prefix: str) -> None:
        notes = attribute_notes(type(model))
        for name, field in type(model).model_fields.items():
            path, value = prefix + name, getattr(model, name)
            if path in self._skip:
                continue
            if isinstance(value, BaseModel):
                self._add_fields(value, f"{path}.")
                continue
            if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
                continue
            title = self._labels.get(path, title_of(name))
            tooltip = field.description or notes.get(name) or title
            editor = _editor(field, value, self._choices.get(path), self._labels)
            for part in editor.parts().values():
                part.tooltip = tooltip
                part.changed.connect(self._edited)
            label = QLabel(title, self)
            label.setToolTip(tooltip)
            editor.native.setToolTip(tooltip)
            self._rows.addRow(label, editor.native)
            self._editors[path] = editor

    def _edited(self) -> None:
        if self._showing:
            return
        try:
            settings = self._validated()
        except ValidationError as error:
            first = error.errors()[0]
            field = title_of(str(first["loc"][0]) if len(first["loc"]) == 1 else _last_name(first))
            self.invalid.emit(f"{field}: {first['msg']}.")
        except ValueError as error:
            self.invalid.emit(f"{error}.")
        else:
            if settings != self._settings:
                self._settings = settings
                self.changed.emit(settings)

    def _validated(self) -> BaseModel:
        values = self._settings.model_dump()
        for path, editor in self._editors.items():
            *parents, name = path.split(".")
            holder = values
            for parent in parents:
                holder = holder[parent]
            holder[name] = editor.read()
        return type(self._settings).model_validate(values)


class _Single:
    """A field that magicgui knows: a number, a word, a choice, yes or no."""

    def __init__(self, field: FieldInfo, value: Any, words: Sequence[str] | None = None) -> None:
        annotation: Any = bare(field.annotation)
        options = _limits(field)
        if words is not None:
            annotation, options = Literal[tuple(words)], {}
        self._widget: Any = create_widget(value=value, annotation=annotation, options=options)
        self.native = self._widget.native

    def read(self) -> Any:
        return self._widget.value

    def show(self, value: Any) -> None:
        self._widget.value = value

    def parts(self) -> Mapping[str, Any]:
        return {"": self._widget}


class _Numbers:
    """A tuple of numbers, typed as ``1, 2, 4``."""

    def __init__(self, field: FieldInfo, value: Any) -> None:
        self._kind = bare(get_args(field.annotation)[0])
        self._widget: Any = create_widget(value=self._text(value), annotation=str)
        self.native = self._widget.native

    @staticmethod
    def _text(value: Any) -> str:
        return ", ".join(f"{number:g}" for number in value)

    def read(self) -> tuple[Any, ...]:
        words = [word for word in re.split(r"[,;\s]+", self._widget.value) if word]
        try:
            return tuple(self._kind(word) for word in words)
        except ValueError:
            raise ValueError(
                f"{self._widget.value!r} is not a list of numbers such as 1, 2, 4"
            ) from None

    def show(self, value: Any) -> None:
        self._widget.value = self._text(value)

    def parts(self) -> Mapping[str, Any]:
        return {"": self._widget}


class _Choices:
    """A tuple of words out of a fixed set: one check box each."""

    def __init__(self, field: FieldInfo, value: Any, labels: Mapping[str, str]) -> None:
        words = get_args(bare(get_args(field.annotation)[0]))
        self.native = QWidget()
        grid = QGridLayout(self.native)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        self._boxes: dict[Any, Any] = {}
        for place, word in enumerate(words):
            box: Any = create_widget(
                value=word in value,
                annotation=bool,
                options={"text": labels.get(word, title_of(str(word)))},
            )
            self._boxes[word] = box
            grid.addWidget(box.native, *divmod(place, _COLUMNS))

    def read(self) -> tuple[Any, ...]:
        return tuple(word for word, box in self._boxes.items() if box.value)

    def show(self, value: Any) -> None:
        for word, box in self._boxes.items():
            box.value = word in value

    def parts(self) -> Mapping[str, Any]:
        return self._boxes


def _editor(
    field: FieldInfo, value: Any, words: Sequence[str] | None, labels: Mapping[str, str]
) -> _Editor:
    annotation = field.annotation
    if get_origin(annotation) in (tuple, list, frozenset):
        item = bare(get_args(annotation)[0])
        if get_origin(item) is Literal:
            return _Choices(field, value, labels)
        if item in (int, float):
            return _Numbers(field, value)
    return _Single(field, value, words)


def _limits(field: FieldInfo) -> dict[str, Any]:
    """The bounds a number field declares, as magicgui options."""
    kinds = {field.annotation, *get_args(field.annotation)}
    if not kinds & {int, float} or get_origin(field.annotation) not in (None, Union):
        return {}
    limits: dict[str, Any] = {"min": -_LARGEST, "max": _LARGEST}
    for rule in field.metadata:
        for bound, option in (("ge", "min"), ("gt", "min"), ("le", "max"), ("lt", "max")):
            if getattr(rule, bound, None) is not None:
                limits[option] = getattr(rule, bound)
    return limits


def _value_at(model: BaseModel, path: str) -> Any:
    value: Any = model
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _last_name(error: Any) -> str:
    return next(str(part) for part in reversed(error["loc"]) if isinstance(part, str))
