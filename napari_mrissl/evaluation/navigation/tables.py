"""The table of the comparison: a row for each arm and control, as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_mrissl import __version__
from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.pretext.navigation.rollout import ANSWERS
from napari_mrissl.pretext.navigation.settings import KINDS
from napari_mrissl.volumes.atomic import write_text

Rows = Mapping[str, Mapping[str, Measure]]

TABLE, TABLE_FOR_PEOPLE, TABLE_AS_JSON = "table.csv", "table.md", "table.json"
CHANCE = "chance"
UNLEARNED = (*ANSWERS[1:], "remembered")
"""Answers to rollouts in the latents of the dynamics' tokenizer; the same for all dynamics."""
CYCLE = "what merely copies has none, so that it says something only beside the shuffle ratio"
"""Of an error after an action and its inverse."""

COLUMNS: Mapping[str, str] = {
    "position_mm": "position, mm",
    "position_r2": "position, R2",
    "angle_degrees": "angle, degrees",
    "log_fov_r2": "log fov, R2",
    "plane_accuracy": "plane",
    "moved_mm": "way, mm",
    "moved_degrees": "way, degrees",
    "order_accuracy": "order",
    "presence_auroc": "presence, AUROC",
    "dice": "Dice",
    "psnr_mask_0": "PSNR, seen",
    "psnr_mask_75": "PSNR, 75 % hidden",
    "latent_1": "latent error 1",
    "latent_4": "latent error 4",
    "latent_8": "latent error 8",
    "psnr_1": "PSNR 1",
    "psnr_4": "PSNR 4",
    "psnr_8": "PSNR 8",
    "ssim_1": "SSIM 1",
    "ssim_4": "SSIM 4",
    "ssim_8": "SSIM 8",
    "shuffle_ratio": "shuffle ratio",
    **{f"shuffle_ratio_{kind}": f"shuffle ratio, {kind}" for kind in KINDS},
    "below_copied": "of copying",
    **{f"below_copied_{kind}": f"of copying, {kind}" for kind in KINDS},
    "even_shuffle_ratio": "shuffle ratio, even flights",
    "even_below_copied": "of copying, even flights",
    "cycle_error": "cycle error",
}
"""What people are shown, in this order; CSV and JSON have all."""


def write(
    folder: Path,
    rows: Rows,
    budgets: Mapping[str, Mapping[str, int]],
    facts: Mapping[str, Any],
    about: str,
) -> None:
    """Write the three files.

    Parameters
    ----------
    folder
        There already.
    rows
        Measures by name of each row.
    budgets
        Steps and slices of each arm.
    facts
        How it was made, JSON-ready; no file, no person.
    about
        Sentences behind the table.
    """
    write_text(folder / TABLE, as_csv(rows, budgets))
    write_text(folder / TABLE_FOR_PEOPLE, markdown(rows, budgets, about))
    content = as_json(rows, budgets, facts)
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_text(folder / TABLE_AS_JSON, text + "\n")


def as_json(
    rows: Rows, budgets: Mapping[str, Mapping[str, int]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The table, JSON-ready."""
    return {
        "software": f"napari-mrissl {__version__}",
        "how": dict(facts),
        "budgets": {name: dict(one) for name, one in budgets.items()},
        "rows": {
            name: {measure: one.plain() for measure, one in measures.items()}
            for name, measures in rows.items()
        },
    }


def as_csv(rows: Rows, budgets: Mapping[str, Mapping[str, int]]) -> str:
    """A line for each measure of each row."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(
        ["row", "steps", "slices", "measure", "value", "low", "high", "chance", "subjects"]
    )
    for name, measures in rows.items():
        budget = budgets.get(name, {})
        for measure, one in measures.items():
            exact = [_exact(x) for x in (one.value, one.low, one.high, one.chance)]
            spent = [budget.get("steps", 0), budget.get("slices", 0)]
            lines.writerow([name, *spent, measure, *exact, one.subjects])
    return text.getvalue()


def markdown(rows: Rows, budgets: Mapping[str, Mapping[str, int]], about: str) -> str:
    """Rows of arms, of `UNLEARNED`, and of chance where all have the same."""
    shown = [name for name in COLUMNS if any(name in one for one in rows.values())]
    head = ["", "steps", "slices", *(COLUMNS[name] for name in shown)]
    lines = [head, ["---"] * len(head), _chance(rows, shown)]
    for name, measures in rows.items():
        budget = budgets.get(name)
        spent = [f"{budget['steps']}", f"{budget['slices']}"] if budget else ["0", "0"]
        lines.append([name, *spent, *(_cell(measures.get(column)) for column in shown)])
    for answer in UNLEARNED:
        found = [_first(rows, f"{answer}_{column}") for column in shown]
        if any(found):
            lines.append([answer, "", "", *map(_cell, found)])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{table}\n\n{about}\n"


def _first(rows: Rows, name: str) -> Measure | None:
    return next((one[name] for one in rows.values() if name in one), None)


def _chance(rows: Rows, shown: Sequence[str]) -> list[str]:
    cells = []
    for column in shown:
        known = {
            round(one[column].chance, 6)  # type: ignore[arg-type]
            for one in rows.values()
            if column in one and one[column].chance is not None
        }
        # What copying is worth in latents depends on the latents.
        cells.append(f"{known.pop():.3g}" if len(known) == 1 else "see JSON" if known else "")
    return [CHANCE, "", "", *cells]


def _cell(one: Measure | None) -> str:
    if one is None:
        return ""
    if one.low is None or one.high is None:
        return f"{one.value:.3g}"
    return f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})"


def _exact(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"
