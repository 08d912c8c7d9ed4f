"""Matches of two scans as files: landmarks as a table that registration reads, and all figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl import __version__
from napari_mrissl.directories import made_directory
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.features.source import source_for
from napari_mrissl.registration.correspondence import (
    Landmarks,
    corresponding,
    matches_of,
    mutual_landmarks,
)
from napari_mrissl.registration.described import Described, common_spacing, described
from napari_mrissl.registration.landmarks import COLUMNS
from napari_mrissl.registration.match_settings import MatchSettings
from napari_mrissl.registration.outputs import check_folder
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.atomic import write_text

LANDMARKS, FACTS = "landmarks.csv", "match.json"

_TRUST = ("similarity", "ratio", "back_mm", "confidence")
_ONE, _OTHER, _MATCHED = 0.4, 0.8, 0.95
"""Parts of the work at which features of either scan are there, and landmarks."""

_CLOSE_MM = 5.0
_DRAWN, _SEED = 1000, 20


def match_scans(
    folder: Path,
    fixed: Volume,
    moving: Volume,
    settings: MatchSettings | None = None,
    *,
    fixed_mask: NDArray[np.bool_] | None = None,
    moving_mask: NDArray[np.bool_] | None = None,
    places: ArrayLike = (),
    known: NDArray[np.float64] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> dict[str, Any]:
    """Find places of two scans that correspond, and write them and all figures into a folder.

    Parameters
    ----------
    folder
        New or empty, unless files may be replaced.
    fixed, moving
        The scans.
    settings
        Defaults where left out.
    fixed_mask, moving_mask
        (S, A, R) on the scans' own grids: where matches are looked for.
    places
        (N, 3) RAS mm in the fixed scan whose matches are wanted too.
    known
        (N, 2, 3) places that are known to correspond: the errors of their matches are measured,
        see `errors`.
    overwrite
        Whether files may be replaced.
    progress, cancelled
        As everywhere.

    Returns
    -------
    dict
        What ``match.json`` holds.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; nothing is written.
    MrisslError
        If the folder cannot be used, a scan has no contrast, a mask or a place does not belong to
        its scan, there are no such weights, or no place has a mutual match.
    """
    settings = settings or MatchSettings()
    check_folder(folder, overwrite=overwrite)
    side = common_spacing((fixed, moving), settings.spacing_mm)

    def within(first: float, last: float) -> Progress:
        def say(part: float, step: str) -> None:
            if progress is not None:
                progress(first + (last - first) * part, step)

        return say

    one = described(fixed, settings, side, fixed_mask, within(0.0, _ONE), cancelled)
    other = described(moving, settings, side, moving_mask, within(_ONE, _OTHER), cancelled)
    found = mutual_landmarks(one, other, settings, within(_OTHER, _MATCHED), cancelled)
    facts: dict[str, Any] = {
        "software": f"napari-mrissl {__version__}",
        "fixed": fixed.identity,
        "moving": moving.identity,
        "settings": settings.model_dump(mode="json", exclude={"weights"}),
        "features": source_for(settings.feature_settings()).settings.model_dump(mode="json"),
        "spacing_mm": side,
        "landmarks": len(found),
        **{f"mean_{name}": float(getattr(found, name).mean()) for name in _TRUST},
    }
    wanted = np.asarray(places, np.float64).reshape(-1, 3)
    if len(wanted):
        facts["matches"] = [
            {
                "asked": place.tolist(),
                **asdict(corresponding(place, one, other, settings.apart_mm, cancelled)),
            }
            for place in wanted
        ]
    if known is not None:
        facts["errors"] = errors(known, one, other, settings, cancelled)
    made_directory(folder, remedy="choose another folder")
    write_text(folder / LANDMARKS, landmarks_text(found))
    write_text(folder / FACTS, json.dumps(facts, indent=1, allow_nan=False) + "\n")
    within(0.0, 1.0)(1.0, "written")
    return facts


def landmarks_text(found: Landmarks) -> str:
    """A CSV table as `landmarks.read_landmarks` reads it, with how far each can be trusted."""
    trust = np.column_stack([getattr(found, name) for name in _TRUST])
    lines = [",".join((*COLUMNS, *_TRUST))]
    for place, further in zip(found.points.reshape(-1, 6), trust, strict=True):
        lines.append(",".join(f"{value:.4f}" for value in (*place, *further)))
    return "\n".join(lines) + "\n"


def errors(
    known: NDArray[np.float64],
    one: Described,
    other: Described,
    settings: MatchSettings | None = None,
    cancelled: IsCancelled | None = None,
) -> dict[str, float]:
    """How far the matches of places lie from where they are known to be, beside chance.

    Chance is a voxel of the other scan's body, drawn at random.

    Parameters
    ----------
    known
        (N, 2, 3) places in the one and in the other scan, RAS mm.
    one, other
        The scans with features.
    settings
        Defaults where left out.

    Returns
    -------
    dict
        Mean and median in mm and the share within 5 mm; of the third of most confidence the mean;
        the same for chance.

    Raises
    ------
    MrisslError
        If a place is outside the one scan, or features differ in number.
    """
    found = matches_of(known[:, 0], one, other, settings, cancelled=cancelled)
    away = np.linalg.norm(found.points[:, 1] - known[:, 1], axis=-1)
    surest = np.argsort(-found.confidence, kind="stable")[: max(1, len(away) // 3)]
    drawn = np.random.default_rng(_SEED).choice(other.searched, _DRAWN)
    by_chance = np.linalg.norm(other.world_of(drawn) - known[:, 1][:, None], axis=-1)
    return {
        "places": float(len(away)),
        "mean_mm": float(away.mean()),
        "median_mm": float(np.median(away)),
        "within_5_mm": float((away <= _CLOSE_MM).mean()),
        "surest_third_mean_mm": float(away[surest].mean()),
        "chance_mean_mm": float(by_chance.mean()),
        "chance_median_mm": float(np.median(by_chance)),
        "chance_within_5_mm": float((by_chance <= _CLOSE_MM).mean()),
    }
