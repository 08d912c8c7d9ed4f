"""A form for any settings model: an editor per field, a folding part for each model within."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mrissl.ui.field_words import attribute_notes, title_of
from napari_mrissl.ui.fields import Field, field_for, inner_type
from napari_mrissl.ui.navigator.bars import section

_WRONG = "color: #e5484d;"


class ModelForm(QWidget):
    """Edits a (possibly nested) pydantic model.

    Fields with one possible value are not shown. What cannot be edited here (mappings,
    records) keeps its value.

    Parameters
    ----------
    settings
        Shown at first; its type is what the form edits.
    skip
        Dotted names of fields that are not shown and keep their value.
    titles
        What parts are called, by dotted name, where the model says nothing or too little.

    Attributes
    ----------
    edited : Signal(object)
        A valid model after an edit.
    invalid : Signal(str)
        One sentence after an edit that gives none; the last valid model stays.
    fields : dict of Field
        By dotted name.
    parts : dict of QCollapsible
        The folding parts of models within, by dotted name.
    """

    edited = Signal(object)
    invalid = Signal(str)

    def __init__(
        self,
        settings: BaseModel,
        *,
        skip: Collection[str] = (),
        titles: Mapping[str, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.fields: dict[str, Field] = {}
        self._labels: dict[str, QLabel] = {}
        self._unreadable: dict[str, str] = {}
        self._skip = frozenset(skip)
        self._titles = dict(titles or {})
        self._model = type(settings)
        self._settings = settings
        self.parts: dict[str, QCollapsible] = {}
        self._values = settings.model_dump()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self._add(self._model, "", layout)
        self.show_settings(settings)

    @property
    def settings(self) -> BaseModel:
        """The last valid model."""
        return self._settings

    @property
    def valid(self) -> bool:
        """Whether what is shown is what `settings` says."""
        return not self._unreadable and not any(one.styleSheet() for one in self._labels.values())

    def show_settings(self, settings: BaseModel) -> None:
        """Show another model of the same type; what was typed and not valid is forgotten."""
        self._settings = settings
        self._values = settings.model_dump()
        self._unreadable.clear()
        for path, field in self.fields.items():
            field.show_value(_at(self._values, path))
        self._mark(None)

    def set_row_visible(self, path: str, visible: bool) -> None:
        """Show a field's row or not; its value stays."""
        self._labels[path].setVisible(visible)
        self.fields[path].setVisible(visible)

    def _add(self, model: type[BaseModel], prefix: str, layout: QVBoxLayout) -> None:
        rows = QFormLayout()
        rows.setVerticalSpacing(3)
        # In a narrow dock a long label stands above its field.
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addLayout(rows)
        notes = attribute_notes(model)
        for name, info in _shown(model):
            path = prefix + name
            if path in self._skip:
                continue
            kind = inner_type(info.annotation)
            if _is_model(kind):
                self._add_part(kind, info, path, layout)
                continue
            try:
                field = field_for(info)
            except TypeError:
                continue
            title = info.title or title_of(name)
            field.say(info.description or notes.get(name) or title)
            field.setAccessibleName(title)
            field.edited.connect(lambda value, p=path: self._on_edited(p, value))
            field.unreadable.connect(lambda text, p=path: self._on_unreadable(p, text))
            label = QLabel(title)
            label.setToolTip(field.toolTip())
            label.setBuddy(field)
            rows.addRow(label, field)
            self.fields[path], self._labels[path] = field, label

    def _add_part(
        self, model: type[BaseModel], info: FieldInfo, path: str, layout: QVBoxLayout
    ) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(10, 0, 0, 4)
        before = len(self.fields)
        self._add(model, f"{path}.", inner)
        if len(self.fields) == before:
            content.deleteLater()
            return
        name = path.rpartition(".")[2]
        part = section(self._titles.get(path) or info.title or title_of(name), content)
        if info.description:
            part.setToolTip(info.description)
        self.parts[path] = part
        layout.addWidget(part)

    def _on_edited(self, path: str, value: Any) -> None:
        self._unreadable.pop(path, None)
        *holders, name = path.split(".")
        _at(self._values, ".".join(holders))[name] = value
        self._check()

    def _on_unreadable(self, path: str, text: str) -> None:
        self._unreadable[path] = f"{self._labels[path].text()}: {text}."
        self._check()

    def _check(self) -> None:
        if self._unreadable:
            path, text = next(iter(self._unreadable.items()))
            self._mark(path)
            self.invalid.emit(text)
            return
        try:
            settings = self._model.model_validate(self._values)
        except ValidationError as error:
            first = error.errors()[0]
            place = [str(part) for part in first["loc"]]
            wrong = next(
                (p for p in self.fields if place[: len(p.split("."))] == p.split(".")), None
            )
            title = self._labels[wrong].text() if wrong else "Settings"
            self._mark(wrong, everything=wrong is None)
            reason = first["msg"].removeprefix("Value error, ")
            self.invalid.emit(f"{title}: {reason[:1].lower()}{reason[1:].rstrip('.')}.")
            return
        self._mark(None)
        self._settings = settings
        self.edited.emit(settings)

    def _mark(self, wrong: str | None, *, everything: bool = False) -> None:
        for path, label in self._labels.items():
            label.setStyleSheet(_WRONG if everything or path == wrong else "")


def _shown(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Fields with something to choose."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if not (get_origin(kind) is Literal and len(get_args(kind)) == 1):
            yield name, info


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _at(values: dict[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split(".") if path else ():
        found = found[part]
    return found
