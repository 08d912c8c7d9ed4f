"""What the arms and controls are to probes: sources of features, and Dice by few-shot heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_mrissl.evaluation import fewshot
from napari_mrissl.evaluation.cells import DICE
from napari_mrissl.evaluation.frozen import (
    INTENSITY,
    RANDOM_SEEDS,
    Source,
    identity_of,
    plain_source,
)
from napari_mrissl.evaluation.guidance.arms import CONTROLS, DENOISERS, GUIDED, START
from napari_mrissl.evaluation.labelled_scans import LabelledScans
from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.evaluation.score_rows import MEAN, Row
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.features.of_weights import settings_of
from napari_mrissl.features.source import source_for
from napari_mrissl.networks.weight_library import DEFAULT, available
from napari_mrissl.training.known_scans import silent, trained_on
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.training.run import Run

ZEROED, WITH_INTENSITY = "guided_zeroed", "intensity_coordinates"
SHIPPED = "contrastive_shipped"
MODES: tuple[fewshot.Mode, ...] = ("linear", "nonlinear")

GRID_DB = (20.0, 15.0, 10.0, 5.0, 0.0)
"""Signal-to-noise ratios of the grid over noise and layers."""


def sources(runs: Mapping[str, Run], snr_db: float) -> list[Source]:
    """All rows that are probed: arms, the untrained network, and controls without a denoiser.

    Networks give all scales of their decoder.

    Parameters
    ----------
    runs
        Of all arms, finished.
    snr_db
        Of the noise that denoisers see.
    """
    guided = runs[GUIDED]
    noisy: dict[str, Any] = {"snr_db": snr_db, "scales": "decoder"}
    found = [source(name, runs[name], **noisy) for name in DENOISERS]
    found.insert(1, source(ZEROED, guided, **noisy, coordinates="zeroed"))
    found += [source(name, runs[name], scales="decoder") for name in CONTROLS if name in runs]
    found += [
        source(RANDOM, guided, **noisy, untrained=seed, seed=seed) for seed in range(RANDOM_SEEDS)
    ]
    found.append(plain_source(INTENSITY))
    found.append(source(START, runs[START]))
    found.append(source(WITH_INTENSITY, runs[START], intensity=True))
    if any(file.origin == "shipped" for file in available()):
        settings = source_for(settings_of(DEFAULT, scales="decoder")).settings
        known, untold = trained_on(DEFAULT), silent(DEFAULT)
        found.append(Source(SHIPPED, 0, settings, identity_of(settings), known, untold))
    return found


def source(name: str, run: Run, seed: int = 0, **options: Any) -> Source:
    """The features of a run, under a name of the table.

    Parameters
    ----------
    name
        Of the row.
    run
        With weights.
    seed
        Of an untrained network.
    options
        Fields of the features' settings.
    """
    place = run.folder / WEIGHTS
    settings = source_for(settings_of(place, **options)).settings
    identity = identity_of(settings)
    return Source(name, seed, settings, identity, trained_on(place), silent(place))


def dice(rows: Sequence[Row], chance: float) -> dict[str, dict[str, Measure]]:
    """``dice_linear_3`` and so on of each source: its mean over labels with three scans."""
    found: dict[str, dict[str, Measure]] = {}
    for row in rows:
        if (row.label, row.measure) == (MEAN, DICE):
            one = Measure(row.mean, row.low, row.high, chance, row.subjects)
            found.setdefault(row.source, {})[f"dice_{row.mode}_{row.shots}"] = one
    return found


def chance(scans: LabelledScans, test: int, seed: int) -> float:
    """The mean Dice of the best answer that looks at no scan: one label everywhere."""
    tested, _ = scans.split(test, seed)
    shares = []
    for scan in tested:
        _, truth = scan.read()
        shares.append([np.mean(truth == label) for label in scans.labels])
    # Everywhere against a share p has a Dice of 2 p / (1 + p); all other labels have 0.
    per_label = (2 * np.array(shares) / (1 + np.array(shares))).mean(axis=0)
    return float(per_label.max() / len(scans.labels))
