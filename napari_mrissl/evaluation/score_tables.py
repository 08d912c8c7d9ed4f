"""Rows of a comparison as CSV, JSON, Markdown, LaTeX and a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_mrissl.evaluation import score_plot
from napari_mrissl.evaluation.cells import DICE
from napari_mrissl.evaluation.score_rows import MEAN, MEASURES, Measure, Row, rows_of
from napari_mrissl.evaluation.statistics import FEWEST, finest_difference
from napari_mrissl.volumes.atomic import write_text

__all__ = ["MEAN", "Row", "markdown", "rows_of", "write"]

TABLE, TABLE_FOR_PEOPLE, TABLE_AS_JSON = "table.csv", "table.md", "table.json"
TABLE_AS_LATEX, PLOT = "table.tex", "table.png"

_MARK = "†"
_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "<": "$<$",
        ">": "$>$",
        "³": r"$^3$",
        _MARK: r"$^\dagger$",
    }
)


def write(folder: Path, rows: Sequence[Row], protocol: Mapping[str, Any], about: str) -> None:
    """Write all tables, and a picture of Dice by number of training scans.

    Parameters
    ----------
    about
        What the table shows, below the one for people.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    write_text(folder / TABLE, as_csv(rows))
    write_text(folder / TABLE_FOR_PEOPLE, markdown(rows, about))
    write_text(folder / TABLE_AS_LATEX, latex(rows, about))
    content = {"protocol": dict(protocol), "rows": [asdict(row) for row in rows]}
    write_text(folder / TABLE_AS_JSON, json.dumps(content, indent=1, allow_nan=False) + "\n")
    score_plot.write(folder / PLOT, rows)


def as_csv(rows: Sequence[Any]) -> str:
    """Dataclasses of one kind, a line each; numbers to six figures, None empty."""
    text = io.StringIO(newline="")
    if rows:
        lines = csv.DictWriter(text, list(asdict(rows[0])), lineterminator="\n")
        lines.writeheader()
        for row in rows:
            lines.writerow({name: _exact(value) for name, value in asdict(row).items()})
    return text.getvalue()


def markdown(rows: Sequence[Row], about: str) -> str:
    """A table for each measure: a line for each source and number of training scans."""
    parts = []
    for title, heads, lines in _tables(rows):
        table = [heads, ["---"] * len(heads), *lines]
        drawn = "\n".join("| " + " | ".join(map(_piped, cells)) + " |" for cells in table)
        parts.append(f"{title}\n\n{drawn}" if title else drawn)
    return "\n\n".join([*parts, f"{legend(rows)} {about}"]) + "\n"


def latex(rows: Sequence[Row], about: str) -> str:
    """The same as LaTeX, for the package booktabs."""
    parts = ["% needs \\usepackage{booktabs}"]
    for title, heads, lines in _tables(rows):
        body = [" & ".join(cell.translate(_LATEX) for cell in cells) + r" \\" for cells in lines]
        parts += [
            rf"\begin{{tabular}}{{{'l' * len(heads)}}}",
            r"\toprule",
            " & ".join(cell.translate(_LATEX) for cell in heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            f"% {title or MEASURES[DICE].title}",
        ]
    # A newline would end the comment.
    return "\n".join([*parts, "% " + " ".join(f"{legend(rows)} {about}".split())]) + "\n"


def legend(rows: Sequence[Row]) -> str:
    """What the numbers of a table are, in a sentence or two."""
    spread = "spread over draws (standard deviation)"
    if all(row.shots == 0 for row in rows):
        spread = "standard deviation over subjects"
    measures = list(dict.fromkeys(_measure(row.measure).title for row in rows))
    said = f"{', '.join(measures)}: mean, {spread}, and in brackets the 95 % interval over subjects"
    if any(row.difference is not None for row in rows):
        said += (
            "; of a difference over draws, where there are several, and subjects; p is Wilcoxon's "
            "signed-rank test over subjects, of the draws as they are, not adjusted (of labels by "
            "Holm: CSV)"
        )
    if any(row.uncompared_draws for row in rows):
        said += (
            "; where draws are named, a difference is of those that both sides have, or of "
            "averages where they have none in common, and means are of all"
        )
    subjects = sorted({row.subjects for row in rows if row.too_fine})
    if not subjects:
        return said + "."
    least = ", ".join(f"{finest_difference(n):.3f} for {n} subjects" for n in subjects)
    points = any(_measure(row.measure).points for row in rows if row.too_fine)
    smaller = f" or it is smaller than such numbers allow to claim ({least})" if points else ""
    few = f", or there are fewer than {FEWEST} subjects" if subjects[0] < FEWEST else ""
    return f"{said}. {_MARK} may be no difference: its interval holds 0{smaller}{few}."


def _tables(rows: Sequence[Row]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, heads and lines of each measure's table; one alone needs no title if it is Dice."""
    names = list(dict.fromkeys(row.measure for row in rows))
    for name in names:
        of_measure = [row for row in rows if row.measure == name]
        title = "" if names == [DICE] else _measure(name).title
        yield title, *_table(of_measure, _measure(name))


def _table(rows: Sequence[Row], measure: Measure) -> tuple[list[str], list[list[str]]]:
    labels = list(dict.fromkeys(row.label for row in rows))
    compared = any(row.difference is not None for row in rows)
    moded = any(row.mode for row in rows)
    trained = any(row.shots for row in rows)
    heads = [
        *(["head"] if moded else []),
        *(["features", "training scans"] if trained else ["label maps"]),
        *(_title(label) for label in labels),
        *(["difference of the mean", "p"] if compared else []),
    ]
    lines: dict[tuple[str, str, int], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row.mode, row.source, row.shots), {})[row.label] = row
    table = []
    order = list(dict.fromkeys(mode for mode, _, _ in lines))
    for (mode, source, shots), by_label in sorted(
        lines.items(), key=lambda item: (order.index(item[0][0]), item[0][2])
    ):
        cells = [*([mode] if moded else []), source, *([str(shots)] if trained else [])]
        cells += [_cell(by_label[label], measure, trained) for label in labels]
        if compared:
            cells += [_difference(by_label[MEAN], measure), _p(by_label[MEAN])]
        table.append(cells)
    return heads, table


def _measure(name: str) -> Measure:
    return MEASURES.get(name, Measure(name, "high", 3))


def _title(label: str) -> str:
    return label if label == MEAN else f"label {label}"


def _cell(row: Row, measure: Measure, trained: bool) -> str:
    spread = row.sd if trained else row.subject_sd
    mean, sd, low, high = (f"{x:.{measure.digits}f}" for x in (row.mean, spread, row.low, row.high))
    return f"{mean} ± {sd} [{low}, {high}]"


def _difference(row: Row, measure: Measure) -> str:
    if row.difference is None:
        return ""
    mean, low, high = (
        f"{x or 0:+.{measure.digits}f}" for x in (row.difference, row.wide_low, row.wide_high)
    )
    return f"{mean} [{low}, {high}]{_MARK if row.too_fine else ''}{_draws(row)}"


def _draws(row: Row) -> str:
    """Which draws a difference is of, where one side has others too."""
    if not row.uncompared_draws:
        return ""
    if not row.compared_draws:
        return ", no draw in common"
    both = row.compared_draws
    return f", {both} draw{'' if both == 1 else 's'} of {both + row.uncompared_draws}"


def _p(row: Row) -> str:
    if row.p is None:
        return ""
    return f"{row.p:.3f}" if row.p >= 0.001 else "< 0.001"


def _piped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _exact(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value
