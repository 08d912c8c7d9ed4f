"""Compare candidates fairly: interleaved in one process, warmed up, medians, agreement.

The machine may be shared: trust ratios, not milliseconds. Every table goes to the
screen, to ``bench_output/NAME.md`` and to ``bench_output/NAME.json``.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Idle OpenMP threads of one candidate must not take a core from the next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

OUTPUT = Path(__file__).resolve().parents[2] / "bench_output"

Candidate = Callable[[int], Any]


@dataclass
class Row:
    """What was measured of one candidate.

    Attributes
    ----------
    name
        The candidate.
    median_ms, low_ms, high_ms
        Median and 10th and 90th percentile of all rounds, milliseconds.
    rounds
        How often it ran after the warm-up.
    difference
        Largest absolute difference to the reference's result, where there is one.
    note
        A remark for the table.
    """

    name: str
    median_ms: float
    low_ms: float
    high_ms: float
    rounds: int
    difference: float | None = None
    note: str = ""


@dataclass
class Table:
    """Rows under a title; ``baseline`` names the row that others are given as multiples of."""

    title: str
    rows: list[Row]
    baseline: str | None = None
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table as Markdown."""
        base = next((r.median_ms for r in self.rows if r.name == self.baseline), None)
        lines = [f"### {self.title}", ""]
        ratio = f"x {self.baseline}" if base else ""
        lines.append(f"| candidate | median ms | 10-90 % | {ratio} | rounds | difference | note |")
        lines.append("|---|---|---|---|---|---|---|")
        for row in self.rows:
            times = f"{row.median_ms / base:.2f}" if base else ""
            difference = "" if row.difference is None else f"{row.difference:.2g}"
            lines.append(
                f"| {row.name} | {row.median_ms:.3g} | {row.low_ms:.3g}-{row.high_ms:.3g} "
                f"| {times} | {row.rounds} | {difference} | {row.note} |"
            )
        lines += [""] + [f"* {note}" for note in self.notes]
        return "\n".join(lines) + "\n"


def measure(
    candidates: Mapping[str, Candidate],
    *,
    rounds: int,
    warm_up: int = 2,
    seconds_each: float = 20.0,
    reference: str | None = None,
    notes: Mapping[str, str] | None = None,
    parts: Mapping[str, float] | None = None,
) -> list[Row]:
    """Run all candidates in turn, round after round, and sum up each.

    Parameters
    ----------
    candidates
        Functions of the round's number; the same number means the same input.
    rounds, warm_up
        Counted rounds, and earlier ones that are not counted.
    seconds_each
        A candidate that has used this much time leaves the race after two counted rounds.
    reference
        The candidate to whose result of round 0 the others' results are compared.
    notes
        Remarks by candidate.
    parts
        For a slow candidate that does only a part of the work per round: which part. Its
        times are divided by it and its note says so; the reference must do it all, and
        what a part gives is compared to as much of it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    used = dict.fromkeys(candidates, 0.0)
    results = {}
    gc.collect()
    gc.disable()
    try:
        for number in range(-warm_up, rounds):
            for name, run in candidates.items():
                slow = used[name] > seconds_each
                if slow and (number < 0 or len(seconds[name]) >= 2):
                    continue
                _same_start()
                begin = time.perf_counter()
                result = run(number)
                taken = time.perf_counter() - begin
                used[name] += taken
                if number >= 0:
                    seconds[name].append(taken)
                if number == 0 and reference is not None and result is not None:
                    results[name] = np.array(result, np.float64)
    finally:
        gc.enable()
    expected = results.get(reference) if reference else None
    rows = []
    for name, counted in seconds.items():
        part = (parts or {}).get(name, 1.0)
        taken_s = [taken / part for taken in counted]
        ordered = np.percentile(np.array(taken_s) * 1e3, (10, 90))
        difference = None
        if expected is not None and name in results:
            found = results[name]
            difference = float(np.nanmax(np.abs(found - expected[: len(found)])))
        median = statistics.median(taken_s) * 1e3
        low, high = (float(v) for v in ordered)
        note = (notes or {}).get(name, "")
        if part != 1:
            note = f"{note} (measured on 1/{1 / part:g} of the work)".strip()
        rows.append(Row(name, median, low, high, len(taken_s), difference, note))
    return rows


_BUFFER = np.zeros(1 << 20)


def _same_start() -> None:
    """Give every candidate the same start, whoever ran before.

    Worker threads of the last one get time to stop spinning, and the first cache levels
    hold none of its data.
    """
    time.sleep(0.002)
    _BUFFER.sum()


def save(name: str, tables: list[Table], **facts: Any) -> None:
    """Print tables and write them, with facts about the machine, to ``bench_output/``."""
    about = machine() | facts
    text = f"# {name}\n\n" + "".join(f"* {key}: {value}\n" for key, value in about.items())
    text += "\n" + "\n".join(table.markdown() for table in tables)
    print(text, flush=True)
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / f"{name}.md").write_text(text, "utf-8")
    content = {"about": about, "tables": [asdict(table) for table in tables]}
    (OUTPUT / f"{name}.json").write_text(json.dumps(content, indent=1), "utf-8")


def machine() -> dict[str, Any]:
    """What was measured on: processor, cores, load and versions."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else "unknown",
        "python": platform.python_version(),
    }
    for package in ("numpy", "numba", "scipy", "torch", "SimpleITK", "vtk", "napari"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "absent"
    return facts


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.machine()
