"""A report on a VectorPOSE network and a scan: numbers beside chance, a table, figures."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mrissl import __version__
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.vectorpose.views import (
    DIRECTIONS,
    CropView,
    Inspection,
    RestorationView,
    Sweep,
)
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.volumes.atomic import write_text

if TYPE_CHECKING:
    from napari_mrissl.pretext.vectorpose.inspection import Inspector

REPORT, TABLE = "report.json", "crops.csv"
_DRAWN_CROPS = 4
_RESTORED_CROPS = 16
_SWEEP_PLACES = 25

_NAMES = {
    "position_error_mm": "position_error_mm",
    "scale_ratio": "scale_ratio",
    "scale_error": "scale_ratio_error",
    "orientation_accuracy": "orientation_accuracy",
    "r": "r_error",
    "theta": "theta_error",
    "phi": "phi_error",
}

Progress = Callable[[float], object]


@dataclass(frozen=True, eq=False)
class Report:
    """What is written.

    Attributes
    ----------
    scan
        The scan that it is about.
    numbers
        JSON-ready; holds no name of a file, folder or person.
    crops
        Each crop with its vectors; none where the network predicts no vectors.
    sweeps
        Of the first crop, along S, A and R.
    restored
        Some crops, spoiled and restored; none where the network restores nothing.
    """

    scan: Scan
    numbers: dict[str, Any]
    crops: tuple[CropView, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    restored: tuple[RestorationView, ...] = ()


def examine(
    network: Inspector,
    scan: Scan,
    count: int = 64,
    seed: int = 0,
    shuffled: Inspector | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure a network on random crops of a scan.

    Parameters
    ----------
    network
        Trained.
    scan
        Prepared by `scan_for` with the network's card.
    count, seed
        Of the crops.
    shuffled
        A network trained on shuffled targets, as one more control.
    progress
        Is told the share that is done; what it raises ends the work.

    Raises
    ------
    MrisslError
        If the shuffled network sees other crops.
    """

    def tell(part: float) -> None:
        if progress is not None:
            progress(part)

    tell(0.0)
    settings = network.settings
    numbers: dict[str, Any] = {
        "software": f"napari-mrissl {__version__}",
        "method": "vectorpose",
        "run": network.card.get("run"),
        "step": network.card.get("step"),
        "shuffled_targets": bool(network.card.get("shuffled", False)),
        "identity": scan.identity,
        "preprocessing": network.card.get("preprocessing"),
        "crops": count,
        "seed": seed,
    }
    views: tuple[CropView, ...] = ()
    sweeps: list[Sweep] = []
    if settings.vectors:
        found = network.inspect(scan, count, seed, shuffled, lambda part: tell(0.6 * part))
        numbers |= vector_numbers(found)
        views = found.crops
        for number, direction in enumerate(DIRECTIONS):
            told = partial(_tell_within, tell, 0.6 + 0.1 * number)
            sweeps.append(network.sweep(scan, views[0].record, direction, _SWEEP_PLACES, told))
    restored: list[RestorationView] = []
    if settings.restores:
        records = [view.record for view in views] or draw(network, scan, _RESTORED_CROPS, seed)
        for number, record in enumerate(records[:_RESTORED_CROPS]):
            restored.append(network.restoration(scan, record, seed + number))
            tell(0.9 + 0.1 * (number + 1) / min(count, _RESTORED_CROPS))
        numbers["restoration"] = restoration_numbers(restored)
    return Report(scan, _finite(numbers), views, tuple(sweeps), tuple(restored))


def _tell_within(tell: Progress, before: float, part: float) -> None:
    tell(before + 0.1 * part)


def draw(network: Inspector, scan: Scan, count: int, seed: int = 0) -> list[CropRecord]:
    """Random crops of a scan, as the run draws them; their images are not cut."""
    rng = generator(seed, 0, "inspected crops")
    return [network.task.draw_record(rng, scan) for _ in range(count)]


