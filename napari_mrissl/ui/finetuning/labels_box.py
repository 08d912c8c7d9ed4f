"""Classes and scans: what there is to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.finetuning.task_settings import LabelClass
from napari_mrissl.ui.finetuning.scans_box import ScansBox
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.recorder.parts import sentence
from napari_mrissl.ui.segmenter.class_table import ClassTable

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_mrissl.ui.finetuning.choices import Use
    from napari_mrissl.ui.finetuning.scene import Scene


class LabelsBox(QWidget):
    """The table of classes above that of scans; changes go to the scene.

    Parameters
    ----------
    scene
        Whose scans and classes are shown.
    """

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self.table = ClassTable()
        self.table.setToolTip("Classes of all marks and label layers; background is not listed")
        self.background = sentence("Where background comes from")
        self.names = sentence("What is called differently in two scans")
        classes = QWidget()
        inner = QVBoxLayout(classes)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(2)
        inner.addWidget(self.table)
        inner.addWidget(self.background)
        inner.addWidget(self.names)
        self.scans = ScansBox()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.sections = {
            title: section(title, part)
            for title, part in (("Scans", self.scans), ("Classes", classes))
        }
        for folding in self.sections.values():
            layout.addWidget(folding)
        self.table.edited.connect(self._on_edited)
        self.table.shown_changed.connect(self._on_shown)
        self.scans.use_chosen.connect(self._on_use)
        self.scans.map_chosen.connect(self._on_map)
        self.scans.zero_changed.connect(self._on_zero)
        self.present()

    def present(self) -> None:
        """Show what the scene has now."""
        scene = self._scene
        marks: dict[int, int] = scene.marks
        rows: Any = scene.classes
        self.scans.present(scene.rows)
        self.scans.zero.setChecked(scene.zero_is_nothing)
        self.table.show_classes(rows, 0, marks, scene.choices.hidden)
        there = marks.get(0, 0)
        self.background.setText(
            f"Background: {there:,} labelled voxels."
            if there
            else "No background is labelled: mark some as a class called background, or open a "
            "label map."
        )

        try:
            scene.check_names()
            contradiction = ""
        except MrisslError as error:
            contradiction = str(error)
        self.names.setText(contradiction)
        self.names.setVisible(bool(contradiction))

    def _on_edited(self, changed: LabelClass) -> None:
        self._scene.choices.classes[changed.label] = changed
        self._scene.recolour()
        self.present()

    def _on_shown(self, label: int, shown: bool) -> None:
        hidden = self._scene.choices.hidden
        (hidden.discard if shown else hidden.add)(label)
        self._scene.recolour()

    def _on_use(self, layer: Image, use: Use) -> None:
        self._scene.choices.set_use(layer, use)
        self.present()

    def _on_map(self, layer: Image, labels: Labels | None) -> None:
        self._scene.choices.set_map(layer, labels)
        self._scene.look_soon()
        self.present()

    def _on_zero(self, wanted: bool) -> None:
        self._scene.zero_is_nothing = wanted
        self._scene.look_soon()
