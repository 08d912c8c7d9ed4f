"""The dock widget "Finetuning": from a few labelled scans to every open one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.viewer
from qtpy.QtWidgets import QWidget

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.segmentation.finetuning import INFO
from napari_mrissl.ui.finetuning import work
from napari_mrissl.ui.finetuning.actions import FinetuneActions
from napari_mrissl.ui.finetuning.labels_box import LabelsBox
from napari_mrissl.ui.finetuning.memory import state_of, take_state
from napari_mrissl.ui.finetuning.preview_link import PreviewLink
from napari_mrissl.ui.finetuning.results_box import ResultsBox
from napari_mrissl.ui.finetuning.run_tab import FinetuneRunBox
from napari_mrissl.ui.finetuning.scene import Scene
from napari_mrissl.ui.finetuning.segmenting import Segmenting
from napari_mrissl.ui.finetuning.start_box import StartBox
from napari_mrissl.ui.finetuning.table_file import write_table
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.pretraining.run_dock import RunDock
from napari_mrissl.ui.recorder.parts import scrolled

if TYPE_CHECKING:
    from napari_mrissl.ui.pretraining.runs_box import RunRow

_LIST_MS = 5000
_MOST_RUNS = 50
LABELS, RUN, RESULTS = range(3)
"""The tabs."""


class Finetuning(RunDock):
    """Learns from the labels of a few scans, and segments every open one as layers.

    Parameters
    ----------
    viewer
        Whose scans, marks and label layers are learned from.

    Attributes
    ----------
    scene : Scene
        What is open, labelled and segmented.
    session_key : str
        Under which a session keeps `session_state`.
    """

    session_key = "finetuning"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(
            viewer,
            "finetuning",
            FinetuneActions,
            "Stop what is being prepared, measured or segmented; a training goes on",
            _LIST_MS,
            parent,
        )
        self._awaited: Path | None = None
        self.scene = Scene(self.viewer, self)
        self.saving = JobRunner(self)
        self.segmenting = Segmenting(self.scene, self)
        self.preview_link = PreviewLink(self.scene, self.follower, self)
        self.labels_box = LabelsBox(self.scene)
        self.start_box = StartBox()
        self.run_box = FinetuneRunBox(self.follower, self.scene.name_of)
        self.results_box = ResultsBox()
        self._arrange()
        self._connect()
        self._workers = (self.scene, self.preview_link)
        self.propose()
        self.begin(self.saving, self.segmenting)
        self.scene.look()

    @property
    def busy(self) -> bool:
        """Whether something is being started, stopped, asked, segmented, saved or looked at."""
        return self.scene.busy or super().busy

    def start(self) -> None:
        """Learn from what is labelled, in a process of its own."""
        if self.actions.running:
            return
        folder = self._folder()
        if folder is not None and (wanted := self._wanted()) is not None:
            self.actions.begin(wanted, folder)

    def propose(self) -> None:
        """Another folder for the next run."""
        self.start_box.propose()

    def estimate(self) -> None:
        """Check what is labelled, and measure memory and time of a step."""
        wanted = self._wanted()
        if wanted is None:
            return
        self.status.say("")
        self.start_box.estimate_text.setText("Measuring a step...")
        self.asking.start(
            lambda control: work.estimate(control, wanted),
            title="estimate",
            done=lambda found: self.start_box.show_estimate(*found),
        )
        self._show_busy()

    def use_run(self, folder: str | Path, *, segment: bool = True) -> None:
        """Make the network of a finetuning the present one, and segment scans by it."""
        self.status.say("")
        self.segmenting.device = self.start_box.device.currentData()
        self.segmenting.use(Path(folder).absolute(), self._chosen if segment else None)

    def take_up_model(self, folder: str | Path) -> None:
        """Go on with the network of an earlier session; its results are there as layers."""
        self.segmenting.take_up(Path(folder).absolute())

    def segment(self) -> None:
        """Segment the scans with a tick by the present network."""
        self.status.say("")
        self.segmenting.device = self.start_box.device.currentData()
        self.segmenting.segment(self._chosen)

    def undo(self) -> None:
        """Take the present finetuning back, with its results."""
        self._step(self.scene.results.undo)

    def redo(self) -> None:
        """Do the finetuning again that was taken back."""
        self._step(self.scene.results.redo)

    def save_table(self, path: str | Path) -> None:
        """Write volumes and Dice of all results as CSV, in the background."""
        model, rows, place = self.scene.results.model, self.scene.table, Path(path)
        if model is None or not rows:
            self.status.say_failure("There is no result to save; segment a scan first.")
            return
        self.saving.start(
            lambda _: write_table(place, model, rows),
            title=f"saving {printable(place.name)}",
            done=lambda written: self.status.say(
                f"{len(rows)} scan{'s' * (len(rows) != 1)} in {printable(written.name)}."
            ),
            queue=True,
        )

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: settings, choices, corrections, network and run."""
        return state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        self._say_unusable(take_state(self, state))
        self.scene.look()

    def _arrange(self) -> None:
        self.arrange(
            (self.labels_box, self.start_box.folding),
            ("Labels", "What is learned from, and how"),
            "The finetuning while it is trained",
            (scrolled(self.results_box), "Results", "Segmentations of all open scans"),
            self.results_box,
        )

    def _connect(self) -> None:
        box, scene = self.results_box, self.scene
        self.start_box.invalid.connect(self.status.say_failure)
        self.start_box.changed.connect(lambda: self.start_box.estimate_text.setText(""))
        self.run_box.use_wanted.connect(lambda: self.use_run(self.follower.folder))
        box.segment_wanted.connect(self.segment)
        box.undo_wanted.connect(self.undo)
        box.redo_wanted.connect(self.redo)
        box.model_wanted.connect(partial(self.use_run, segment=False))
        box.accept_wanted.connect(self.segmenting.accept)
        box.return_wanted.connect(self.segmenting.take_back)
        box.forget_wanted.connect(self.segmenting.forget)
        box.restore_wanted.connect(self.segmenting.restore)
        box.export_wanted.connect(self.save_table)
        box.chosen.connect(self._on_scan_chosen)
        self.segmenting.started.connect(lambda _: self._show_busy())
        self.segmenting.said.connect(self.status.say)
        self.segmenting.shown.connect(lambda: self.tabs.setCurrentIndex(RESULTS))
        self.preview_link.failed.connect(self.status.say_failure)
        scene.failed.connect(self.status.say_failure)
        scene.looked.connect(self._show_scene)
        scene.measured.connect(self._show_results)

    @property
    def _chosen(self) -> tuple[Any, ...]:
        return self.results_box.ticked

    def _wanted(self) -> work.Wanted | None:
        if not self._usable(self.start_box.more):
            return None
        scene = self.scene
        try:
            scene.check_names()
        except MrisslError as error:
            self.status.say_failure(str(error))
            return None
        return work.Wanted(
            self.start_box.settings,
            scene.given(),
            scene.classes,
            scene.zero_is_nothing,
            scene.in_view(),
        )

    def _step(self, step: Any) -> None:
        if self.segmenting.running or not step(self.scene.pairs):
            return
        model = self.scene.results.model
        name = printable(model.name) if model is not None else "no network"
        self.status.say(f"Back to {name}.")
        self.scene.look()
        self._show_results()

    def _on_made(self, begun: work.Begun) -> None:
        self._awaited = begun.folder
        super()._on_made(begun)

    def _on_resumed(self, folder: Path) -> None:
        self._awaited = folder
        super()._on_resumed(folder)

    def _on_listed(self, rows: tuple[RunRow, ...]) -> None:
        learned = [(one.folder, one.method) for one in rows if one.step > 0][:_MOST_RUNS]
        self.start_box.offer_runs(learned)
        going = next((one for one in rows if one.goes_on and one.method == INFO.name), None)
        if going is not None and not self._found_one and self.follower.folder is None:
            self._awaited = going.folder
            self.open_run(going.folder)
            self.status.say(f"The finetuning {printable(going.folder.name)} goes on.")
        self._found_one = True

    def _on_state(self) -> None:
        super()._on_state()
        state, folder = self.follower.state, self.follower.folder
        if state is not None and state.name == "finished" and folder == self._awaited:
            self._awaited = None
            self.use_run(folder, segment=self.results_box.by_itself.isChecked())

    def _on_scan_chosen(self, layer: Any) -> None:
        if layer in self.viewer.layers:
            self.viewer.layers.selection.active = layer

    def _show_scene(self) -> None:
        self.labels_box.present()
        self._show_results()

    def _show_results(self) -> None:
        results = self.scene.results
        self.results_box.present(
            self.scene.lines, results.model, can_undo=results.can_undo, can_redo=results.can_redo
        )

    def _show_busy(self) -> None:
        super()._show_busy()
        self.run_box.use.setEnabled(not self.segmenting.running)
        self.results_box.show_busy(busy=self.segmenting.running)
