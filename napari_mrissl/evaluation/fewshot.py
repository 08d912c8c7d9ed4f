"""Few-shot segmentation: what each source of weights is worth from a few labelled scans.

One protocol for all: the same training scans, the same test scans, the same measures. A cell is
one source, number of training scans and draw; all cells of a folder make one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import cells, how_made, recipes, score_tables, tuning
from napari_mrissl.evaluation.cells import HD95, NSD, SIZE_ML, Cell, Grid, Made
from napari_mrissl.evaluation.contenders import (
    FULL,
    LINEAR,
    NONLINEAR,
    REGISTERED,
    Contender,
    Frozen,
    Lesson,
    Segment,
)
from napari_mrissl.evaluation.frozen import FrozenSettings, Source
from napari_mrissl.evaluation.frozen_sources import named
from napari_mrissl.evaluation.in_turn import Tell, filled
from napari_mrissl.evaluation.labelled_scans import LabelledScan, LabelledScans, drawn
from napari_mrissl.evaluation.leakage import refuse_overlap
from napari_mrissl.evaluation.score_rows import Row, rows_of
from napari_mrissl.evaluation.segmentations import ONE_SIDED, score
from napari_mrissl.evaluation.trained_contenders import (
    MONAI,
    check_words,
    trained,
)
from napari_mrissl.evaluation.transferred import TRANSFER, Transferred
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.metrics.surfaces import library
from napari_mrissl.registration import RegistrationSettings
from napari_mrissl.segmentation.finetuning import SCRATCH, FinetuneSettings
from napari_mrissl.segmentation.transfer import TRANSFER_SETTINGS

Mode = Literal["linear", "nonlinear", "full"]

RUNS = "runs"
_OPTIONS = {
    "optimisation.steps": "--steps",
    "optimisation.learning_rate": "--learning-rate",
    "seed": "--seed",
    "device": "--device",
}
REFERENCES = {LINEAR: RANDOM, NONLINEAR: RANDOM, FULL: SCRATCH}
"""What pretraining is compared with, by mode."""


class FewShotSettings(BaseModel):
    """The protocol; calls with the same seed, test and tolerance can share a folder.

    Attributes
    ----------
    shots
        Numbers of training scans.
    draws
        How often they are drawn; what one draw gives depends on its number only.
    test
        Test scans, never drawn from.
    seed
        Of split, draws, voxels and training.
    tolerance_mm
        Of NSD.
    mode
        ``"linear"`` or ``"nonlinear"`` heads on frozen features, or ``"full"`` finetuning.
    voxels, decision
        Of a head, see `frozen.FrozenSettings`.
    preset, steps, learning_rate, device, changes
        Of a finetuning, see `segmentation.finetuning.FinetuneSettings`; from scratch steps and
        learning rate are where the search for them begins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shots: tuple[int, ...] = Field(default=(1, 3, 10), min_length=1)
    draws: int = Field(default=3, ge=1, le=1000)
    test: int = Field(default=40, ge=1)
    seed: int = Field(default=0, ge=0)
    tolerance_mm: float = Field(default=1.0, ge=0)
    mode: Mode = "linear"
    voxels: int = Field(default=30_000, ge=100)
    decision: Literal["dice", "likeliest"] = "dice"
    preset: Literal["tiny", "cpu", "gpu"] = "cpu"
    steps: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    device: str = "auto"
    changes: Mapping[str, Any] = Field(default_factory=dict)


def check(words: Sequence[str], settings: FewShotSettings) -> None:
    """Say what is wrong with the words before scans are read.

    Raises
    ------
    MrisslError
        If one stands for nothing in this mode.
    """
    for name, option in _OPTIONS.items():
        if name in settings.changes:
            raise MrisslError(f"{name} by --set", expected=option)
    if TRANSFER in words and 1 not in settings.shots:
        raise MrisslError(
            f"{TRANSFER!r} moves the labels of one scan", where="--shots", expected="1 among them"
        )
    words = _learning(words)
    if settings.mode == FULL:
        check_words(tuple(words))
        return
    for word in words:
        if word in (SCRATCH, MONAI):
            raise MrisslError(
                f"{word!r} has no features to be frozen",
                where="--weights",
                expected=f"weights, {RANDOM}, filters or intensity",
                remedy="choose --mode full" + (f" or {RANDOM}" if word == SCRATCH else ""),
            )
    named(words)


