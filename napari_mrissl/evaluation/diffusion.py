"""A report on a denoiser and one scan: losses beside their floors, and what guidance does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_mrissl import __version__
from napari_mrissl.evaluation import drawing
from napari_mrissl.pretext.diffusion.inspection import (
    RATIOS_DB,
    Inspector,
    Patches,
    Progress,
    middle,
)
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.volumes.atomic import write_text

REPORT = "report.json"

_SHOWN = 3
_SIDE = 96


@dataclass(frozen=True, eq=False)
class Report:
    """What is known of a denoiser on a scan.

    Attributes
    ----------
    numbers
        JSON-able; a loss beside ``chance_`` of it, and ``wiener_``.
    pictures
        (N, Y, X) middle slices in [0, 1] by what they are: clean, and drawn out of the same noise.
    """

    numbers: dict[str, Any]
    pictures: dict[str, NDArray[np.float32]]


def examine(
    network: Inspector,
    scan: Scan,
    patches: int,
    steps: int,
    seed: int,
    progress: Progress | None = None,
) -> Report:
    """Measure losses at five ratios and by guide, and draw patches out of their noise.

    Floors are those of the patches of the training, whose moments the card keeps.

    Raises
    ------
    MrisslError
        If the card has no moments of the patches.
    """
    drawn = network.draw(scan, patches, seed)
    numbers: dict[str, Any] = {"patches": patches, "steps": steps, "ratios_db": list(RATIOS_DB)}
    first = network.guides[0]
    by_guide: dict[str, dict[str, float]] = {}
    for number, ratio in enumerate(RATIOS_DB, 1):
        name = f"loss_{ratio:g}_db"
        losses, floors = network.losses(drawn, ratio), network.optima(ratio)
        numbers[name] = losses[first]
        numbers[f"chance_{name}"] = floors["voxelwise"]
        numbers[f"wiener_{name}"] = floors["wiener"]
        by_guide[f"{ratio:g}"] = losses
        if progress is not None:
            progress(number / (len(RATIOS_DB) + 1))
    numbers["guides"] = by_guide
    some = _few(drawn)
    pictures = {"clean": middle(some.clean)}
    apart = {}
    for guide in network.guides:
        *_, last = network.drawn(some, guide, steps)
        pictures[guide] = middle(last.noisy)
        apart[guide] = float((last.noisy - some.clean).abs().mean())
    numbers["drawn_apart"] = apart
    if progress is not None:
        progress(1.0)
    numbers |= {"identity": scan.identity, "seed": seed, "version": __version__}
    numbers |= {"method": "diffusion", "prediction": network.settings.prediction}
    numbers |= {"schedule": network.settings.schedule, "told": network.settings.coordinates}
    return Report(numbers, pictures)


def write(report: Report, folder: Path) -> None:
    """Write report.json, guidance.png and, where there is guidance, differences.png.

    Raises
    ------
    MrisslError
        If the folder is there already, or the disk refuses.
    """
    with new_folder(folder) as made:
        text = json.dumps(report.numbers, indent=2, sort_keys=True, allow_nan=False)
        write_text(made / REPORT, text + "\n")
        drawing.row(
            [_column(tiles) for tiles in report.pictures.values()], list(report.pictures)
        ).save(made / "guidance.png")
        true = report.pictures.get("true")
        if true is not None:
            others = [name for name in report.pictures if name not in ("clean", "true")]
            apart = [_column(np.abs(report.pictures[name] - true)) for name in others]
            titles = [f"true - {name}" for name in others]
            drawing.row(apart, titles).save(made / "differences.png")


def _few(patches: Patches) -> Patches:
    where = None if patches.where is None else patches.where[:_SHOWN]
    return replace(
        patches,
        views=patches.views[:_SHOWN],
        clean=patches.clean[:_SHOWN],
        noise=patches.noise[:_SHOWN],
        where=where,
    )


def _column(tiles: NDArray[np.float32]) -> Image.Image:
    # Upwards is superior or anterior, as rows of volumes rise.
    return drawing.grey(np.concatenate([tile[::-1] for tile in tiles]), (_SIDE, _SIDE * len(tiles)))
