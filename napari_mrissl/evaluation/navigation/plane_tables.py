"""Where ways to the mid-sagittal plane ended, head by head and in sum, as tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl import __version__
from napari_mrissl.evaluation.statistics import interval
from napari_mrissl.volumes.atomic import write_text

TABLE, TABLE_FOR_PEOPLE, TABLE_AS_JSON = "plane.csv", "plane.md", "plane.json"


@dataclass(frozen=True)
class Reached:
    """Where one way led on one head.

    Attributes
    ----------
    way, head
        Which.
    mm, degrees
        From the true plane, see `standard_plane.apart`.
    steps
        Flown.
    """

    way: str
    head: int
    mm: float
    degrees: float
    steps: int = 0


def summary(reached: Sequence[Reached]) -> dict[str, dict[str, float]]:
    """Of each way the mean and median of both errors over heads, with 95 % intervals."""
    rows: dict[str, dict[str, float]] = {}
    for way in dict.fromkeys(one.way for one in reached):
        own = [one for one in reached if one.way == way]
        row: dict[str, float] = {"heads": len(own)}
        for name in ("mm", "degrees"):
            values = np.array([getattr(one, name) for one in own])
            low, high = interval(values) if len(values) > 1 else (values[0], values[0])
            row |= {
                f"{name}_mean": float(values.mean()), f"{name}_low": float(low),
                f"{name}_high": float(high), f"{name}_median": float(np.median(values)),
                f"{name}_worst": float(values.max()),
            }  # fmt: skip
        rows[way] = row
    return rows


def write(folder: Path, reached: Sequence[Reached], facts: Mapping[str, Any]) -> None:
    """Every head as CSV, and the summary as Markdown and JSON."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["way", "head", "mm", "degrees", "steps"])
    for one in reached:
        lines.writerow([one.way, one.head, f"{one.mm:.4f}", f"{one.degrees:.4f}", one.steps])
    write_text(folder / TABLE, text.getvalue())
    rows = summary(reached)
    write_text(folder / TABLE_FOR_PEOPLE, markdown(rows))
    content = {"software": f"napari-mrissl {__version__}", "how": dict(facts), "ways": rows}
    text_ = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_text(folder / TABLE_AS_JSON, text_ + "\n")


def markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The summary for people."""
    lines = ["| way | mm (95 %) | median mm | degrees (95 %) | median degrees |"]
    lines.append("|---|---|---|---|---|")
    for way, row in rows.items():
        cells = [way]
        for name in ("mm", "degrees"):
            mean, low, high = (row[f"{name}_{part}"] for part in ("mean", "low", "high"))
            cells += [f"{mean:.2f} ({low:.2f} to {high:.2f})", f"{row[f'{name}_median']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    said = (
        "Distance of the mid-sagittal plane at the middle of the head, and angle between the "
        "planes, means over held-out heads: MNI152 deformed, recoloured and displaced by up to "
        "30 mm and 30 degrees, so one anatomy in many shapes. volume_centre is where the policy's "
        "flights begin."
    )
    return "\n".join(lines) + f"\n\n{said}\n"
