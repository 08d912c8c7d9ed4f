"""The dock widget "Pretraining"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari.viewer
from qtpy.QtWidgets import QWidget

from napari_mrissl.errors import printable
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.pretraining import work
from napari_mrissl.ui.pretraining.actions import RunActions
from napari_mrissl.ui.pretraining.closing import closing_words
from napari_mrissl.ui.pretraining.data_box import DataBox, Sources
from napari_mrissl.ui.pretraining.form_box import FormBox
from napari_mrissl.ui.pretraining.memory import state_of, take_state
from napari_mrissl.ui.pretraining.run_box import RunBox
from napari_mrissl.ui.pretraining.run_dock import RunDock
from napari_mrissl.ui.pretraining.runs_box import RunRow, RunsBox
from napari_mrissl.ui.pretraining.start_box import StartBox

_LIST_MS = 4000
NEW, RUN, RUNS = range(3)
"""The tabs."""


class Pretraining(RunDock):
    """Starts trainings in processes of their own, and shows them from their folders.

    Parameters
    ----------
    viewer
        Whose theme the curves take; a training needs nothing of the viewer.

    Attributes
    ----------
    session_key : str
        Under which a session keeps `session_state`.
    """

    session_key = "pretraining"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(
            viewer,
            "pretraining run",
            RunActions,
            "Stop what is being prepared or measured; runs go on",
            _LIST_MS,
            parent,
        )
        self.form = FormBox(TASKS)
        self.data_box = DataBox()
        self.start_box = StartBox()
        self.run_box = RunBox(self.follower)
        self.runs_box = RunsBox()
        self._arrange()
        self._connect()
        self._on_draft()
        self.begin()

    def start(self) -> None:
        """Make the run that the form describes, and train it."""
        if self.actions.running:
            return
        if not self._usable(self.form) or (folder := self._folder()) is None:
            return
        draft, sources = self.form.draft, self.data_box.sources
        self.actions.make(draft, sources, folder, self.start_box.initial.text())

    def open_run(self, folder: str | Path) -> None:
        """Show a run; one that is trained is followed."""
        self.status.say("")
        super().open_run(folder)

    def estimate(self) -> None:
        """Measure memory and time of what the form describes."""
        if not self._usable(self.form):
            return
        draft, sources = self.form.draft, self.data_box.sources
        steps = draft.settings.optimisation.steps
        self.status.say("")
        self.start_box.estimate_text.setText("Measuring a step...")
        self.asking.start(
            lambda control: work.estimate(control, draft, sources),
            title="estimate",
            done=lambda found: self.start_box.show_estimate(found[0], steps, found[1]),
        )
        self._show_busy()

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: settings, data, and which run is shown."""
        return state_of(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        self._say_unusable(take_state(self, state))

    def propose(self) -> None:
        """Another folder for the next run."""
        self.start_box.propose(self.form.draft.method)

    def _arrange(self) -> None:
        self.sections = {
            title: section(title, part)
            for title, part in (("Data", self.data_box), ("Method and settings", self.form))
        }
        self.arrange(
            tuple(self.sections.values()),
            ("New run", "Method, data and settings of a new run"),
            "Curves, samples and log of one run",
            (self.runs_box, "All runs", "All runs of this user"),
            self.runs_box,
        )

    def _connect(self) -> None:
        self.form.changed.connect(self._on_draft)
        self.form.invalid.connect(self.status.say_failure)
        self.data_box.changed.connect(self._on_data)
        self.start_box.changed.connect(self._on_device)
        self.runs_box.open_wanted.connect(self.open_run)
        self.runs_box.add_wanted.connect(self._on_add)
        self.runs_box.forget_wanted.connect(self.actions.forget)
        self.runs_box.return_wanted.connect(self.actions.bring_back)
        self.runs_box.refresh_wanted.connect(self.refresh_runs)
        self.tabs.currentChanged.connect(self._on_tab)

    def _on_add(self, folder: str) -> None:
        self.open_run(folder)
        self.actions.add(folder)

    def _on_listed(self, rows: tuple[RunRow, ...]) -> None:
        self.runs_box.present(rows)
        self.runs_box.back.setEnabled(self.actions.can_bring_back)
        followed = self.follower.folder
        for one in rows:
            # Found again after a restart, or resumed from elsewhere.
            if one.goes_on and (followed in (None, one.folder)):
                if followed is None and not self._found_one:
                    self.open_run(one.folder)
                    self.status.say(f"The run {printable(one.folder.name)} goes on.")
                elif followed == one.folder and not self.follower.following:
                    self.follower.follow(one.folder, closing_words())
                break
        self._found_one = True

    def _on_data(self) -> None:
        self.form.use_kind(self.data_box.sources.kind)

    def _on_device(self) -> None:
        self.form.use_device(self.start_box.device.currentData())

    def _on_draft(self) -> None:
        draft = self.form.draft
        self.status.say("")
        self.propose()
        self.start_box.show_device(draft.settings.device)
        self.start_box.estimate_text.setText("")
        if self.data_box.sources.kind != draft.kind:
            self.data_box.show_sources(
                Sources(draft.kind, self.data_box.paths, self.data_box.label_maps)
            )

    def _on_tab(self, number: int) -> None:
        if number == RUNS:
            self.refresh_runs()
        elif number == RUN:
            self.run_box.refresh()
