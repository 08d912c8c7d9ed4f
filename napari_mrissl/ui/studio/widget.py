"""The dock widget "Data engine studio"."""

from __future__ import annotations

from typing import Any

import napari.viewer
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.ui.dock_panel import DockPanel, close_when_destroyed
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.recorder.parts import sentence
from napari_mrissl.ui.status import StatusLine
from napari_mrissl.ui.studio.canvas import LinkedSlices
from napari_mrissl.ui.studio.layers import add_sample, label_maps
from napari_mrissl.ui.studio.memory import state_of, take_state
from napari_mrissl.ui.studio.panes import Panes
from napari_mrissl.ui.studio.pictures import Picture
from napari_mrissl.ui.studio.presets_box import PresetsBox
from napari_mrissl.ui.studio.sample import Request, Sample
from napari_mrissl.ui.studio.sample_bar import SampleBar, StageBar
from napari_mrissl.ui.studio.sampler import Sampler
from napari_mrissl.ui.studio.settings_box import SettingsBox
from napari_mrissl.ui.studio.templates_box import TemplatesBox
from napari_mrissl.ui.studio.work import Source, from_folder, from_layers, procedural
from napari_mrissl.ui.wheel import leave_wheel_alone


class DataEngineStudio(DockPanel, QWidget):
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
        self._closed = False
        self.history = SettingsHistory(EngineSettings())
        self.sampler = Sampler(self)
        self.slices = LinkedSlices()
        self.stage_bar = StageBar()
        self.sample_bar = SampleBar()
        self.templates_box = TemplatesBox(self.sampler)
        self.presets_box = PresetsBox(lambda: self.history.present)
        self.settings_box = SettingsBox(self.history.present)
        self.readings = sentence("Under the mouse: voxel, grey values and label")
        self.panes = Panes(
            (self.slices, self.readings, self.stage_bar, self.sample_bar),
            {
                "Settings": self.settings_box,
                "Templates": self.templates_box,
                "Presets": self.presets_box,
            },
        )
        self.status = StatusLine(
            "How much of the sample is made",
            "Stop; the sample shown and the templates stay",
            steady=True,
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self.panes, 1)
        outer.addWidget(self.status)
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
            self.status.say_failure(str(error))
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
            self.status.say_failure(str(error))
            return
        self.status.say(f"Added to the viewer: {', '.join(names)}.")

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: settings, sample, stage and where templates come from."""
        return state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        wrong = take_state(self, state)
        if wrong:
            self.status.say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")

    def shut_down(self) -> None:
        """Stop all work; the widget is of no more use."""
        if self._closed:
            return
        self._closed = True
        self.sampler.close()
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self.shut_down)

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        return QSize(self.panes.least_width, 420)

    def sizeHint(self) -> QSize:
        """No higher than a small screen."""
        return QSize(max(440, self.minimumSizeHint().width()), 660)

    def _connect(self) -> None:
        sampler, bar, settings = self.sampler, self.sample_bar, self.settings_box
        sampler.made.connect(self._on_made)
        sampler.failed.connect(self._on_failed)
        sampler.said.connect(self.status.say)
        sampler.progressed.connect(self.status.show_progress)
        sampler.busy_changed.connect(self._on_busy)
        bar.changed.connect(self._request)
        bar.looks_changed.connect(self._present)
        bar.whole.clicked.connect(self.slices.show_whole)
        bar.add.clicked.connect(self.add_to_viewer)
        self.status.stop_wanted.connect(sampler.cancel)
        self.stage_bar.chosen.connect(self._on_stage)
        self.slices.stage_stepped.connect(self.stage_bar.step)
        self.slices.pointed.connect(self._show_readings)
        self.slices.moved.connect(lambda: self._show_readings(self.slices.place))
        settings.edited.connect(self._on_edited)
        settings.invalid.connect(self.status.say_failure)
        settings.undo_wanted.connect(self._on_undo)
        settings.redo_wanted.connect(self._on_redo)
        settings.published_wanted.connect(lambda: self.use_settings(EngineSettings()))
        self.templates_box.procedural_wanted.connect(self.use_procedural)
        self.templates_box.folder_chosen.connect(self.use_folder)
        self.templates_box.layers_wanted.connect(self.use_layers)
        self.presets_box.loaded.connect(self._on_preset)
        self.presets_box.said.connect(self.status.say)
        self.presets_box.failed.connect(self.status.say_failure)
        QApplication.instance().aboutToQuit.connect(self.shut_down)
        close_when_destroyed(self, self.sampler)

    def _request(self) -> None:
        bar = self.sample_bar
        wanted = Request(
            self.settings, bar.seed.value(), bar.index.value(), int(bar.side.currentData())
        )
        self.sampler.request(wanted)

    def _take(self, source: Source) -> None:
        self.status.say("")
        self.sampler.take(source)
        self.templates_box.refresh()

    def _after_change(self) -> None:
        self.status.say("")
        self.settings_box.show_settings(self.settings)
        self._show_history()
        self._request()

    def _on_edited(self, settings: EngineSettings) -> None:
        self.status.say("")
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
        self.status.say(f"These are the settings of {name}.")

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
        self.panes.reveal(self.settings_box.unfolded)
        self._present()

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

    def _on_busy(self) -> None:
        self.templates_box.refresh()
        self.status.show_busy(busy=self.busy)

    def _on_failed(self, text: str) -> None:
        self.templates_box.refresh()
        self.status.say_failure(text)
