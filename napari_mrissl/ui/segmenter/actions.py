"""Buttons that mark, undo, save and load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.files import FileJobs
from napari_mrissl.ui.segmenter.mouse_tool import CLICK, ERASE, LOOK, SCRIBBLE, MouseTool
from napari_mrissl.ui.segmenter.replaying import Replayer

if TYPE_CHECKING:
    from napari.components import ViewerModel

LABEL_FILES = "Label maps (*.nii.gz *.nii *.mgz *.mgh *.nrrd *.mha)"
PROMPT_FILES = "Clicks (*.json *.csv)"
# napari's number keys choose tools of the active layer; with Alt they are free.
CLASS_KEYS = tuple(f"Alt-{number}" for number in range(1, 10))


class MarkButtons(QWidget):
    """What the mouse does, in the main view and on the slice; undo, redo, clear."""

    def __init__(self, viewer: ViewerModel, controller: Controller, tool: MouseTool) -> None:
        super().__init__()
        self._viewer = viewer
        self._controller = controller
        self._bound: list[str] = []
        self.move = _button("Look", "The mouse moves the view and places nothing")
        self.click = _button("Click", "Place clicks of the selected class, also on the slice")
        self.scribble = _button(
            "Scribble", "Paint scribbles of the selected class, also on the slice"
        )
        self.erase = _button("Erase", "Rub out scribbles, also on the slice")
        self.tools = QButtonGroup(self)
        for button in (self.move, self.click, self.scribble, self.erase):
            button.setCheckable(True)
            self.tools.addButton(button)
        self.move.setChecked(True)
        self.undo = _button("Undo", "Take back the newest click, stroke or class change")
        self.redo = _button("Redo", "Do again what was undone last")
        self.clear = _button("Clear", "Remove all clicks and scribbles of this scan; undo works")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(_row(self.move, self.click, self.scribble, self.erase))
        column.addLayout(_row(self.undo, self.redo, self.clear))
        lights = {LOOK: self.move, CLICK: self.click, SCRIBBLE: self.scribble, ERASE: self.erase}
        for chosen, button in lights.items():
            button.clicked.connect(lambda _=False, chosen=chosen: tool.use(chosen))
        tool.changed.connect(lambda chosen: lights[chosen].setChecked(True))
        self.undo.clicked.connect(lambda: self._session_do("undo"))
        self.redo.clicked.connect(lambda: self._session_do("redo"))
        self.clear.clicked.connect(lambda: self._session_do("clear"))
        controller.session_changed.connect(self.refresh)
        controller.prompts_changed.connect(self.refresh)
        self._bind()
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done."""
        session = self._controller.session
        self.setEnabled(session is not None)
        if session is not None:
            self.undo.setEnabled(session.state.can_undo)
            self.redo.setEnabled(session.state.can_redo)
            self.clear.setEnabled(not session.state.empty)

    def unbind(self) -> None:
        """Give the viewer its keys back."""
        for key in self._bound:
            self._viewer.bind_key(key, None)
        self._bound.clear()

    def _bind(self) -> None:
        taken = {str(key) for key in self._viewer.keymap}
        for place, key in enumerate(CLASS_KEYS):
            if key.replace("-", "+") not in taken:
                self._viewer.bind_key(key, lambda _, place=place: self._choose(place))
                self._bound.append(key)

    def _choose(self, place: int) -> None:
        session = self._controller.session
        if session is not None and place < len(session.state.classes):
            self._controller.class_chosen.emit(session.state.classes[place].label)

    def _session_do(self, what: str) -> None:
        session = self._controller.session
        if session is not None:
            getattr(session, what)()


class FileButtons(QWidget):
    """Save the segmentation, save and load clicks, replay."""

    def __init__(self, controller: Controller, files: FileJobs, replayer: Replayer) -> None:
        super().__init__()
        self._controller = controller
        self._files = files
        self.save = _button("Save segmentation…", "Save the labels on the scan's own grid")
        self.replay = _button(
            "Replay", "Make the segmentation again from what its layer recorded, and compare"
        )
        self.save_clicks = _button("Save clicks…", "Save clicks and scribbles as JSON or CSV")
        self.load_clicks = _button("Load clicks…", "Replace clicks and scribbles by a file's")
        grid = _grid(self)
        for place, button in enumerate(
            (self.save, self.replay, self.save_clicks, self.load_clicks)
        ):
            grid.addWidget(button, *divmod(place, 2))
        self.save.clicked.connect(self._save)
        self.replay.clicked.connect(replayer.start)
        self.save_clicks.clicked.connect(self._save_clicks)
        self.load_clicks.clicked.connect(self._load_clicks)
        for signal in (
            controller.session_changed, controller.prompts_changed, controller.labels_shown,
        ):  # fmt: skip
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done."""
        session = self._controller.session
        self.setEnabled(session is not None)
        if session is not None:
            self.save.setEnabled(session.results.array() is not None)
            self.replay.setEnabled(session.results.record() is not None)
            self.save_clicks.setEnabled(not session.state.empty)

    def _save(self) -> None:
        path = self._ask_where("Save segmentation", "segmentation.nii.gz", LABEL_FILES)
        if path is not None:
            # The dialog has asked whether an existing file may be replaced.
            self._files.save_segmentation(path, overwrite=True)

    def _save_clicks(self) -> None:
        path = self._ask_where("Save clicks", "clicks.json", PROMPT_FILES)
        if path is not None:
            self._files.save_prompts(path)

    def _load_clicks(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load clicks", "", PROMPT_FILES)
        if name:
            self._files.load_prompts(name)

    def _ask_where(self, title: str, name: str, kinds: str) -> Path | None:
        session = self._controller.session
        stem = f"{session.volume.name}_{name}" if session is not None else name
        chosen, _ = QFileDialog.getSaveFileName(self, title, stem, kinds)
        return Path(chosen) if chosen else None


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _row(*buttons: QPushButton) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for button in buttons:
        row.addWidget(button, 1)
    return row


def _grid(widget: QWidget) -> QGridLayout:
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(4)
    return grid
