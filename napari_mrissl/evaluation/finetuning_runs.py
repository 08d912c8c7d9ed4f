"""The finetuning runs of a comparison: a killed one goes on where it was; none is made twice."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_mrissl.evaluation.contenders import Segment
from napari_mrissl.evaluation.labelled_scans import LabelledScan
from napari_mrissl.features.cancel import IsCancelled
from napari_mrissl.segmentation.finetuning import FinetuneSettings
from napari_mrissl.training.run import Run


@dataclass(eq=False)
class Runs:
    """Runs in the folder of a comparison, named by what they are made from.

    Attributes
    ----------
    folder
        Where they lie.
    cancelled
        Asked now and then; True stops after the running step, and raises `Cancelled`.
    """

    folder: Path
    cancelled: IsCancelled | None = None
    _mine: list[Path] = field(default_factory=list)

    def segmenter(
        self, settings: FinetuneSettings, training: tuple[LabelledScan, ...]
    ) -> tuple[Segment, dict[str, Any]]:
        """Train, or go on, and say how."""
        from napari_mrissl.segmentation.finetuning import (
            LabelledInput,
            SavedSegmenter,
            finetune,
            go_on,
        )
        from napari_mrissl.segmentation.prediction import PredictionSettings, Predictor

        facts = [settings.model_dump_json(), *(scan.identity for scan in training)]
        run = self.folder / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mine.append(run)
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
        }
        return lambda volume: predictor.predict(volume, None, self.cancelled).labels, how

    def clear(self) -> None:
        """Remove the runs that were made here, and take them off the list of runs."""
        from napari_mrissl.training.index import forget

        for run in self._mine:
            if run.exists():
                forget(run)
                shutil.rmtree(run)
        self._mine.clear()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
