"""Every probability and every range, in a section for each stage."""

from __future__ import annotations

from pydantic import ValidationError
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mrissl.synthesis.presets import PUBLISHED, explained
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.ui.field_rows import FieldRows
from napari_mrissl.ui.fields import field_for
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.recorder.parts import button, row
from napari_mrissl.ui.studio.groups import GROUPS, explanation, field_of


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
        self._rows = FieldRows(EngineSettings, _explained, self)
        self.fields = self._rows.fields
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
        self._rows.edited.connect(self.edited)
        self._rows.invalid.connect(self.invalid)

    @property
    def unfolded(self) -> QCollapsible | None:
        """The section of the stage that is shown."""
        return self.sections[self._unfolded] if self._unfolded else None

    def show_settings(self, settings: EngineSettings) -> None:
        """Show settings; what was typed and not valid is forgotten."""
        self._rows.show(settings)

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
            self._rows.add(rows, path, field_for(info), info.title or name, explanation(path))
        return content


def _explained(error: ValidationError, _: str | None) -> str:
    return f"{explained(error)}; the settings before it stay in use."
