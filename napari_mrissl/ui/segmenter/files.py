"""Saving and loading, one file after the other, off the GUI thread."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from qtpy.QtCore import QObject

from napari_mrissl.segmentation import Prompts
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.segmenter import words, work
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.session import ScanSession
from napari_mrissl.ui.segmenter.state import PromptSnapshot


class FileJobs(QObject):
    """Writes and reads files of the current scan; a file being written is always finished."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller
        self._runner = controller.watch(JobRunner(self))
        self._later: tuple[ScanSession, Path, bool] | None = None
        # Not when it is shown but when its job has ended: only then nothing newer is coming.
        controller.segmenting.idle.connect(self._save_later)
        for runner in (controller.features, controller.segmenting):
            runner.failed.connect(self._give_up)
            runner.cancelled.connect(self._give_up)
        controller.session_changed.connect(self._give_up)

    def save_segmentation(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the labels shown; while they are being updated, the update comes first."""
        controller, session, path = self._controller, self._controller.session, Path(path)
        labels = session.results.array() if session is not None else None
        if session is None or labels is None:
            controller.say("error", "There is no segmentation to save yet.")
            return
        if controller.segmenting.running or session.wanted:
            self._later = (session, path, overwrite)
            controller.say("info", f"Will save {path.name} once the segmentation is complete.")
            return
        volume, classes = session.volume, session.state.classes
        self._runner.start(
            # A copy, because the next click writes into the labels shown.
            partial(work.save_labels, path, np.array(labels), volume, classes, overwrite),
            title=f"Saving {path.name}",
            done=self._saved,
            queue=True,
        )

    def save_prompts(self, path: str | Path) -> None:
        """Write clicks and scribbles as CSV or JSON, by suffix."""
        session, path = self._controller.session, Path(path)
        if session is None:
            self._controller.say("error", "There is no scan, so there are no clicks to save.")
            return
        marked = session.state.snapshot()
        self._runner.start(
            partial(work.save_prompts, path, marked),
            title=f"Saving {path.name}",
            done=partial(self._saved_prompts, session, marked),
            queue=True,
        )

    def load_prompts(self, path: str | Path) -> None:
        """Replace clicks and scribbles by those of a CSV or JSON file; can be undone."""
        session, path = self._controller.session, Path(path)
        if session is None:
            self._controller.say("error", "Open the scan first, then load its clicks.")
            return
        self._runner.start(
            partial(work.load_prompts, path, session.volume),
            title=f"Loading {path.name}",
            done=partial(self._loaded, session, path.name),
            queue=True,
        )

    def _saved(self, path: Path) -> None:
        self._controller.say("ready", f"Saved {path.name}.")

    def _saved_prompts(self, session: ScanSession, marked: PromptSnapshot, path: Path) -> None:
        session.mark_saved(marked)
        self._saved(path)

    def _loaded(self, session: ScanSession, name: str, loaded: tuple[Prompts, str]) -> None:
        prompts, remark = loaded
        count = words.counted(len(prompts.points), "mark")
        self._controller.say("info", f"Loaded {count} from {name}.{remark}")
        session.load(prompts)
        # They are in a file of the user's already: nothing to recover if this session dies.
        session.mark_saved(session.state.snapshot())

    def _save_later(self) -> None:
        if self._later is not None:
            (session, path, overwrite), self._later = self._later, None
            if session is self._controller.session:
                self.save_segmentation(path, overwrite=overwrite)

    def _give_up(self) -> None:
        later, self._later = self._later, None
        if later is not None:
            self._controller.say("error", f"{later[1].name} was not saved: no whole segmentation.")
