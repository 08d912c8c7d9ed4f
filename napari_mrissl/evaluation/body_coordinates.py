"""A report on a network of body coordinates and one scan: numbers beside chance and a control."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl import __version__
from napari_mrissl.evaluation import drawing
from napari_mrissl.pretext.coordinates.inspection import (
    Floats,
    Inspector,
    Progress,
    chance,
    matched,
)
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.volumes.atomic import write_text

REPORT = "report.json"

_STEP = 0.5
_AXES = ("right", "anterior", "superior")


@dataclass(frozen=True, eq=False)
class Report:
    """What is known of a network on a scan.

    Attributes
    ----------
    numbers
        JSON-able; each beside ``chance_`` of it.
    points_mm, coordinates
        (N, 3) places of points along the scan's axes, and what the network says of them.
    """

    numbers: dict[str, Any]
    points_mm: Floats
    coordinates: Floats


def examine(
    network: Inspector, scan: Scan, points: int, seed: int, progress: Progress | None = None
) -> Report:
    """Measure how coordinates rise through the body, and whether a point is found again.

    ``match_mm``: each point's coordinates are sought among other points of the same scan with
    other grey values; how far from it the point lies that is found. ``floor_match_mm`` is how far
    the nearest of them is: none can be nearer. The control is the same network untrained, with
    body axes that are fitted to this very scan.
    """
    chosen = network.body_points(scan, points, seed)
    located = network.locate(scan, chosen, progress=progress)
    numbers: dict[str, Any] = {"points": len(chosen), **network.measure(located)}
    numbers |= {f"chance_{name}": value for name, value in chance(located).items()}
    among = network.body_points(scan, points, seed + 1)
    other = network.locate(scan, among, seed=seed)
    found = matched(located.coordinates, chosen, other.coordinates, among)
    numbers["match_mm"], numbers["chance_match_mm"] = found
    numbers["floor_match_mm"] = matched(chosen, chosen, among, among)[0]
    untrained = network.untrained(seed)
    plain = untrained.locate(scan, chosen)
    again = untrained.locate(scan, among, seed=seed)
    control = untrained.measure(plain)
    control["match_mm"] = matched(plain.coordinates, chosen, again.coordinates, among)[0]
    numbers["controls"] = {"untrained": control}
    numbers |= {"identity": scan.identity, "seed": seed, "version": __version__}
    numbers["method"] = "coordinates"
    return Report(numbers, chosen, located.coordinates)


def write(report: Report, folder: Path) -> None:
    """Write report.json, points.csv and a scatter of places into a new folder.

    Raises
    ------
    MrisslError
        If the folder is there already, or the disk refuses.
    """
    lines = ["right_mm,anterior_mm,superior_mm,coordinate_1,coordinate_2,coordinate_3"]
    both = np.concatenate([report.points_mm, report.coordinates], axis=1)
    lines += [",".join(f"{value:.5g}" for value in one) for one in both]
    with new_folder(folder) as made:
        text = json.dumps(report.numbers, indent=2, sort_keys=True, allow_nan=False)
        write_text(made / REPORT, text + "\n")
        write_text(made / "points.csv", "\n".join(lines) + "\n")
        pictures = [_scatter(report, axis) for axis in range(3)]
        drawing.row(pictures, _AXES).save(made / "axes.png")


def _scatter(report: Report, axis: int) -> Any:
    """Where points lie along an axis of the scan, against the coordinate that fits it best."""
    true = report.points_mm[:, axis]
    away = report.coordinates - report.coordinates.mean(axis=0)
    slope, *_ = np.linalg.lstsq(away, true - true.mean(), rcond=None)
    values = np.stack([true, away @ slope + true.mean()])
    low, high = values.min(), values.max()
    side = 160
    pixels = np.rint((values - low) / max(high - low, 1e-9) * (side - 1)).astype(int)
    image = np.zeros((side, side))
    np.add.at(image, (side - 1 - pixels[1], pixels[0]), _STEP)
    return drawing.grey(image, (side, side))