def compare(
    folder: Path,
    words: Sequence[str],
    scans: LabelledScans,
    settings: FewShotSettings | None = None,
    *,
    sources: Sequence[Source] = (),
    command: str = "",
    tell: Tell = lambda text: None,
    cancelled: IsCancelled | None = None,
) -> list[Row]:
    """Measure what the words stand for; what is finished is not done again.

    Parameters
    ----------
    folder
        New, or of earlier calls on the same scans, of whatever mode. A cell is kept as soon as
        it is done, and the tables are written after each source.
    words
        Weights by name, run or file; with heads also ``random``, ``filters``, ``intensity``;
        in full mode also ``scratch`` and ``monai``; in any ``transfer``, one labelled scan that is
        registered to the others, whose row is made for 1 training scan alone.
    scans
        Split by subject here.
    settings
        The protocol.
    sources
        Of further features, by names of their own; with heads only.
    command
        How cells are made, of another command than `command_of` says.
    tell
        Is told what happens.
    cancelled
        Asked between steps and scans; the same call goes on from there.

    Returns
    -------
    list of Row
        Of all cells in the folder.

    Raises
    ------
    Cancelled
        If it was asked for.
    MrisslError
        If a word stands for nothing in this mode, a source was trained on a test subject, the
        folder holds another comparison, or there are fewer scans than asked for.
    """
    settings = settings or FewShotSettings()
    check(words, settings)
    tested, pool = scans.split(settings.test, settings.seed)
    for shots in settings.shots:
        drawn(pool, shots, 0, settings.seed)
    lessons = partial(lesson, pool, scans.labels, settings.seed)
    grids: list[Grid] = []
    contenders: list[Contender] = []
    learning = _learning(words)
    if settings.mode == FULL:
        # What was pretrained on a test scan is refused before the folder is made.
        own, runs = _finetuning(settings), folder / RUNS
        contenders += trained(tuple(learning), own, runs, lambda: grids[0], lessons, cancelled)
    else:
        contenders += _frozen([*named(learning), *sources], settings)
    if TRANSFER in words:
        contenders.append(Transferred(_moving(settings), cancelled))
    if len({(one.name, one.seed) for one in contenders}) < len(contenders):
        raise MrisslError("two of them are the same weights", where="--weights")
    for shots in settings.shots:
        if any(one.needs_spare for one in contenders) and lessons(shots, 0).spare is None:
            raise MrisslError(
                f"{shots} training scans leave no subject to decide on",
                where="--shots",
                expected=f"1 to {len(pool) - 1} for this split",
            )
    refuse_overlap(contenders, tested)
    grids.append(_grid(folder, scans, settings, command or command_of(words, settings)))
    return _filled(grids[0], contenders, lessons, tested, scans, settings, tell, cancelled)


def lesson(
    pool: Sequence[LabelledScan], labels: tuple[int, ...], seed: int, shots: int, draw: int
) -> Lesson:
    """The training scans of a cell, and the last subject of its draw to decide on."""
    order = drawn(pool, len(pool), draw, seed)
    return Lesson(order[:shots], order[-1] if shots < len(pool) else None, shots, draw, labels)


def measured(
    segment: Segment,
    tested: Sequence[LabelledScan],
    labels: tuple[int, ...],
    tolerance_mm: float = 1.0,
    cancelled: IsCancelled | None = None,
) -> Made:
    """Dice, HD95, NSD, differences of volume and empty labels of what segments test scans."""
    names = (HD95, NSD, SIZE_ML)
    overlaps: dict[str, dict[int, float]] = {}
    further: dict[str, dict[str, dict[int, float]]] = {name: {} for name in names}
    empties = dict.fromkeys(labels, 0)
    for scan in tested:
        stop_if(cancelled)
        volume, truth = scan.read()
        rows = score(scan.identity, segment(volume), truth, volume.spacing, labels, tolerance_mm)
        overlaps[scan.identity] = {row.label: row.dice for row in rows}
        for name in names:
            further[name][scan.identity] = {row.label: getattr(row, name) for row in rows}
        for row in rows:
            empties[row.label] += row.empty in ONE_SIDED
    return Made(overlaps, further, how_made.empty_in_one(empties))


