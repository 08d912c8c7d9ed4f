"""Cells as rows of a table: means, spread over draws, intervals over subjects, and differences.

The unit is the subject: what a subject scores is averaged over draws and seeds first, and
intervals come from drawing subjects anew. Differences are paired, subject by subject.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation import statistics
from napari_mrissl.evaluation.cells import ABSOLUTE_ML, DICE, Cell, Made, Scores

MEAN = "mean"
"""What the mean over all labels is called beside them."""

Best = Literal["high", "low", "none"]


class Measure(NamedTuple):
    """What is measured, for people.

    Attributes
    ----------
    title
        What a table says.
    best
        Whether high or low values, or those near 0, are good.
    digits
        After the point.
    points
        Whether it is a Dice, for which it is known what differences so many subjects allow.
    """

    title: str
    best: Best
    digits: int
    points: bool = False


MEASURES: dict[str, Measure] = {
    DICE: Measure("Dice", "high", 3, True),
    "hd95_mm": Measure("HD95 (mm)", "low", 2),
    "nsd": Measure("NSD", "high", 3, True),
    "volume_difference_ml": Measure("volume difference (ml)", "none", 3),
    ABSOLUTE_ML: Measure("volume difference without sign (ml)", "low", 3),
}


@dataclass(frozen=True)
class Row:
    """One source, number of training scans, label and measure.

    Attributes
    ----------
    mean
        Of Dice, or the measure named, over subjects, draws and seeds.
    sd
        Standard deviation over draws and seeds of the mean over subjects; 0 for one.
    low, high
        95 % interval of the mean over subjects, draws and seeds as they are.
    worst
        Of the subjects, averaged over draws and seeds.
    draws, subjects
        How many cells there are, and on how many subjects each is measured.
    difference, difference_low, difference_high
        Paired difference from the reference, with its 95 % interval; None without one.
    wide_low, wide_high
        The interval with draws drawn anew too.
    p, p_holm
        Of Wilcoxon's signed-rank test on subjects, and adjusted for the number of labels
        (Holm); the mean over labels is one hypothesis, and stays as it is.
    too_fine
        Whether the difference is smaller than so many subjects allow to claim, or may be none.
    compared_draws, uncompared_draws
        How many draws both sides of the difference have, of which it is made, and how many only
        one of them has; with none in common it is one of averages over draws.
    measure, mode
        What is measured, and what was trained on top of the source.
    subject_sd
        Standard deviation over subjects.
    steps, learning_rate, minutes, tuning_minutes
        Of a training, and of what was tried before it; see `how_made.with_facts`.
    empty_in_one
        How often the label, or any, was empty in one of both maps.
    """

    source: str
    shots: int
    label: str
    mean: float
    sd: float
    low: float
    high: float
    worst: float
    draws: int
    subjects: int
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    wide_low: float | None = None
    wide_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    too_fine: bool | None = None
    compared_draws: int | None = None
    uncompared_draws: int | None = None
    measure: str = DICE
    mode: str = ""
    subject_sd: float = 0.0
    steps: int | None = None
    learning_rate: float | None = None
    minutes: float | None = None
    tuning_minutes: float | None = None
    empty_in_one: int | None = None


References = str | Mapping[str, str] | None
"""The source that others are compared with; by mode, where each has its own."""


def rows_of(
    found: Mapping[Cell, Scores] | Mapping[Cell, Made],
    labels: Sequence[int],
    reference: References = None,
    seed: int = 0,
) -> list[Row]:
    """A row for each measure, source, number of training scans and label, in their order.

    Parameters
    ----------
    found
        Cells with their scores, or with all their measures.
    labels
        Those that were measured.
    reference
        The source that the others are compared with, where it is among them; for ``NAME+scales``
        the reference with ``+scales``, where there is one.
    seed
        Of the drawing of subjects.
    """
    measured = {
        cell: one.measures() if isinstance(one, Made) else {DICE: one}
        for cell, one in found.items()
    }
    names = list(dict.fromkeys(name for one in measured.values() for name in one))
    rows: list[Row] = []
    for name in names:
        groups: dict[tuple[str, str, int], list[tuple[Cell, Scores]]] = {}
        for cell, one in measured.items():
            if name in one:
                key = (cell.mode, cell.source, cell.shots)
                groups.setdefault(key, []).append((cell, one[name]))
        for key, cells in groups.items():
            other = groups.get((key[0], reference_of(reference, key, groups), key[2]))
            own = _rows_of(name, key, cells, None if other is cells else other, labels, seed)
            rows += _adjusted(own)
    return rows


def _rows_of(
    name: str,
    key: tuple[str, str, int],
    cells: list[tuple[Cell, Scores]],
    others: list[tuple[Cell, Scores]] | None,
    labels: Sequence[int],
    seed: int,
) -> list[Row]:
    mode, source, shots = key
    rows = []
    for label in (*labels, None):
        own = _by_subject([scores for _, scores in cells], label, labels)
        per_subject = own.mean(axis=0)
        low, high = statistics.interval(per_subject, seed)
        title = MEAN if label is None else str(label)
        spread = float(own.mean(axis=1).std(ddof=1)) if len(own) > 1 else 0.0
        row = Row(
            source, shots, title, float(per_subject.mean()), spread, low, high,
            _worst(per_subject, MEASURES[name].best if name in MEASURES else "high"),
            len(own), len(per_subject), measure=name, mode=mode,
            subject_sd=float(per_subject.std(ddof=1)) if len(per_subject) > 1 else 0.0,
        )  # fmt: skip
        if others is not None:
            row = _compared(row, _by_draw(cells, label, labels), _by_draw(others, label, labels),
                            seed)  # fmt: skip
        rows.append(row)
    return rows


def _compared(
    row: Row, own: dict[int, NDArray[np.float64]], other: dict[int, NDArray[np.float64]], seed: int
) -> Row:
    """The row with its difference: of the draws that both have, draw by draw."""
    draws = sorted(set(own) & set(other))
    one, two = (np.array([side[draw] for draw in draws or side]) for side in (own, other))
    found = statistics.paired(one, two, seed, matched=bool(draws))
    points = row.measure in MEASURES and MEASURES[row.measure].points
    judged = found.wide_low, found.wide_high, found.subjects
    return replace(
        row,
        difference=found.mean,
        difference_low=found.low,
        difference_high=found.high,
        wide_low=found.wide_low,
        wide_high=found.wide_high,
        p=found.p,
        p_holm=found.p,
        too_fine=statistics.too_fine(found.mean, *judged)
        if points
        else statistics.may_be_none(*judged),
        compared_draws=len(draws),
        uncompared_draws=len(set(own) ^ set(other)),
    )


def _adjusted(rows: list[Row]) -> list[Row]:
    """P-values of the labels of one comparison, adjusted for how many labels there are."""
    p = {row.label: row.p for row in rows if row.label != MEAN and row.p is not None}
    holm = statistics.holm(p)
    return [replace(row, p_holm=holm[row.label]) if row.label in holm else row for row in rows]


def reference_of(
    references: References, key: tuple[str, str, int], groups: Collection[tuple[str, str, int]]
) -> str:
    """What a source is compared with: of the reference, the one with as much behind its name.

    Parameters
    ----------
    references
        See `rows_of`.
    key
        Mode, source and number of training scans of a row.
    groups
        Those of all rows.
    """
    mode, source, shots = key
    named = (references.get(mode) if isinstance(references, Mapping) else references) or ""
    _, plus, behind = source.partition("+")
    like = named + plus + behind
    return like if (mode, like, shots) in groups else named


def _by_draw(
    cells: list[tuple[Cell, Scores]], label: int | None, labels: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    """The subjects' scores of each draw, averaged over seeds."""
    draws: dict[int, list[Scores]] = {}
    for cell, scores in cells:
        draws.setdefault(cell.draw, []).append(scores)
    return {draw: _by_subject(scores, label, labels).mean(axis=0) for draw, scores in draws.items()}


def _by_subject(
    cells: Sequence[Scores], label: int | None, labels: Sequence[int]
) -> NDArray[np.float64]:
    """(cells, subjects) scores of a label, or of all labels on average."""
    subjects = sorted(cells[0])
    wanted = labels if label is None else (label,)
    return np.array(
        [[np.mean([cell[one][k] for k in wanted]) for one in subjects] for cell in cells]
    )


def _worst(values: NDArray[np.float64], best: Best) -> float:
    if best == "none":
        return float(values[np.abs(values).argmax()])
    return float(values.min() if best == "high" else values.max())
