"""A form for any settings model: an editor per field, a folding part for each model within."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mrissl.ui.field_rows import FieldRows
from napari_mrissl.ui.field_types import inner_type
from napari_mrissl.ui.field_words import attribute_notes, title_of
from napari_mrissl.ui.fields import field_for
from napari_mrissl.ui.navigator.bars import section


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
        self._rows = FieldRows(type(settings), _explained, self)
        self.fields = self._rows.fields
        self._skip = frozenset(skip)
        self._titles = dict(titles or {})
        self._settings = settings
        self.parts: dict[str, QCollapsible] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self._add(type(settings), "", layout)
        self.show_settings(settings)
        self._rows.edited.connect(self._on_edited)
        self._rows.invalid.connect(self.invalid)

    @property
    def settings(self) -> BaseModel:
        """The last valid model."""
        return self._settings

    @property
    def valid(self) -> bool:
        """Whether what is shown is what `settings` says."""
        return self._rows.valid

    def show_settings(self, settings: BaseModel) -> None:
        """Show another model of the same type; what was typed and not valid is forgotten."""
        self._settings = settings
        self._rows.show(settings)

    def set_row_visible(self, path: str, visible: bool) -> None:
        """Show a field's row or not; its value stays."""
        self._rows.set_visible(path, visible)

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
            tip = info.description or notes.get(name) or title
            self._rows.add(rows, path, field, title, tip)

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

    def _on_edited(self, settings: BaseModel) -> None:
        self._settings = settings
        self.edited.emit(settings)


def _explained(error: ValidationError, title: str | None) -> str:
    reason = error.errors()[0]["msg"].removeprefix("Value error, ")
    return f"{title or 'Settings'}: {reason[:1].lower()}{reason[1:].rstrip('.')}."


def _shown(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Fields with something to choose."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if not (get_origin(kind) is Literal and len(get_args(kind)) == 1):
            yield name, info


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