def command_of(sources: Sequence[str], settings: FewShotSettings) -> str:
    """The command that makes cells, with words for the places of this machine."""
    chosen = ",".join(dict.fromkeys(map(how_made.portable, sources)))
    words = [
        f"mrissl benchmark fewshot --weights {chosen} --data DATA",
        f"--out OUT --shots {','.join(map(str, settings.shots))} --draws {settings.draws}",
        f"--test {settings.test} --seed {settings.seed} --mode {settings.mode}",
        f"--tolerance {settings.tolerance_mm:g}",
    ]
    if settings.mode == FULL:
        words.append(f"--preset {settings.preset}")
        words += [] if settings.steps is None else [f"--steps {settings.steps}"]
        if settings.learning_rate is not None:
            words.append(f"--learning-rate {settings.learning_rate:g}")
        words += [f"--set {name}={value}" for name, value in settings.changes.items()]
    else:
        words.append(f"--voxels {settings.voxels} --decision {settings.decision}")
    return " ".join(words)


def shown(grid: Grid, plan: Sequence[Cell]) -> dict[Cell, Made]:
    """As `cells.shown`; what was only tried out does not count."""
    return cells.shown(grid, plan, (LINEAR, NONLINEAR, FULL, REGISTERED))


def _filled(
    grid: Grid,
    contenders: Sequence[Contender],
    lessons: Callable[[int, int], Lesson],
    tested: Sequence[LabelledScan],
    scans: LabelledScans,
    settings: FewShotSettings,
    tell: Tell,
    cancelled: IsCancelled | None,
) -> list[Row]:
    by_cell = {
        Cell(one.name, shots, draw, one.seed, one.identity, one.mode): one
        for one in contenders
        for shots in sorted({1} if one.mode == REGISTERED else set(settings.shots))
        for draw in range(settings.draws)
    }

    def work(cell: Cell) -> Made:
        stop_if(cancelled)
        learned = by_cell[cell].learn(lessons(cell.shots, cell.draw))
        found = measured(learned.segment, tested, scans.labels, settings.tolerance_mm, cancelled)
        how = {"seed": settings.seed, **found.how, **learned.how}
        if by_cell[cell].silent:
            how[how_made.SILENT] = True
        return Made(found.scores, found.further, how)

    rows: list[Row] = []
    for one, plan in filled(grid, by_cell, contenders, work, tell):
        for cell in plan:
            one.clear(lessons(cell.shots, cell.draw))
        kept = shown(grid, list(by_cell))
        rows = rows_of(kept, scans.labels, REFERENCES, settings.seed)
        rows = how_made.with_facts(rows, kept)
        said = how_made.sentences(kept, {one.name for one in contenders if one.silent})
        said += recipes.sentences(kept, REFERENCES)
        about = " ".join([_about(scans, settings), *said])
        score_tables.write(grid.folder, rows, grid.protocol, about)
    return rows


def _learning(words: Sequence[str]) -> list[str]:
    """Words for what is trained."""
    return [word for word in words if word != TRANSFER]


def _moving(settings: FewShotSettings) -> RegistrationSettings:
    return TRANSFER_SETTINGS.model_copy(update={"device": settings.device})


def _frozen(sources: Sequence[Source], settings: FewShotSettings) -> list[Frozen]:
    own = FrozenSettings(
        **settings.model_dump(include={"shots", "draws", "test", "voxels", "decision", "seed"})
    )
    return [Frozen(source, settings.mode, own) for source in sources]


def _finetuning(settings: FewShotSettings) -> FinetuneSettings:
    return FinetuneSettings(
        mode="full",
        preset=settings.preset,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        device=settings.device,
        changes=settings.changes,
    )


def _grid(folder: Path, scans: LabelledScans, settings: FewShotSettings, command: str) -> Grid:
    protocol = {
        "comparison": "few labelled scans",
        "data": scans.fingerprint,
        "labels": list(scans.labels),
        "surfaces": library(),
        **settings.model_dump(mode="json", include={"test", "seed", "tolerance_mm"}),
    }
    return Grid(folder, protocol, command)


def _about(scans: LabelledScans, settings: FewShotSettings) -> str:
    return (
        f"Measured on {settings.test} of {len(scans.scans)} subjects, never drawn from; surfaces "
        f"by {library()}, NSD at {settings.tolerance_mm:g} mm; where a label "
        "is empty in one of both maps Dice and NSD are 0 and HD95 is the image's diagonal, where "
        f"in both they are perfect. Differences are from {RANDOM} for heads on frozen features (of "
        f"all scales where the source has them) and from {SCRATCH} for whole networks, paired by "
        "subject. Networks from scratch had the best of three learning rates on a spare subject; "
        f"steps were doubled until that gained less than {tuning.FLAT:g} Dice there, at most to "
        f"{tuning.MOST} times the preset's."
    )