def vector_numbers(found: Inspection) -> dict[str, Any]:
    """Errors of position, scale, orientation, r, theta and phi, each beside ``chance_``."""
    plain = found.plain()
    numbers: dict[str, Any] = {}
    for name, shown in _NAMES.items():
        numbers[shown] = plain[name]
        numbers[f"chance_{shown}"] = plain[f"chance_{name}"]
    numbers["mirrored_only"] = plain["mirrored_only"]
    controls = {"inverted_input": found.inverted.plain()}
    if found.shuffled is not None:
        controls["shuffled_run"] = found.shuffled.plain()
    numbers["controls"] = {
        name: {_NAMES[key]: value for key, value in one.items() if key in _NAMES}
        for name, one in controls.items()
    }
    return numbers


def restoration_numbers(views: list[RestorationView]) -> dict[str, float | int]:
    """Mean errors of restored crops, each beside the better of two answers that know nothing.

    One leaves the crop spoiled, the other is the best constant: the median of the grey values
    of that part in all crops.
    """
    numbers: dict[str, float | int] = {"crops": len(views)}
    if not views:
        return numbers
    own = [view.errors() for view in views]
    left = [replace(view, restored=view.corrupted).errors() for view in views]
    masks = [view.parts() for view in views]
    for name in own[0]:
        numbers[f"error_{name}"] = _mean([one[name] for one in own])
        greys = [view.original[parts[name]] for view, parts in zip(views, masks, strict=True)]
        middle = np.median(np.concatenate(greys)) if any(map(len, greys)) else math.nan
        constant = [float(np.abs(one - middle).mean()) if len(one) else math.nan for one in greys]
        numbers[f"chance_error_{name}"] = min(_mean([one[name] for one in left]), _mean(constant))
    return numbers


def table(views: tuple[CropView, ...]) -> str:
    """CSV, a line for each crop; places are world RAS mm."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(
        ["crop", "x_mm", "y_mm", "z_mm", "edge_mm", "scale", "element", "predicted_element",
         "position_error_mm", "scale_ratio", "orientation_right"]
    )  # fmt: skip
    for number, view in enumerate(views):
        record, reading = view.record, view.reading
        places = [f"{value:.4f}" for value in record.to_world(record.center_mm)]
        writer.writerow(
            [number, *places, f"{record.edge_mm:.4f}", f"{record.scale:.5f}", record.element,
             reading.element, f"{reading.position_error_mm:.4f}", f"{reading.scale_ratio:.5f}",
             int(reading.orientation_right)]
        )  # fmt: skip
    return lines.getvalue()


def write(report: Report, folder: Path) -> list[str]:
    """Write report, table and figures into a new folder, whole or not at all.

    Returns
    -------
    list of str
        The names of its files.

    Raises
    ------
    MrisslError
        If the folder is there already, or the disk refuses.
    """
    from napari_mrissl.evaluation import vectorpose_figures as figures

    with new_folder(folder) as made:
        text = json.dumps(report.numbers, indent=2, sort_keys=True, allow_nan=False)
        write_text(made / REPORT, text + "\n")
        if report.crops:
            write_text(made / TABLE, table(report.crops))
        for number, view in enumerate(report.crops[:_DRAWN_CROPS]):
            figures.arrows(report.scan, view).save(made / f"arrows_{number}.png")
        for one in report.sweeps:
            figures.sweep(one).save(made / f"sweep_{one.direction}.png")
        for number, restored in enumerate(report.restored[:_DRAWN_CROPS]):
            figures.strip(restored).save(made / f"restored_{number}.png")
    return sorted(path.name for path in folder.iterdir())


def _mean(errors: list[float]) -> float:
    """Of those that are known; NaN where none is."""
    known = [error for error in errors if not math.isnan(error)]
    return float(np.mean(known)) if known else math.nan


def _finite(content: Any) -> Any:
    """What is not a number becomes null: JSON has no other word for it."""
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
