"""Cells as tables: means, spread over draws, and intervals over subjects, as CSV, Markdown, JSON.

The unit is the subject: what a subject scores is averaged over draws and seeds first, and
intervals come from drawing subjects anew. Differences are paired, subject by subject.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.cells import Cell, Scores
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.volumes.atomic import write_text

MEAN = "mean"
"""What the mean over all labels is called beside them."""

TABLE, TABLE_FOR_PEOPLE, TABLE_AS_JSON = "table.csv", "table.md", "table.json"
_RESAMPLED = 10_000
_AT_ONCE = 500
_LEVEL = (2.5, 97.5)


@dataclass(frozen=True)
class Row:
    """One source, number of training scans and label.

    Attributes
    ----------
    mean
        Of Dice over subjects, draws and seeds.
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


def rows_of(
    found: Mapping[Cell, Scores], labels: Sequence[int], reference: str | None = None, seed: int = 0
) -> list[Row]:
    """A row for each source, number of training scans and label, in the order of the cells.

    Parameters
    ----------
    found
        Cells with their scores.
    labels
        Those that were measured.
    reference
        The source that the others are compared with, where it is among them.
    seed
        Of the drawing of subjects.
    """
    grouped: dict[tuple[str, int], list[Scores]] = {}
    for cell, scores in found.items():
        grouped.setdefault((cell.source, cell.shots), []).append(scores)
    rows = []
    for (source, shots), cells in grouped.items():
        others = grouped.get((reference, shots)) if reference and reference != source else None
        for label in (*labels, None):
            own = _by_subject(cells, label, labels)
            other = None if others is None else _by_subject(others, label, labels)
            title = MEAN if label is None else str(label)
            rows.append(_row(source, shots, title, own, other, seed))
    return rows


def write(folder: Path, rows: Sequence[Row], protocol: Mapping[str, Any], about: str) -> None:
    """Write all three tables.

    Parameters
    ----------
    about
        What the table shows, below the one for people.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    text = io.StringIO(newline="")
    lines = csv.DictWriter(text, list(Row.__dataclass_fields__), lineterminator="\n")
    lines.writeheader()
    for row in rows:
        lines.writerow({name: _exact(value) for name, value in asdict(row).items()})
    write_text(folder / TABLE, text.getvalue())
    write_text(folder / TABLE_FOR_PEOPLE, markdown(rows, about))
    content = {"protocol": dict(protocol), "rows": [asdict(row) for row in rows]}
    write_text(folder / TABLE_AS_JSON, json.dumps(content, indent=1, allow_nan=False) + "\n")


def markdown(rows: Sequence[Row], about: str) -> str:
    """A line for each source and number of training scans, a column for each label."""
    labels = list(dict.fromkeys(row.label for row in rows))
    compared = any(row.difference is not None for row in rows)
    heads = ["features", "training scans", *(_title(label) for label in labels)]
    if compared:
        heads.append("difference of the mean")
    table = [heads, ["---"] * len(heads)]
    lines: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row.source, row.shots), {})[row.label] = row
    for (source, shots), by_label in sorted(lines.items(), key=lambda item: item[0][1]):
        cells = [source, str(shots), *(_cell(by_label[label]) for label in labels)]
        if compared:
            cells.append(_difference(by_label[MEAN]))
        table.append(cells)
    drawn = "\n".join("| " + " | ".join(cells) + " |" for cells in table)
    return (
        f"{drawn}\n\nDice: mean, spread over draws (standard deviation), and in brackets the 95 % "
        f"interval over subjects. {about}\n"
    )


def _by_subject(
    cells: Sequence[Scores], label: int | None, labels: Sequence[int]
) -> NDArray[np.float64]:
    """(cells, subjects) Dice of a label, or of all labels on average."""
    subjects = sorted(cells[0])
    wanted = labels if label is None else (label,)
    return np.array(
        [[np.mean([cell[one][k] for k in wanted]) for one in subjects] for cell in cells]
    )


def _row(
    source: str,
    shots: int,
    label: str,
    own: NDArray[np.float64],
    other: NDArray[np.float64] | None,
    seed: int,
) -> Row:
    per_subject = own.mean(axis=0)
    low, high = _interval(per_subject, seed)
    draws, subjects = own.shape
    spread = float(own.mean(axis=1).std(ddof=1)) if draws > 1 else 0.0
    plain = (float(per_subject.mean()), spread, low, high, float(per_subject.min()))
    if other is None:
        return Row(source, shots, label, *plain, draws, subjects)
    paired = per_subject - other.mean(axis=0)
    difference = (float(paired.mean()), *_interval(paired, seed))
    return Row(source, shots, label, *plain, draws, subjects, *difference)


def _interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """95 % interval of a mean, by drawing its values anew (percentile bootstrap)."""
    rng = generator(seed, len(values), "bootstrap")
    means = np.concatenate(
        [
            values[rng.integers(0, len(values), (_AT_ONCE, len(values)))].mean(axis=1)
            for _ in range(_RESAMPLED // _AT_ONCE)
        ]
    )
    low, high = np.percentile(means, _LEVEL)
    return float(low), float(high)


def _title(label: str) -> str:
    return label if label == MEAN else f"label {label}"


def _cell(row: Row) -> str:
    return f"{row.mean:.3f} ± {row.sd:.3f} [{row.low:.3f}, {row.high:.3f}]"


def _difference(row: Row) -> str:
    if row.difference is None or row.difference_low is None or row.difference_high is None:
        return ""
    return f"{row.difference:+.3f} [{row.difference_low:+.3f}, {row.difference_high:+.3f}]"


def _exact(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value
