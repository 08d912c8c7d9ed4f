"""The table of the comparison: a row for each arm and control, as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_mrissl import __version__
from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.volumes.atomic import write_text

Rows = Mapping[str, Mapping[str, Measure]]
Budgets = Mapping[str, Mapping[str, int]]

TABLE, TABLE_FOR_PEOPLE, TABLE_AS_JSON = "table.csv", "table.md", "table.json"
CHANCE, WIENER = "chance", "Wiener filter"
_SPENT = ("steps", "samples")


def write(folder: Path, rows: Rows, budgets: Budgets, facts: Mapping[str, Any], about: str) -> None:
    """Write the three files.

    Parameters
    ----------
    folder
        There already.
    rows
        Measures by name of each row.
    budgets
        Steps and samples of each run.
    facts
        How it was made, JSON-ready; no file, no person.
    about
        Sentences behind the table.
    """
    write_text(folder / TABLE, as_csv(rows, budgets))
    write_text(folder / TABLE_FOR_PEOPLE, markdown(rows, budgets, about))
    text = json.dumps(as_json(rows, budgets, facts), indent=1, sort_keys=True, allow_nan=False)
    write_text(folder / TABLE_AS_JSON, text + "\n")


def as_json(rows: Rows, budgets: Budgets, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The table, JSON-ready."""
    plain = {name: {m: one.plain() for m, one in own.items()} for name, own in rows.items()}
    return {
        "software": f"napari-mrissl {__version__}",
        "how": dict(facts),
        "budgets": {name: dict(one) for name, one in budgets.items()},
        "rows": plain,
    }


def as_csv(rows: Rows, budgets: Budgets) -> str:
    """A line for each measure of each row."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["row", *_SPENT, "measure", "value", "low", "high", "chance", "subjects"])
    for name, own in rows.items():
        spent = [budgets.get(name, {}).get(what, 0) for what in _SPENT]
        for measure, one in own.items():
            numbers = (one.value, one.low, one.high, one.chance)
            exact = ["" if number is None else f"{number:.6g}" for number in numbers]
            lines.writerow([name, *spent, measure, *exact, one.subjects])
    return text.getvalue()


def markdown(rows: Rows, budgets: Budgets, about: str) -> str:
    """A table of Dice, one of losses, one of what guidance is worth, where there are such."""
    parts = [
        _table(rows, budgets, "dice_", "Dice of probes"),
        _table(rows, budgets, "loss_", "Loss on held-out subjects"),
        _gaps(rows),
    ]
    return "\n\n".join([*filter(None, parts), about]) + "\n"


def _table(rows: Rows, budgets: Budgets, prefix: str, title: str) -> str:
    shown = {m: one for own in rows.values() for m, one in own.items() if m.startswith(prefix)}
    if not shown:
        return ""
    heads = [_words(name.removeprefix(prefix)) for name in shown]
    first = [CHANCE, "", "", *(_number(one.chance) for one in shown.values())]
    lines = [["", *_SPENT, *heads], ["---"] * (3 + len(heads)), first]
    floors = {m: one.value for own in rows.values() for m, one in own.items()}
    if prefix == "loss_":
        wiener = [_number(floors.get(name.replace("loss_", "wiener_"))) for name in shown]
        lines.append([WIENER, "", "", *wiener])
    for name, own in rows.items():
        if any(measure in own for measure in shown):
            spent = [str(budgets.get(name, {}).get(what, 0)) for what in _SPENT]
            lines.append([name, *spent, *(_cell(own.get(measure)) for measure in shown)])
    return _as_text(title, lines)


def _gaps(rows: Rows) -> str:
    """A line for each network and what it is beside, a column for each ratio."""
    lines: dict[str, dict[str, str]] = {}
    for name, own in rows.items():
        for measure, one in own.items():
            if measure.startswith("gap_"):
                other, ratio = measure.removeprefix("gap_").split("_", 1)
                lines.setdefault(f"{name}, beside {other}", {})[_words(ratio)] = _cell(one)
    if not lines:
        return ""
    ratios = list(dict.fromkeys(ratio for own in lines.values() for ratio in own))
    head = [["", *ratios], ["---"] * (1 + len(ratios)), [CHANCE, *("0" for _ in ratios)]]
    body = [[name, *(own.get(ratio, "") for ratio in ratios)] for name, own in lines.items()]
    return _as_text("How much lower the loss with coordinates is", head + body)


def _words(measure: str) -> str:
    return measure.replace("_", " ").replace(" db", " dB")


def _as_text(title: str, lines: list[list[str]]) -> str:
    return f"{title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(one: Measure | None) -> str:
    if one is None or one.low is None or one.high is None:
        return "" if one is None else _number(one.value)
    return f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
