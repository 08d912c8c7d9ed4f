"""Where templates come from."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_mrissl.ui.recorder.parts import button, column, row, sentence
from napari_mrissl.ui.studio.sampler import Sampler


class TemplatesBox(QWidget):
    """Procedural shapes, a folder of label maps, or the viewer's Labels layers.

    Attributes
    ----------
    procedural_wanted, layers_wanted : Signal()
        A button was pressed.
    folder_chosen : Signal(str)
        A folder with label maps.
    """

    procedural_wanted = Signal()
    folder_chosen = Signal(str)
    layers_wanted = Signal()

    def __init__(self, sampler: Sampler, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sampler = sampler
        self.procedural = button("Procedural", "Shapes made by rule: needs no data at all")
        self.folder = button(
            "Folder...", "Every label of every label map in a folder becomes a template"
        )
        self.layers = button(
            "Labels layers",
            "Every label of the viewer's Labels layers, now; press again after painting",
        )
        self.facts = sentence("The templates in use and the memory that they take")
        self.procedural.clicked.connect(self.procedural_wanted)
        self.folder.clicked.connect(self._on_folder)
        self.layers.clicked.connect(self.layers_wanted)
        outer = column(self)
        outer.addLayout(row((self.procedural, 1), (self.folder, 1), (self.layers, 1)))
        outer.addWidget(self.facts)
        self.refresh()

    def refresh(self) -> None:
        """Name what is in use."""
        pool, words = self._sampler.templates, self._sampler.source.words
        if pool is None:
            self.facts.setText(f"From {words}.")
        else:
            self.facts.setText(f"{len(pool)} templates from {words}: {pool.nbytes / 1e6:.1f} MB.")

    def _on_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder with label maps")
        if chosen:
            self.folder_chosen.emit(chosen)
