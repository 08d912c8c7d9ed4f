"""The dock widget "Data engine studio"."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

import napari.viewer
from qtpy.QtCore import QEvent, QPoint, QSize, Qt, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QScrollArea,
    QSplitter,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.ui.docks import tab_with_others
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.recorder.parts import row, sentence
from napari_mrissl.ui.studio.canvas import LinkedSlices, Picture
from napari_mrissl.ui.studio.layers import add_sample, label_maps
from napari_mrissl.ui.studio.memory import state_of, take_state
from napari_mrissl.ui.studio.presets_box import PresetsBox
from napari_mrissl.ui.studio.sample import Request, Sample
from napari_mrissl.ui.studio.sample_bar import SampleBar, StageBar
from napari_mrissl.ui.studio.sampler import Sampler
from napari_mrissl.ui.studio.settings_box import SettingsBox
from napari_mrissl.ui.studio.templates_box import TemplatesBox
from napari_mrissl.ui.studio.work import Source, from_folder, from_layers, procedural
from napari_mrissl.ui.wheel import leave_wheel_alone

_ERROR = "color: #e5484d; font-weight: bold;"
_SIDE_BY_SIDE = 820
"""Pixels of width from which the settings stand beside the pictures."""


class DataEngineStudio(QWidget):
    """Shows every stage of a synthetic sample while its settings are edited.

    Parameters
    ----------
    viewer
        The main viewer: gives label maps, and gets samples as layers.

    Attributes
    ----------
    session_key : str
        Under which a session keeps `session_state`.
    """

    session_key = "studio"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = real_viewer(viewer)
        self._docked = False
        self._closed = False
        self._failure = False
        self.history = SettingsHistory(EngineSettings())
        self.sampler = Sampler(self)
        self.slices = LinkedSlices()
        self.stage_bar = StageBar()
        self.sample_bar = SampleBar()
        self.templates_box = TemplatesBox(self.sampler)
        self.presets_box = PresetsBox(lambda: self.history.present)
        self.settings_box = SettingsBox(self.history.present)
        self.readings = sentence("Under the mouse: voxel, grey values and label")
        self.message = sentence("What was done last, or what went wrong")
        self._reveal = QTimer(self)
        self._reveal.setSingleShot(True)
        self._reveal.timeout.connect(self._show_section)
        self._arrange()
        leave_wheel_alone(self)
        self._connect()
        self._show_history()
        self._request()

    @property
    def busy(self) -> bool:
        """Whether something is being made."""
        return self.sampler.busy

    @property
    def settings(self) -> EngineSettings:
        """The settings in use: the last valid ones."""
        return self.history.present

    @property
    def sample(self) -> Sample | None:
        """The sample that is shown."""
        return self.sampler.sample

    def use_settings(self, settings: EngineSettings) -> None:
        """Take settings as a change that can be undone."""
        self.history.change(settings)
        self._after_change()

    def use_folder(self, folder: str) -> None:
        """Take templates from the label maps of a folder."""
        self._take(from_folder(folder))

    def use_layers(self) -> None:
        """Take templates from the viewer's Labels layers as they are now."""
        try:
            source = from_layers(label_maps(self._viewer))
        except MrisslError as error:
            self._say_failure(str(error))
            return
        self._take(source)

    def use_procedural(self) -> None:
        """Take shapes made by rule."""
        self._take(procedural())

    def add_to_viewer(self) -> None:
        """Show both views and their labels as layers."""
        if self.sample is None:
            return
        try:
            names = add_sample(self._viewer, self.sample)
        except MrisslError as error:
            self._say_failure(str(error))
            return
        self._say(f"Added to the viewer: {', '.join(names)}.")

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: settings, sample, stage and where templates come from."""
        return state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        wrong = take_state(self, state)
        if wrong:
            self._say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")

    def shut_down(self) -> None:
        """Stop all work; the widget is of no more use."""
        if self._closed:
            return
        self._closed = True
        self.sampler.close()
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self.shut_down)

    def event(self, event: QEvent) -> bool:
        """Notice being docked and being taken out of the window again."""
        if event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self.shut_down()
                # Python cannot collect what Qt's connections to functions hold.
                self.deleteLater()
            elif self.parent() is not None and not self._docked:
                tab_with_others(self)
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def closeEvent(self, event: QEvent) -> None:
        """Closed on its own, outside a dock."""
        self.shut_down()
        super().closeEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a wide dock the settings stand beside the pictures."""
        wide = event.size().width() >= _SIDE_BY_SIDE
        along = Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
        if self.splitter.orientation() != along:
            self.splitter.setOrientation(along)
        super().resizeEvent(event)

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        width = max(self._inner.minimumSizeHint().width(), self._upper.minimumSizeHint().width())
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        return QSize(width + bar + 12, 420)

    def sizeHint(self) -> QSize:
        """No higher than a small screen."""
        return QSize(max(440, self.minimumSizeHint().width()), 660)

    def _arrange(self) -> None:
        self._upper = QWidget()
        upper = QVBoxLayout(self._upper)
        upper.setContentsMargins(4, 2, 4, 0)
        upper.setSpacing(3)
        upper.addWidget(self.slices, 1)
        for part in (self.readings, self.stage_bar, self.sample_bar):
            upper.addWidget(part)
        self._inner = QWidget()
        inner = QVBoxLayout(self._inner)
        inner.setContentsMargins(6, 0, 6, 4)
        inner.setSpacing(2)
        self.sections = {
            title: section(title, box)
            for title, box in (
                ("Settings", self.settings_box),
                ("Templates", self.templates_box),
                ("Presets", self.presets_box),
            )
        }
        for folding in self.sections.values():
            inner.addWidget(folding)
        inner.addStretch(1)
        self._scroll = scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._inner)
        scroll.setMinimumHeight(110)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setToolTip("Drag the border to give pictures or settings more room")
        self.splitter.addWidget(self._upper)
        self.splitter.addWidget(scroll)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        bottom = row((self.message, 1), self.sample_bar.progress, self.sample_bar.cancel)
        bottom.setContentsMargins(6, 0, 6, 4)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self.splitter, 1)
        outer.addLayout(bottom)

    def _connect(self) -> None:
        sampler, bar, settings = self.sampler, self.sample_bar, self.settings_box
        sampler.made.connect(self._on_made)
        sampler.failed.connect(self._on_failed)
        sampler.said.connect(self._say)
        sampler.progressed.connect(self._on_progress)
        sampler.busy_changed.connect(self._on_busy)
        bar.changed.connect(self._request)
        bar.looks_changed.connect(self._present)
        bar.whole.clicked.connect(self.slices.show_whole)
        bar.add.clicked.connect(self.add_to_viewer)
        bar.cancel.clicked.connect(sampler.cancel)
        self.stage_bar.chosen.connect(self._on_stage)
        self.slices.stage_stepped.connect(self.stage_bar.step)
        self.slices.pointed.connect(self._show_readings)
        self.slices.moved.connect(lambda: self._show_readings(self.slices.place))
        settings.edited.connect(self._on_edited)
        settings.invalid.connect(self._say_failure)
        settings.undo_wanted.connect(self._on_undo)
        settings.redo_wanted.connect(self._on_redo)
        settings.published_wanted.connect(lambda: self.use_settings(EngineSettings()))
        self.templates_box.procedural_wanted.connect(self.use_procedural)
        self.templates_box.folder_chosen.connect(self.use_folder)
        self.templates_box.layers_wanted.connect(self.use_layers)
        self.presets_box.loaded.connect(self._on_preset)
        self.presets_box.said.connect(self._say)
        self.presets_box.failed.connect(self._say_failure)
        QApplication.instance().aboutToQuit.connect(self.shut_down)
        self.destroyed.connect(partial(_on_destroyed, weakref.ref(self.sampler)))

    def _request(self) -> None:
        bar = self.sample_bar
        wanted = Request(
            self.settings, bar.seed.value(), bar.index.value(), int(bar.side.currentData())
        )
        self.sampler.request(wanted)

    def _take(self, source: Source) -> None:
        self._say("")
        self.sampler.take(source)
        self.templates_box.refresh()

    def _after_change(self) -> None:
        self._say("")
        self.settings_box.show_settings(self.settings)
        self._show_history()
        self._request()

    def _on_edited(self, settings: EngineSettings) -> None:
        self._say("")
        if self.history.change(settings):
            self._show_history()
            self._request()

    def _on_undo(self) -> None:
        if self.history.undo():
            self._after_change()

    def _on_redo(self) -> None:
        if self.history.redo():
            self._after_change()

    def _on_preset(self, settings: EngineSettings, name: str) -> None:
        self.use_settings(settings)
        self._say(f"These are the settings of {name}.")

    def _show_history(self) -> None:
        self.settings_box.show_history(
            undo=self.history.can_undo,
            redo=self.history.can_redo,
            published=self.settings == EngineSettings(),
        )

    def _on_made(self, sample: Sample) -> None:
        self.templates_box.refresh()
        self._present()
        self.sample_bar.memory.setText(
            f"{sample.kind.capitalize()}, {sample.label_count} labels, made in "
            f"{sample.seconds:.2f} s. Memory: stages {sample.nbytes / 1e6:.0f} MB, "
            f"training pair {sample.pair_bytes / 1e6:.0f} MB."
        )

    def _present(self) -> None:
        sample = self.sample
        self.slices.show_planes(self.sample_bar.shown_planes)
        self.sample_bar.add.setEnabled(sample is not None)
        if sample is None:
            return
        shown = sample.stages[self.stage_bar.stage]
        over = sample.labels if self.sample_bar.overlay.isChecked() else None
        titles = ("A", "B") if len(shown.arrays) > 1 else ("",)
        self.slices.present(
            [Picture(name, a, over) for name, a in zip(titles, shown.arrays, strict=True)]
        )
        self.stage_bar.show_sample(sample)
        self._show_readings(self.slices.place)

    def _on_stage(self, name: str) -> None:
        self.settings_box.unfold(name)
        # Its place is known once the layout has had its turn.
        self._reveal.start(0)
        self._present()

    def _show_section(self) -> None:
        unfolded = self.settings_box.unfolded
        if unfolded is not None and self.sections["Settings"].isExpanded():
            place = unfolded.mapTo(self._inner, QPoint(0, 0)).y()
            self._scroll.verticalScrollBar().setValue(place)

    def _show_readings(self, voxel: tuple[int, int, int] | None) -> None:
        sample = self.sample
        if sample is None:
            return
        voxel = voxel or self.slices.place
        shown = sample.stages[self.stage_bar.stage]
        side = sample.request.side
        if max(voxel) >= side:
            return
        s, a, r = voxel
        text = f"Voxel S {s}, A {a}, R {r}:"
        if shown.kind == "image":
            values = [f"{'AB'[n]} {array[voxel]:.3f}" for n, array in enumerate(shown.arrays)]
            text += f"  {'  '.join(values)}  label {sample.labels[voxel]}"
        else:
            text += f"  {shown.arrays[0][voxel]}"
        self.readings.setText(text)

    def _on_progress(self, part: float, words: str) -> None:
        self.sample_bar.progress.setValue(round(1000 * part))
        # A sentence about what went wrong stays until the user does something.
        if words and not self._failure:
            self._say(f"{words}...")

    def _on_busy(self) -> None:
        self.templates_box.refresh()
        self.sample_bar.show_busy(busy=self.busy)
        if not self.busy and self.message.text().endswith("..."):
            self._say("")

    def _on_failed(self, text: str) -> None:
        self.templates_box.refresh()
        self._say_failure(text)

    def _say(self, text: str) -> None:
        self._failure = False
        self.message.setStyleSheet("")
        self.message.setText(text)

    def _say_failure(self, text: str) -> None:
        self._failure = True
        self.message.setStyleSheet(_ERROR)
        self.message.setText(text)


def _on_destroyed(held: weakref.ref[Sampler], _: object = None) -> None:
    sampler = held()
    if sampler is not None:
        sampler.close()
