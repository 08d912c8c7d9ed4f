"""Every probability and every range, in a section for each stage."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mrissl.synthesis.presets import PUBLISHED, explained
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.ui.fields import Field, field_for
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.recorder.parts import button, row
from napari_mrissl.ui.studio.groups import GROUPS, explanation, field_of

_WRONG = "color: #e5484d;"


class SettingsBox(QWidget):
    """Edits the engine's settings.

    Parameters
    ----------
    settings
        Shown at first.

    Attributes
    ----------
    edited : Signal(object)
        Valid `EngineSettings` after an edit.
    invalid : Signal(str)
        One sentence after an edit that gives none; the last valid ones stay.
    undo_wanted, redo_wanted, published_wanted : Signal()
        A button was pressed.
    fields : dict of Field
        By dotted name.
    """

    edited = Signal(object)
    invalid = Signal(str)
    undo_wanted = Signal()
    redo_wanted = Signal()
    published_wanted = Signal()

    def __init__(self, settings: EngineSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields: dict[str, Field] = {}
        self._labels: dict[str, QLabel] = {}
        self._unreadable: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._unfolded: str | None = None
        self.undo = button("Undo", "Take back the last change of the settings")
        self.redo = button("Redo", "Do the change again that was taken back")
        self.published = button(PUBLISHED, "Back to the published settings; can be undone")
        self.undo.clicked.connect(self.undo_wanted)
        self.redo.clicked.connect(self.redo_wanted)
        self.published.clicked.connect(self.published_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(2)
        layout.addLayout(row((self.undo, 1), (self.redo, 1), (self.published, 1)))
        self.sections = {}
        for group in GROUPS:
            folding = section(group.title, self._form(group.paths))
            folding.collapse(animate=False)
            self.sections[group.title] = folding
            layout.addWidget(folding)
        self.show_settings(settings)

    @property
    def unfolded(self) -> QCollapsible | None:
        """The section of the stage that is shown."""
        return self.sections[self._unfolded] if self._unfolded else None

    def show_settings(self, settings: EngineSettings) -> None:
        """Show settings; what was typed and not valid is forgotten."""
        self._values = settings.model_dump()
        self._unreadable.clear()
        for path, field in self.fields.items():
            field.show_value(_at(self._values, path))
        self._mark(None)

    def show_history(self, *, undo: bool, redo: bool, published: bool) -> None:
        """Allow what can be done."""
        self.undo.setEnabled(undo)
        self.redo.setEnabled(redo)
        self.published.setEnabled(not published)

    def unfold(self, stage: str) -> None:
        """Show the settings of a stage, and fold those that were unfolded so before."""
        title = next((group.title for group in GROUPS if stage in group.stages), None)
        if title == self._unfolded:
            return
        if self._unfolded is not None:
            self.sections[self._unfolded].collapse(animate=False)
        if title is not None:
            self.sections[title].expand(animate=False)
        self._unfolded = title

    def _form(self, paths: tuple[str, ...]) -> QWidget:
        content = QWidget()
        rows = QFormLayout(content)
        rows.setContentsMargins(8, 0, 0, 4)
        rows.setVerticalSpacing(3)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for path in paths:
            model, name = field_of(path)
            info = model.model_fields[name]
            field = field_for(info)
            field.say(explanation(path))
            field.edited.connect(lambda value, p=path: self._on_edited(p, value))
            field.unreadable.connect(lambda text, p=path: self._on_unreadable(p, text))
            label = QLabel(info.title or name)
            label.setToolTip(field.toolTip())
            label.setBuddy(field)
            field.setAccessibleName(label.text())
            rows.addRow(label, field)
            self.fields[path], self._labels[path] = field, label
        return content

    def _on_edited(self, path: str, value: Any) -> None:
        self._unreadable.pop(path, None)
        *holders, name = path.split(".")
        holder = self._values
        for one in holders:
            holder = holder[one]
        holder[name] = value
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
            settings = EngineSettings.model_validate(self._values)
        except ValidationError as error:
            place = [str(part) for part in error.errors()[0]["loc"]]
            self._mark(
                next((p for p in self.fields if place[: len(p.split("."))] == p.split(".")), None)
            )
            self.invalid.emit(f"{explained(error)}; the settings before it stay in use.")
            return
        self._mark(None)
        self.edited.emit(settings)

    def _mark(self, wrong: str | None) -> None:
        for path, label in self._labels.items():
            label.setStyleSheet(_WRONG if path == wrong else "")


def _at(values: dict[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        found = found[part]
    return found
