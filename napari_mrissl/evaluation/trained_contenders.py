"""Contenders that train a whole network: finetuned weights, scratch, and MONAI's U-Net."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import tuning
from napari_mrissl.evaluation.cells import DICE, Cell, Grid, Made
from napari_mrissl.evaluation.contenders import FULL, Learned, Lesson, mean_dice
from napari_mrissl.evaluation.finetuning_runs import Runs
from napari_mrissl.evaluation.frozen import FILTERS, INTENSITY
from napari_mrissl.features.cancel import IsCancelled
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.segmentation.finetuning import INFO, SCRATCH, FinetuneSettings
from napari_mrissl.segmentation.finetuning.starting import Start, start_of
from napari_mrissl.training.known_scans import silent, trained_on

if TYPE_CHECKING:
    from napari_mrissl.evaluation.monai_peer import PeerSettings

MONAI = "monai"
TUNING = "tuning"
"""The mode of cells in which something was tried out; no row of a table."""

_SHARES = ("task.backbone_rate", "backbone_rate")

Lessons = Callable[[int, int], Lesson]


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
        What tells the scans they were pretrained on, see `known_scans.trained_on`.
    silent
        Whether they do not say that, see `known_scans.silent`.
    """

    name: str
    identity: str
    settings: FinetuneSettings
    runs: Runs
    known: frozenset[str] = frozenset()
    silent: bool = False
    mode: str = FULL
    seed: int = 0
    needs_spare: bool = False

    def learn(self, lesson: Lesson) -> Learned:
        """Finetune; each draw has a seed of its own."""
        own = _seeded(self.settings, lesson)
        return Learned(*self.runs.segmenter(own, lesson.training))

    def clear(self, lesson: Lesson) -> None:
        """Remove the run; the cell stays."""
        self.runs.remove(_seeded(self.settings, lesson), lesson.training)


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
    silent: bool = False
    name: str = SCRATCH
    mode: str = FULL
    seed: int = 0
    needs_spare: bool = True

    def learn(self, lesson: Lesson) -> Learned:
        """Choose rate and length where that was not done yet, and train."""
        first = self.lessons(lesson.shots, 0)
        tried: dict[tuple[float, int], Made] = {}

        def validate(rate: float, steps: int) -> float:
            tried[rate, steps] = made = self._tried(first, rate, steps)
            (reached,) = made.measures()[DICE].values()
            return reached[0]

        rate = tuning.best_rate(lambda rate: validate(rate, self.steps), self._rates())
        steps, flat = tuning.flat_steps(lambda steps: validate(rate, steps), self.steps)
        segment, how = self.runs.segmenter(self._with(lesson, rate, steps), lesson.training)
        spent = [made.how.get("minutes") for made in tried.values()]
        known = {} if None in spent else {"tuning_minutes": round(sum(filter(None, spent)), 4)}
        return Learned(segment, {**how, "flat": flat, **known})

    def clear(self, lesson: Lesson) -> None:
        """Remove the runs of the cell and of what was tried; the cells stay."""
        for rate in self._rates():
            for steps in tuning.lengths(self.steps):
                self.runs.remove(self._with(lesson, rate, steps), lesson.training)

    def _rates(self) -> list[float]:
        return [self.rate * factor for factor in tuning.FACTORS]

    def _with(self, lesson: Lesson, rate: float, steps: int) -> FinetuneSettings:
        chosen = {"learning_rate": rate, "steps": steps}
        return _seeded(self.settings, lesson).model_copy(update=chosen)

    def _tried(self, lesson: Lesson, rate: float, steps: int) -> Made:
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
        return self.grid().fill_whole([cell], work)[cell]


@dataclass(frozen=True, eq=False)
class Peer:
    """A residual U-Net of MONAI, from scratch: what the field would reach for first."""

    settings: PeerSettings
    cancelled: IsCancelled | None = None
    known: frozenset[str] = frozenset()
    silent: bool = False
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
        began = time.perf_counter()
        segment = train(
            [scan.read() for scan in lesson.training], lesson.labels, own, self.cancelled
        )
        return Learned(
            segment,
            {
                "seed": seed,
                "steps": self.settings.steps,
                "batch": self.settings.batch,
                "learning_rate": self.settings.learning_rate,
                "minutes": round((time.perf_counter() - began) / 60, 4),
            },
        )

    def clear(self, lesson: Lesson) -> None:
        """Nothing is left."""


def trained(
    words: tuple[str, ...],
    settings: FinetuneSettings,
    folder: Path,
    grid: Callable[[], Grid],
    lessons: Lessons,
    cancelled: IsCancelled | None = None,
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
    cancelled
        Asked now and then.
    """
    from napari_mrissl.evaluation.monai_peer import PeerSettings

    found: list[Finetuned | FromScratch | Peer] = []
    for word in dict.fromkeys(words):
        if word == MONAI:
            found.append(Peer(PeerSettings(seed=settings.seed, device=settings.device), cancelled))
            continue
        own = settings.model_copy(update={"weights": word})
        if word == SCRATCH:
            # A share of the rate is for what was learned before; nothing was here.
            kept = {k: v for k, v in own.changes.items() if k not in _SHARES}
            own = own.model_copy(update={"changes": kept})
        start = start_of(word)
        identity = _identity(own, start)
        if word == SCRATCH:
            rate, first = _first(own)
            runs = Runs(folder, identity, cancelled)
            found.append(FromScratch(identity, own, runs, grid, lessons, rate, first))
        else:
            known = trained_on(word)
            runs = Runs(folder, identity, cancelled)
            found.append(Finetuned(start.name, identity, own, runs, known, silent(word)))
    return found


def check_words(words: tuple[str, ...]) -> None:
    """Let only what can be trained as a whole into a full comparison.

    Raises
    ------
    MrisslError
        If a word stands for features that no network gives, or for weights that are not there.
    """
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


def _identity(settings: FinetuneSettings, start: Start) -> str:
    """All that decides what a finetuning comes to; a preset by its content, not its name."""
    digest = None if start.path is None else hashlib.sha256(start.path.read_bytes()).hexdigest()
    facts = {
        **settings.model_dump(mode="json", exclude={"weights", "device"}),
        "recipe": INFO.presets[settings.preset],
        "weights": digest,
        "backbone": start.backbone.model_dump(mode="json"),
        "preprocessing": start.preprocessing and start.preprocessing.model_dump(mode="json"),
    }
    return json.dumps(facts, sort_keys=True)


def _seeded(settings: FinetuneSettings, lesson: Lesson) -> FinetuneSettings:
    return settings.model_copy(update={"seed": settings.seed + lesson.draw})


def _first(settings: FinetuneSettings) -> tuple[float, int]:
    """The learning rate and the steps of the preset, where none are given."""
    preset = INFO.presets[settings.preset]["optimisation"]
    return (
        settings.learning_rate or float(preset["learning_rate"]),
        settings.steps or int(preset["steps"]),
    )
