"""Contenders that train a whole network: finetuned weights, scratch, and MONAI's U-Net."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import tuning
from napari_mrissl.evaluation.cells import DICE, Cell, Grid, Made
from napari_mrissl.evaluation.contenders import FULL, Learned, Lesson, Segment, mean_dice
from napari_mrissl.evaluation.frozen import FILTERS, INTENSITY
from napari_mrissl.evaluation.labelled_scans import LabelledScan
from napari_mrissl.features.network import RANDOM
from napari_mrissl.segmentation.finetuning import SCRATCH, FinetuneSettings
from napari_mrissl.training.run import Run

if TYPE_CHECKING:
    from napari_mrissl.evaluation.monai_peer import PeerSettings

MONAI = "monai"
TUNING = "tuning"
"""The mode of cells in which something was tried out; no row of a table."""

Lessons = Callable[[int, int], Lesson]


@dataclass(eq=False)
class Runs:
    """Finetuning runs of a comparison, in its folder: a killed one goes on where it was.

    Attributes
    ----------
    folder
        Where they lie.
    """

    folder: Path
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
            go_on(run)
        else:
            inputs = [
                LabelledInput(scan.image, scan.labels, subject=scan.identity[:32])
                for scan in training
            ]
            finetune(settings, inputs, run)
        optimisation = Run.open(run).settings.optimisation
        predictor = Predictor(SavedSegmenter.load(run), PredictionSettings(device=settings.device))
        how = {
            "seed": settings.seed,
            "steps": optimisation.steps,
            "batch": optimisation.batch,
            "learning_rate": optimisation.learning_rate,
        }
        return lambda volume: predictor.predict(volume).labels, how

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


@dataclass(frozen=True, eq=False)
class Finetuned:
    """Pretrained weights, finetuned as a whole.

    Attributes
    ----------
    name
        Of the weights.
    identity
        SHA-256 of the weights, and all settings.
    settings
        Of the finetuning.
    runs
        Where they are made.
    known
        Identities of the scans they were pretrained on, where that is known.
    """

    name: str
    identity: str
    settings: FinetuneSettings
    runs: Runs
    known: frozenset[str] = frozenset()
    mode: str = FULL
    seed: int = 0
    needs_spare: bool = False

    def learn(self, lesson: Lesson) -> Learned:
        """Finetune; each draw has a seed of its own."""
        own = _seeded(self.settings, lesson)
        return Learned(*self.runs.segmenter(own, lesson.training))

    def clear(self) -> None:
        """Remove the runs; the cells stay."""
        self.runs.clear()


@dataclass(frozen=True, eq=False)
class FromScratch:
    """The same network, drawn: its learning rate and length are chosen on a spare subject.

    Both are chosen once for each number of training scans, on the first draw, and hold for all
    its draws. What was tried is kept as cells, so that it is not tried again.

    Attributes
    ----------
    identity
        Its network, and all settings.
    settings
        Of the finetuning.
    runs
        Where they are made.
    grid
        Gives the grid for what was tried.
    lessons
        The lesson of a number of training scans and a draw.
    rate, steps
        What the preset trains with: the first that is tried.
    """

    identity: str
    settings: FinetuneSettings
    runs: Runs
    grid: Callable[[], Grid]
    lessons: Lessons
    rate: float
    steps: int
    known: frozenset[str] = frozenset()
    name: str = SCRATCH
    mode: str = FULL
    seed: int = 0
    needs_spare: bool = True

    def learn(self, lesson: Lesson) -> Learned:
        """Choose rate and length where that was not done yet, and train."""
        first = self.lessons(lesson.shots, 0)
        rate = tuning.best_rate(
            lambda rate: self._tried(first, rate, self.steps),
            [self.rate * factor for factor in tuning.FACTORS],
        )
        steps, flat = tuning.flat_steps(lambda steps: self._tried(first, rate, steps), self.steps)
        segment, how = self.runs.segmenter(self._with(lesson, rate, steps), lesson.training)
        return Learned(segment, {**how, "flat": flat})

    def clear(self) -> None:
        """Remove the runs; the cells stay."""
        self.runs.clear()

    def _with(self, lesson: Lesson, rate: float, steps: int) -> FinetuneSettings:
        chosen = {"learning_rate": rate, "steps": steps}
        return _seeded(self.settings, lesson).model_copy(update=chosen)

    def _tried(self, lesson: Lesson, rate: float, steps: int) -> float:
        """The spare subject's mean Dice, from the grid or made now."""
        spare = lesson.spare
        if spare is None:
            raise MrisslError("no subject is left to decide on", where="--shots")

        def work(cell: Cell) -> Made:
            segment, how = self.runs.segmenter(self._with(lesson, rate, steps), lesson.training)
            reached = mean_dice(spare, segment, lesson.labels)
            return Made({spare.identity: {0: reached}}, how={**how, "spare": spare.identity})

        facts = json.dumps({"of": self.identity, "rate": rate, "steps": steps})
        cell = Cell(SCRATCH, lesson.shots, lesson.draw, self.seed, facts, TUNING)
        return self.grid().fill_whole([cell], work)[cell].measures()[DICE][spare.identity][0]


