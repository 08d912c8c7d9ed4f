"""Sessions of clicks as tables and curves: clicks to a Dice, Dice after so many clicks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation import click_plot, statistics
from napari_mrissl.evaluation.cells import Cell, Scores
from napari_mrissl.evaluation.score_tables import as_csv
from napari_mrissl.volumes.atomic import write_atomically, write_text

RANDOM, SUGGESTED, BY_CLASS = "random", "suggested", "by-class"
WANTED = (0.7, 0.8, 0.85)
"""The Dice that clicks are counted to."""

AFTER = (10, 20)
"""The numbers of clicks after which ways to choose places are compared."""

TABLE, TABLE_FOR_PEOPLE, TABLE_AS_JSON = "table.csv", "table.md", "table.json"
DIFFERENCES, CURVES, PLOT = "differences.csv", "curves.csv", "curves.png"
AREA = "area under the curve"

Curves = NDArray[np.float64]
"""(draws and seeds, scans, clicks) mean Dice over classes."""

_Key = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """One source of features, way to choose places, and measure.

    Attributes
    ----------
    mean, low, high
        Over scans, with its 95 % interval; draws and seeds are averaged first.
    worst
        Of the scans: the lowest Dice, the most clicks.
    failed
        Sessions that never reached the Dice; None where none was wanted.
    sessions, scans
        How many there are.
    """

    source: str
    next: str
    measure: str
    mean: float
    low: float
    high: float
    worst: float
    failed: int | None
    sessions: int
    scans: int


@dataclass(frozen=True)
class Difference:
    """How two ways differ on the same scans, `source` and `next` minus the other.

    Attributes
    ----------
    mean, low, high
        With its 95 % interval over scans, chance as it was drawn.
    wide_low, wide_high
        95 % interval over scans and what was drawn by chance (places, random networks), both
        drawn anew; the same where neither side has several draws or seeds.
    p
        Of Wilcoxon's signed-rank test, by Holm's procedure for all differences of a measure.
    none
        Whether it may be no difference: the wide interval holds 0, or it is a Dice and smaller
        than so many scans allow to claim.
    """

    source: str
    next: str
    other_source: str
    other_next: str
    measure: str
    mean: float
    low: float
    high: float
    wide_low: float
    wide_high: float
    p: float
    none: bool
    scans: int


@dataclass(frozen=True)
class Point:
    """A point of a curve: Dice after so many clicks, with its 95 % interval over scans."""

    source: str
    next: str
    clicks: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Report:
    """All that a comparison says."""

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    points: tuple[Point, ...]


def report_of(found: Mapping[Cell, Scores], clicks: int, seed: int = 0) -> Report:
    """Tables of sessions, in the order of the cells.

    Parameters
    ----------
    found
        Of each session the Dice by scan and number of clicks.
    clicks
        In each session.
    seed
        Of the drawing of scans.
    """
    curves = _curves(found, clicks)
    rows, points = [], []
    for (source, chosen), curve in curves.items():
        points += [
            Point(source, chosen, number, float(at.mean()), *statistics.interval(at, seed))
            for number, at in enumerate(curve.mean(axis=0).T, 1)
        ]
        for measure, values in measures(curve).items():
            wanted = _wanted(measure)
            per_scan = values.mean(axis=0)
            rows.append(
                Row(
                    source,
                    chosen,
                    measure,
                    float(per_scan.mean()),
                    *statistics.interval(per_scan, seed),
                    float(per_scan.min() if wanted is None else per_scan.max()),
                    None if wanted is None else int((curve.max(axis=2) < wanted).sum()),
                    values.size,
                    values.shape[1],
                )
            )
    return Report(tuple(rows), tuple(_differences(curves, seed)), tuple(points))


def measures(curve: Curves) -> dict[str, NDArray[np.float64]]:
    """(draws and seeds, scans) of each measure.

    Clicks to a Dice are the number of the first click after which it is reached, and that of
    the last click where it never is, as the field counts.
    """
    clicks = curve.shape[2]
    result = {
        _after(number): curve[:, :, number - 1]
        for number in ([n for n in AFTER if n <= clicks] or [clicks])
    }
    result[AREA] = curve.mean(axis=2)
    for wanted in WANTED:
        reached = curve >= wanted
        first = np.where(reached.any(axis=2), 1 + reached.argmax(axis=2), clicks)
        result[_to(wanted)] = first.astype(np.float64)
    return result


def write(folder: Path, report: Report, protocol: Mapping[str, Any], about: str) -> None:
    """Write the tables and the curves.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    write_text(folder / TABLE, as_csv(report.rows))
    write_text(folder / DIFFERENCES, as_csv(report.differences))
    write_text(folder / CURVES, as_csv(report.points))
    write_text(folder / TABLE_FOR_PEOPLE, markdown(report, about))
    content = {"protocol": dict(protocol), **asdict(report)}
    write_text(folder / TABLE_AS_JSON, json.dumps(content, indent=1, allow_nan=False) + "\n")
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for one in report.points:
        lines.setdefault(f"{one.source}, {one.next}", []).append((one.mean, one.low, one.high))
    picture = click_plot.draw(lines, WANTED)
    write_atomically(folder / PLOT, lambda file: picture.save(file, "PNG"))


