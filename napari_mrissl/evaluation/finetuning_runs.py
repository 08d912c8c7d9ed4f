"""The finetuning runs of a comparison: a killed one goes on where it was; none is made twice."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_mrissl.evaluation.contenders import Segment
from napari_mrissl.evaluation.labelled_scans import LabelledScan
from napari_mrissl.features.cancel import IsCancelled
from napari_mrissl.segmentation.finetuning import FinetuneSettings
from napari_mrissl.training.events import EventTail, StepEvent
from napari_mrissl.training.run import Run


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs in the folder of a comparison, named by what they are made from.

    Attributes
    ----------
    folder
        Where they lie.
    identity
        Of the weights they start from, and all settings that are the same for them.
    cancelled
        Asked now and then; True stops after the running step, and raises `Cancelled`.
    """

    folder: Path
    identity: str
    cancelled: IsCancelled | None = None

    def place(self, settings: FinetuneSettings, training: Sequence[LabelledScan]) -> Path:
        """Where the run of these settings and scans lies, or will."""
        facts = [self.identity, settings.model_dump_json(exclude={"weights"})]
        facts += [scan.identity for scan in training]
        return self.folder / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    def segmenter(
        self, settings: FinetuneSettings, training: Sequence[LabelledScan]
    ) -> tuple[Segment, dict[str, Any]]:
        """Train, or go on, and say how: minutes are those of all sessions of the run.

        Raises
        ------
        Cancelled
            If it was asked for; the run stays, and goes on next time.
        MrisslError
            If the finetuning fails.
        """
        from napari_mrissl.segmentation.finetuning import (
            LabelledInput,
            SavedSegmenter,
            finetune,
            go_on,
        )
        from napari_mrissl.segmentation.prediction import PredictionSettings, Predictor

        run = self.place(settings, training)
        self.folder.mkdir(parents=True, exist_ok=True)
        if run.exists():
            go_on(run, cancelled=self.cancelled)
        else:
            inputs = [
                LabelledInput(scan.image, scan.labels, subject=scan.identity[:32])
                for scan in training
            ]
            finetune(settings, inputs, run, cancelled=self.cancelled)
        optimisation = Run.open(run).settings.optimisation
        predictor = Predictor(SavedSegmenter.load(run), PredictionSettings(device=settings.device))
        how = {
            "seed": settings.seed,
            "steps": optimisation.steps,
            "batch": optimisation.batch,
            "learning_rate": optimisation.learning_rate,
            "minutes": minutes_of(run),
        }
        return lambda volume: predictor.predict(volume, None, self.cancelled).labels, how

    def remove(self, settings: FinetuneSettings, training: Sequence[LabelledScan]) -> None:
        """Remove a run, where it is, and take it off the list of runs."""
        from napari_mrissl.training.index import forget

        run = self.place(settings, training)
        if run.exists():
            forget(run)
            shutil.rmtree(run)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def minutes_of(run: Path) -> float:
    """How long a run trained, by its events: all its sessions, steps done twice counted twice.

    Raises
    ------
    MrisslError
        If the events cannot be read.
    """
    steps = (event for event in EventTail(run).poll() if isinstance(event, StepEvent))
    return round(sum(event.seconds or 0.0 for event in steps) / 60, 4)