@dataclass(frozen=True, eq=False)
class Peer:
    """A residual U-Net of MONAI, from scratch: what the field would reach for first."""

    settings: PeerSettings
    known: frozenset[str] = frozenset()
    name: str = MONAI
    mode: str = FULL
    needs_spare: bool = False

    @property
    def seed(self) -> int:
        """Of all that is random in it; cells of several draws share it."""
        return 0

    @property
    def identity(self) -> str:
        """All settings."""
        return self.settings.model_dump_json()

    def learn(self, lesson: Lesson) -> Learned:
        """Train it."""
        from napari_mrissl.evaluation.monai_peer import train

        seed = self.settings.seed + lesson.draw
        own = self.settings.model_copy(update={"seed": seed})
        return Learned(
            train([scan.read() for scan in lesson.training], lesson.labels, own),
            {
                "seed": seed,
                "steps": self.settings.steps,
                "batch": self.settings.batch,
                "learning_rate": self.settings.learning_rate,
            },
        )

    def clear(self) -> None:
        """Nothing is left."""


def trained(
    words: tuple[str, ...],
    settings: FinetuneSettings,
    folder: Path,
    grid: Callable[[], Grid],
    lessons: Lessons,
) -> list[Finetuned | FromScratch | Peer]:
    """The contenders of a full comparison, in the order of their words.

    Parameters
    ----------
    words
        Weights by name, run or file, ``scratch`` and ``monai``.
    settings
        Of all finetuning; only the weights differ.
    folder
        For runs while they are made.
    grid
        Gives the grid for what is tried on the way; not asked before something is.
    lessons
        The lesson of a number of training scans and a draw.
    """
    from napari_mrissl.evaluation.monai_peer import PeerSettings
    from napari_mrissl.segmentation.finetuning.starting import start_of

    found: list[Finetuned | FromScratch | Peer] = []
    for word in dict.fromkeys(words):
        if word == MONAI:
            steps = {} if settings.steps is None else {"steps": settings.steps}
            found.append(Peer(PeerSettings(seed=settings.seed, device=settings.device, **steps)))
            continue
        own = settings.model_copy(update={"weights": word})
        start = start_of(word)
        digest = None if start.path is None else hashlib.sha256(start.path.read_bytes()).hexdigest()
        facts = own.model_dump(mode="json", exclude={"weights", "device"})
        identity = json.dumps(
            {**facts, "weights": digest, "backbone": start.backbone.model_dump(mode="json")},
            sort_keys=True,
        )
        if word == SCRATCH:
            rate, first = _first(own)
            found.append(FromScratch(identity, own, Runs(folder), grid, lessons, rate, first))
        else:
            known = _pretrained_on(word)
            found.append(Finetuned(start.name, identity, own, Runs(folder), known))
    return found


def check_words(words: tuple[str, ...]) -> None:
    """Let only what can be trained as a whole into a full comparison.

    Raises
    ------
    MrisslError
        If a word stands for features that no network gives, or for weights that are not there.
    """
    from napari_mrissl.segmentation.finetuning.starting import start_of

    for word in words:
        if word in (FILTERS, INTENSITY, RANDOM):
            raise MrisslError(
                f"{word!r} cannot be trained as a whole",
                where="--weights",
                expected=f"weights, {SCRATCH} or {MONAI}",
                remedy="choose --mode linear or nonlinear" if word != RANDOM else f"say {SCRATCH}",
            )
        if word != MONAI:
            start_of(word)


def _seeded(settings: FinetuneSettings, lesson: Lesson) -> FinetuneSettings:
    return settings.model_copy(update={"seed": settings.seed + lesson.draw})


def _first(settings: FinetuneSettings) -> tuple[float, int]:
    """The learning rate and the steps of the preset, where none are given."""
    from napari_mrissl.segmentation.finetuning import INFO

    preset = INFO.presets[settings.preset]["optimisation"]
    return (
        settings.learning_rate or float(preset["learning_rate"]),
        settings.steps or int(preset["steps"]),
    )


def _pretrained_on(word: str) -> frozenset[str]:
    if not Path(word).is_dir():
        return frozenset()
    return frozenset(record.identity for record in Run.open(word).settings.data.subjects)
