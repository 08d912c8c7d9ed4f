"""Method, preset and all settings of a new run, in forms built from their models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pydantic import BaseModel
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.model_form import ModelForm
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.pretraining.draft import Draft, begun, first
from napari_mrissl.ui.recorder.parts import button, label_of, row, sentence
from napari_mrissl.ui.wheel import leave_wheel_alone

_PRESET_WORDS = {
    "tiny": "Tiny: ends within a minute, to see that all works",
    "cpu": "CPU: small crops and a small network",
    "gpu": "GPU: larger crops and a larger network",
    "published_1": "Published, stage 1",
    "published_2": "Published, stage 2: begin with the weights of a run of stage 1",
}
_ELSEWHERE = ("method", "task", "data.kind", "data.engine", "data.subjects", "device", "initial")
_ENGINE_ONLY = "data.heads"
_TITLES = {"data": "Loading", "data.preprocessing": "Intensities", "checkpoint": "Checkpoints"}


class FormBox(QWidget):
    """Edits a `Draft`.

    Parameters
    ----------
    tasks
        The registry of methods.

    Attributes
    ----------
    changed : Signal()
        `draft` is another one.
    invalid : Signal(str)
        What was typed is no valid setting, in one sentence; the last valid ones stay in use.
    """

    changed = Signal()
    invalid = Signal(str)

    def __init__(self, tasks: Mapping[str, TaskInfo], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tasks = tasks
        self._history = SettingsHistory(first(tasks))
        self.task_form: ModelForm | None = None
        self.engine_form: ModelForm | None = None
        self._shown: dict[str, str] = {}
        self.method = QComboBox()
        for info in tasks.values():
            self.method.addItem(info.title, info.name)
            self.method.setItemData(
                self.method.count() - 1, info.description, Qt.ItemDataRole.ToolTipRole
            )
        self.method.setToolTip("What the network is pretrained on")
        self.about = sentence("What the method does")
        self.preset = QComboBox()
        for box in (self.method, self.preset):
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.setMinimumContentsLength(12)
        self.undo = button("Undo", "Take back the last change of the settings")
        self.redo = button("Redo", "Do the change again that was taken back")
        self.restore = button("Back to preset", "Take back all changes; can be undone")
        self._places = {"task": QVBoxLayout(), "engine": QVBoxLayout()}
        self.run_form = ModelForm(self._history.present.settings, skip=_ELSEWHERE, titles=_TITLES)
        for part in self.run_form.parts.values():
            part.collapse(animate=False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(3)
        layout.addLayout(row(label_of("Method", self.method), (self.method, 1)))
        layout.addWidget(self.about)
        layout.addLayout(row(label_of("Preset", self.preset), (self.preset, 1)))
        layout.addLayout(row((self.undo, 1), (self.redo, 1), (self.restore, 1)))
        layout.addLayout(self._places["task"])
        layout.addWidget(self.run_form)
        layout.addLayout(self._places["engine"])
        self.method.currentIndexChanged.connect(self._on_chosen)
        self.preset.currentIndexChanged.connect(self._on_chosen)
        self.undo.clicked.connect(lambda: self._step(self._history.undo))
        self.redo.clicked.connect(lambda: self._step(self._history.redo))
        self.restore.clicked.connect(self._on_chosen)
        self.run_form.edited.connect(self._on_run_edited)
        self.run_form.invalid.connect(self.invalid)
        self._show()

    @property
    def draft(self) -> Draft:
        """The last valid settings."""
        return self._history.present

    @property
    def valid(self) -> bool:
        """Whether the draft is what the forms show."""
        forms = (self.run_form, self.task_form, self.engine_form)
        return all(form.valid for form in forms if form is not None)

    def use(self, draft: Draft) -> None:
        """Take settings as a change that can be undone; what is not valid is forgotten."""
        self._history.change(draft)
        self._show()
        self.changed.emit()

    def use_kind(self, kind: str) -> None:
        """Take samples from elsewhere."""
        if kind != self.draft.kind:
            self.use(self.draft.with_kind(kind, self.tasks))

    def use_device(self, device: str) -> None:
        """Train on another device."""
        self._take(self.draft.with_device(device))

    def _step(self, step: Callable[[], bool]) -> None:
        if step():
            self._show()
            self.changed.emit()

    def _on_chosen(self) -> None:
        method, preset = self.method.currentData(), self.preset.currentData()
        if preset not in self.tasks[method].presets:
            preset = first(self.tasks).preset
        self.use(self._start(method, preset))

    def _start(self, method: str, preset: str) -> Draft:
        kept = self.draft.settings.device
        return begun(method, preset, self.draft.kind, self.tasks).with_device(kept)

    def _take(self, draft: Draft) -> None:
        if self._history.change(draft):
            self._show_buttons()
        self.changed.emit()

    def _show(self) -> None:
        draft = self.draft
        self._fill_presets(self.tasks[draft.method].presets)
        for box, value in ((self.method, draft.method), (self.preset, draft.preset)):
            blocker = QSignalBlocker(box)
            box.setCurrentIndex(box.findData(value))
            blocker.unblock()
        info = self.tasks[draft.method]
        source = f" (arXiv:{info.source})" if info.source else ""
        self.about.setText(f"{info.description}{source}")
        self.task_form = self._shown_form(
            "task", draft.method, info.title, draft.task(self.tasks), self.task_form
        )
        self.engine_form = self._shown_form(
            "engine", draft.kind, "Data engine", draft.engine, self.engine_form
        )
        self.run_form.show_settings(draft.settings)
        self.run_form.set_row_visible(_ENGINE_ONLY, draft.kind != "scans")
        self._show_buttons()

    def _fill_presets(self, names: Iterable[str]) -> None:
        words = {name: _PRESET_WORDS.get(name, name) for name in names}
        if [self.preset.itemData(place) for place in range(self.preset.count())] == list(words):
            return
        blocker = QSignalBlocker(self.preset)
        self.preset.clear()
        for place, (name, text) in enumerate(words.items()):
            self.preset.addItem(text, name)
            self.preset.setItemData(place, text, Qt.ItemDataRole.ToolTipRole)
        self.preset.setToolTip("\n".join(words.values()))
        blocker.unblock()

    def _shown_form(
        self, place: str, key: str, title: str, model: BaseModel | None, before: ModelForm | None
    ) -> ModelForm | None:
        """The form of a model in its place; made anew where the model is of another type."""
        if self._shown.get(place) == key:
            if before is not None:
                before.show_settings(model)
            return before
        self._shown[place] = key
        if before is not None:
            old = self._places[place].takeAt(0).widget()
            old.setParent(None)
            old.deleteLater()
        if model is None:
            return None
        form = ModelForm(model)
        for part in form.parts.values():
            part.collapse(animate=False)
        form.edited.connect(partial(self._on_edited, place))
        form.invalid.connect(self.invalid)
        folding = section(title, form)
        if place == "engine":
            folding.collapse(animate=False)
        self._places[place].addWidget(folding)
        leave_wheel_alone(form)
        return form

    def _on_edited(self, place: str, model: BaseModel) -> None:
        draft = self.draft
        self._take(draft.with_task(model) if place == "task" else draft.with_engine(model))

    def _on_run_edited(self, settings: RunSettings) -> None:
        # The form knows nothing of method, engine and device.
        device = self.draft.settings.device
        self._take(self.draft.with_run(settings).with_device(device))

    def _show_buttons(self) -> None:
        draft = self.draft
        self.undo.setEnabled(self._history.can_undo)
        self.redo.setEnabled(self._history.can_redo)
        self.restore.setEnabled(draft != self._start(draft.method, draft.preset))
