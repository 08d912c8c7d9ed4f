"""Rows of a form: an editor and a label for each field, and the model that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout, QLabel

from napari_mrissl.ui.fields import Field

_WRONG = "color: #e5484d;"


class FieldRows(QObject):
    """The fields of a model, by dotted name, wherever in a form their rows are.

    Parameters
    ----------
    model
        What the fields make.
    explain
        One sentence about what is wrong, from the error and the title of its field.

    Attributes
    ----------
    edited : Signal(object)
        A valid model after an edit.
    invalid : Signal(str)
        One sentence after an edit that gives none; the last valid model stays.
    fields : dict of Field
        By dotted name.
    """

    edited = Signal(object)
    invalid = Signal(str)

    def __init__(
        self,
        model: type[BaseModel],
        explain: Callable[[ValidationError, str | None], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._model = model
        self._explain = explain
        self._labels: dict[str, QLabel] = {}
        self._unreadable: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self.fields: dict[str, Field] = {}

    @property
    def valid(self) -> bool:
        """Whether all that is shown can be used."""
        return not self._unreadable and not any(one.styleSheet() for one in self._labels.values())

    def add(self, rows: QFormLayout, path: str, field: Field, title: str, tip: str) -> None:
        """Put a field's row at the end of a form."""
        field.say(tip)
        field.setAccessibleName(title)
        field.edited.connect(lambda value: self._on_edited(path, value))
        field.unreadable.connect(lambda text: self._on_unreadable(path, text))
        label = QLabel(title)
        label.setToolTip(tip)
        label.setBuddy(field)
        rows.addRow(label, field)
        self.fields[path], self._labels[path] = field, label

    def show(self, settings: BaseModel) -> None:
        """Show a model; what was typed and not valid is forgotten."""
        self._values = settings.model_dump()
        self._unreadable.clear()
        for path, field in self.fields.items():
            field.show_value(_at(self._values, path))
        self._mark(None)

    def set_visible(self, path: str, visible: bool) -> None:
        """Show a row or not; its value stays."""
        self._labels[path].setVisible(visible)
        self.fields[path].setVisible(visible)

    def _on_edited(self, path: str, value: Any) -> None:
        self._unreadable.pop(path, None)
        holder, _, name = path.rpartition(".")
        _at(self._values, holder)[name] = value
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
            place = [str(part) for part in error.errors()[0]["loc"]]
            wrong = next(
                (p for p in self.fields if place[: len(p.split("."))] == p.split(".")), None
            )
            self._mark(wrong, everything=wrong is None)
            self.invalid.emit(self._explain(error, self._labels[wrong].text() if wrong else None))
            return
        self._mark(None)
        self.edited.emit(settings)

    def _mark(self, wrong: str | None, *, everything: bool = False) -> None:
        for path, label in self._labels.items():
            label.setStyleSheet(_WRONG if everything or path == wrong else "")


def _at(values: dict[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split(".") if path else ():
        found = found[part]
    return found
