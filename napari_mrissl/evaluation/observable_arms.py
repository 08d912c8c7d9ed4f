"""The ablation of the observable tasks as one table, with what needs no training beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.ablation import ARMS, UNTRAINED_DRAWS
from napari_mrissl.pretext.observable.inspection import correlations, untrained_network
from napari_mrissl.pretext.observable.task import Observable
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.training import ablation
from napari_mrissl.training.ablation import Arm, Tell, Train
from napari_mrissl.training.building import settings_for, task_of
from napari_mrissl.training.measuring import Worth, parts, worth
from napari_mrissl.training.settings import DataSettings, RunSettings

SHUFFLED, RAW = "shuffled", "raw_intensity"
UNTRAINED, UNTRAINED_BEST = "untrained", "untrained_best"
_AT_ONCE = 8
_FULL = "routes"


def arms(
    data: DataSettings | Mapping[str, Any] | None, preset: str, changes: Mapping[str, Any]
) -> dict[str, RunSettings]:
    """Settings of all arms: those of the ablation, and the published one on shuffled targets.

    Raises
    ------
    MrisslError
        If a preset, key or value is none.
    """
    chosen: dict[str, Mapping[str, Any]] = dict(ARMS)
    chosen[SHUFFLED] = {**ARMS[_FULL], "shuffled": True}
    return {
        name: settings_for("observable", data, preset, {**changes, **own})
        for name, own in chosen.items()
    }


def compare(
    folder: Path,
    runs: Mapping[str, RunSettings],
    registry: Mapping[str, TaskInfo],
    train: Train,
    *,
    samples: int = 512,
    tell: Tell = lambda text: None,
) -> list[Arm]:
    """Train and measure all arms, then what needs no training; the tables hold all of them.

    Parameters
    ----------
    folder
        New, or of an earlier call with the same arms.
    runs
        See `arms`.
    registry
        The methods there are.
    train
        Trains a run until it is finished or stopped.
    samples
        Held-out samples that each row is measured on, the same for all.
    tell
        Is told what happens.

    Raises
    ------
    Stopped
        If an arm does not reach its last step.
    MrisslError
        If the folder holds other arms, or no subject is held out.
    """
    from napari_mrissl.training.data import cohort

    rows = ablation.ablate(folder, runs, registry, train, samples=samples, tell=tell)
    settings = runs[_FULL]
    held_out = cohort.held_out_subjects(settings)
    tell(f"{UNTRAINED}, {UNTRAINED_BEST} and {RAW}: measured on the same samples")
    task = task_of(settings, registry)
    if not isinstance(task, Observable):
        raise MrisslError(f"method {settings.method}", expected="observable")
    rows += controls(task, held_out, samples, settings.seed)
    ablation.write_tables(folder, rows, ablation.notes_on(runs))
    return rows


def controls(task: Observable, subjects: Subjects, samples: int, seed: int) -> list[Arm]:
    """Networks before their first step, and grey values alone, on what arms are measured on.

    Of several draws of weights there are the mean of each term, and the least of each, which
    is what a network has to be better than.
    """
    fresh = [
        worth(
            task, untrained_network(task.settings, seed, number), subjects, samples, seed, _AT_ONCE
        )
        for number in range(UNTRAINED_DRAWS)
    ]
    wrong = pairs = 0
    for _, part in parts(task, subjects, samples, seed, _AT_ONCE):
        for image, starts, kept in zip(
            *(part.arrays[name] for name in ("image", "starts", "kept")), strict=True
        ):
            found = [chunks.verdicts(one)[0] for one in _alike(task, image, starts)]
            wrong += sum(not right for right, use in zip(found, kept, strict=True) if use)
            pairs += int(kept.sum())
    chance = 1 - chunks.CHANCE
    grey = {"chunk_error": Worth(wrong / pairs, chance)} if pairs else {}
    return [
        Arm(UNTRAINED, 0, _over(np.mean, fresh)),
        Arm(UNTRAINED_BEST, 0, _over(np.min, fresh)),
        Arm(RAW, 0, grey),
    ]


def _over(
    how: Callable[[list[float]], np.floating], measured: Sequence[Mapping[str, Worth]]
) -> dict[str, Worth]:
    return {
        name: Worth(float(how([one[name].value for one in measured])), worth.chance)
        for name, worth in measured[0].items()
    }


def _alike(task: Observable, image: Any, starts: Any) -> list[Any]:
    """(4, 4) correlations of grey values of the chunks of each pair of a sample's views."""
    z, y, x = task.settings.chunk_voxels
    views = len(image)
    pairs = [(i, j) for i in range(views) for j in range(i + 1, views)]
    return [
        correlations(
            [
                image[view, a : a + z, b : b + y, c : c + x]
                for view, (a, b, c) in zip((i, j, i, j), four, strict=True)
            ]
        )
        for (i, j), four in zip(pairs, starts, strict=True)
    ]