def markdown(report: Report, about: str) -> str:
    """A line for each source and way to choose places, then what differs, then the verdict."""
    names = list(dict.fromkeys(row.measure for row in report.rows))
    lines: dict[_Key, dict[str, Row]] = {}
    for row in report.rows:
        lines.setdefault((row.source, row.next), {})[row.measure] = row
    table = [["features", "next click", *names], ["---"] * (2 + len(names))]
    table += [[*key, *(_cell(by[name]) for name in names)] for key, by in lines.items()]
    parts = ["\n".join("| " + " | ".join(cells) + " |" for cells in table)]
    if report.differences:
        table = [["difference", *names], ["---"] * (1 + len(names))]
        against: dict[str, dict[str, Difference]] = {}
        for one in report.differences:
            title = f"{one.source}, {one.next}, less {one.other_source}, {one.other_next}"
            against.setdefault(title, {})[one.measure] = one
        table += [[title, *(_gap(by[name]) for name in names)] for title, by in against.items()]
        parts.append("\n".join("| " + " | ".join(cells) + " |" for cells in table))
    parts.append(
        "Means over scans, in brackets 95 % intervals over scans, draws and seeds as they are; "
        "differences are paired, their intervals over scans and, where there are several, draws "
        "and seeds, with Wilcoxon's p over scans by Holm's procedure; † may be no difference: its "
        "interval holds 0, or it is smaller than so many scans allow to claim. "
        f"{about}"
    )
    return "\n\n".join([*parts, *verdicts(report)]) + "\n"


def verdicts(report: Report) -> list[str]:
    """Whether clicks at suggested places beat clicks by chance, a sentence for each source."""
    said = []
    for source in dict.fromkeys(row.source for row in report.rows):
        for other in (RANDOM, BY_CLASS):
            found = [
                one
                for one in report.differences
                if (one.source, one.next, one.other_next) == (source, SUGGESTED, other)
                and one.measure.startswith("Dice after")
            ]
            if found:
                beaten = all(one.mean > 0 and not one.none for one in found)
                when = " and ".join(one.measure.removeprefix("Dice ") for one in found)
                how = "beat" if beaten else "do not beat"
                said.append(f"With {source}, suggested clicks {how} clicks {other} {when}.")
    return said


def _curves(found: Mapping[Cell, Scores], clicks: int) -> dict[_Key, Curves]:
    """Curves of each source and way, scans in one order."""
    sessions: dict[_Key, dict[tuple[int, int], dict[str, list[float]]]] = {}
    for cell, scores in found.items():
        chance = sessions.setdefault((cell.source, cell.mode), {})
        by_scan = chance.setdefault((cell.seed, cell.draw), {})
        for scan, by_number in scores.items():
            by_scan[scan] = [by_number[number] for number in range(1, clicks + 1)]
    return {
        key: np.array([[by_scan[scan] for scan in sorted(by_scan)] for by_scan in chance.values()])
        for key, chance in sessions.items()
    }


def _differences(curves: Mapping[_Key, Curves], seed: int) -> list[Difference]:
    """Of each way from chance with the same features, and of features from the first ones."""
    first = next(iter(curves), ("", ""))[0]
    pairs: list[tuple[_Key, _Key]] = []
    for source, chosen in curves:
        others = [(source, chance) for chance in (RANDOM, BY_CLASS) if chosen != chance]
        if chosen in (RANDOM, BY_CLASS):
            others = []
        if source != first:
            others.append((first, chosen))
        pairs += [((source, chosen), other) for other in others if other in curves]
    every = {key: measures(curve) for key, curve in curves.items()}
    result: list[Difference] = []
    for measure in next(iter(every.values()), {}):
        found = {
            (one, other): statistics.paired(every[one][measure], every[other][measure], seed)
            for one, other in pairs
        }
        adjusted = statistics.holm({key: pair.p for key, pair in found.items()})
        for (one, other), pair in found.items():
            judged = pair.wide_low, pair.wide_high, pair.subjects
            fine = statistics.too_fine(pair.mean, *judged)
            none = fine if _wanted(measure) is None else statistics.may_be_none(*judged)
            intervals = (pair.low, pair.high, pair.wide_low, pair.wide_high)
            numbers = (pair.mean, *intervals, adjusted[one, other])
            result.append(Difference(*one, *other, measure, *numbers, none, pair.subjects))
    return result


def _after(number: int) -> str:
    return f"Dice after {number} clicks"


def _to(wanted: float) -> str:
    return f"clicks to Dice {wanted:g}"


def _wanted(measure: str) -> float | None:
    return next((wanted for wanted in WANTED if _to(wanted) == measure), None)


def _cell(row: Row) -> str:
    if row.failed is None:
        return f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"
    failed = f", {row.failed} of {row.sessions} failed" if row.failed else ""
    return f"{row.mean:.1f} [{row.low:.1f}, {row.high:.1f}]{failed}"


def _gap(one: Difference) -> str:
    digits = 3 if _wanted(one.measure) is None else 1
    mean, low, high = (f"{x:+.{digits}f}" for x in (one.mean, one.wide_low, one.wide_high))
    return f"{mean} [{low}, {high}], p {one.p:.3f}{' †' if one.none else ''}"
