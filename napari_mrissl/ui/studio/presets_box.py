"""Settings kept under a name, for the studio and for training."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLineEdit, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis import presets
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.ui.recorder.parts import button, column, label_of, row


class PresetsBox(QWidget):
    """Loads, saves and removes presets: small files, read and written at once.

    Parameters
    ----------
    present
        Gives the settings to be saved.

    Attributes
    ----------
    loaded : Signal(object, str)
        Settings of a preset, and its name.
    said, failed : Signal(str)
        One sentence.
    """

    loaded = Signal(object, str)
    said = Signal(str)
    failed = Signal(str)

    def __init__(
        self, present: Callable[[], EngineSettings], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._present = present
        self.names = QComboBox()
        self.names.setToolTip("Presets: the published one, and yours")
        self.load = button("Load", "Take the settings of this preset; can be undone")
        self.remove = button("Remove", "Set this preset aside in the folder 'removed' beside it")
        self.name = QLineEdit()
        self.name.setToolTip("A name for the present settings; training finds them by it")
        self.name.setPlaceholderText("letters, digits, spaces")
        self.save = button("Save", "Keep the present settings under this name")
        self.load.clicked.connect(self._on_load)
        self.remove.clicked.connect(self._on_remove)
        self.save.clicked.connect(self._on_save)
        self.name.returnPressed.connect(self._on_save)
        self.name.textChanged.connect(self._allow)
        self.names.currentIndexChanged.connect(self._allow)
        outer = column(self)
        outer.addLayout(
            row(label_of("Preset", self.names), (self.names, 1), self.load, self.remove)
        )
        outer.addLayout(row(label_of("Name", self.name), (self.name, 1), self.save))
        self.refresh()

    def refresh(self, chosen: str | None = None) -> None:
        """List what is there."""
        chosen = chosen or self.names.currentText()
        self.names.blockSignals(True)
        self.names.clear()
        self.names.addItems(presets.list_presets())
        self.names.setCurrentIndex(max(0, self.names.findText(chosen)))
        self.names.blockSignals(False)
        self._allow()

    def _allow(self) -> None:
        self.remove.setEnabled(self.names.currentText() != presets.PUBLISHED)
        there = self.names.findText(" ".join(self.name.text().split())) > 0
        self.save.setText("Replace" if there else "Save")
        self.save.setEnabled(bool(self.name.text().strip()))

    def _on_load(self) -> None:
        name = self.names.currentText()
        try:
            settings = presets.load_preset(name)
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        self.loaded.emit(settings, name)

    def _on_save(self) -> None:
        try:
            name = presets.save_preset(self.name.text(), self._present())
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        self.name.setText(name)
        self.refresh(name)
        self.said.emit(f"Saved as {name}.")

    def _on_remove(self) -> None:
        name = self.names.currentText()
        try:
            presets.remove_preset(name)
        except MrisslError as error:
            self.failed.emit(str(error))
            return
        finally:
            self.refresh()
        self.said.emit(f"{name} was set aside in the folder 'removed' beside the presets.")
