"""Classes: choose, add, remove, rename, recolour, start from a preset."""

from __future__ import annotations

from collections import Counter

from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.segmenter.class_table import ClassTable
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.presets import PRESETS, new_class


class ClassesBox(QWidget):
    """The table of classes and its buttons."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.table = ClassTable()
        self.add = QPushButton("Add")
        self.add.setToolTip("Add a class with the next free label and a new colour")
        self.remove = QPushButton("Remove")
        self.remove.setToolTip(
            "Remove the selected class and everything marked with it; undo works"
        )
        self.presets = QPushButton("Presets")
        self.presets.setToolTip("Replace the classes by a ready-made set")
        menu = QMenu(self.presets)
        for name, classes in PRESETS.items():
            menu.addAction(name).triggered.connect(
                lambda _=False, classes=classes: self.use_preset(classes)
            )
        self.presets.setMenu(menu)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.add, self.remove, self.presets):
            row.addWidget(button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.table)
        column.addLayout(row)
        self.table.chosen.connect(self.choose)
        self.table.edited.connect(self._edit)
        self.table.shown_changed.connect(self._set_shown)
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)
        controller.session_changed.connect(self.refresh)
        controller.prompts_changed.connect(self.refresh)
        controller.class_chosen.connect(self.choose)
        self.refresh()

    def refresh(self) -> None:
        """Show the current scan's classes and how much is marked of each."""
        session = self._controller.session
        self.setEnabled(session is not None)
        if session is None:
            self.table.show_classes((), 0, {}, set())
            return
        state = session.state
        marks = Counter(click[3] for click in state.clicks)
        marks.update(state.scribble.labels.tolist())
        self.table.show_classes(state.classes, session.current, marks, session.hidden)
        self.remove.setEnabled(len(state.classes) > 1)

    def choose(self, label: int) -> None:
        """Clicks and scribbles from now on mark this class."""
        session = self._controller.session
        if session is not None and session.class_of(label) is not None:
            session.use_class(label)
            self.refresh()

    def use_preset(self, classes: tuple[PromptClass, ...]) -> None:
        """Replace the classes; marks of labels that stay are kept."""
        session = self._controller.session
        if session is not None:
            session.set_classes(classes)

    def _add(self) -> None:
        session = self._controller.session
        if session is None:
            return
        added = new_class(session.state.classes)
        if added is not None:
            session.set_classes((*session.state.classes, added))
            self.choose(added.label)

    def _remove(self) -> None:
        session = self._controller.session
        if session is not None and len(session.state.classes) > 1:
            kept = tuple(one for one in session.state.classes if one.label != session.current)
            session.set_classes(kept)

    def _edit(self, changed: PromptClass) -> None:
        session = self._controller.session
        if session is not None:
            session.set_classes(
                tuple(changed if c.label == changed.label else c for c in session.state.classes)
            )

    def _set_shown(self, label: int, shown: bool) -> None:
        session = self._controller.session
        if session is not None:
            session.set_shown(label, shown)
