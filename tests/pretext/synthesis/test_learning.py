"""Contrastive pretraining learns what labels look like, in maps it has never seen.

Terms on held-out maps are compared with those of features that say nothing; a run on the
label maps of other samples must not beat these. In maps that are soon learned half is even and
half is speckled: which label is which shows whatever the grey values are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.loop import fit
from napari_mrissl.training.measuring import Worth, held_out_worth
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.volumes import Volume
from tests.pretext.vectorpose.scans import Held

SIDE = 16


def _speckled(who: int) -> Scan:
    """A map cut in two by a plane: label 0 on one side, small cubes of 1 in 2 on the other."""
    rng = np.random.default_rng(who)
    places = np.indices((SIDE,) * 3)
    cubes = ((places + rng.integers(4, size=(3, 1, 1, 1))) % 4 < 2).all(axis=0)
    away = np.einsum("i,izyx->zyx", rng.standard_normal(3), places - (SIDE - 1) / 2)
    labels = np.where(away > 0, np.where(cubes, 1, 2), 0).astype(np.uint8)
    volume = Volume.from_stored(labels.T, np.eye(4))
    return Scan(volume, 0.0, 1.0, f"map-{who}", volume.identity, labels)


def _worth(
    folder: Path, settings: RunSettings, train: Subjects, held: Subjects, samples: int
) -> dict[str, float]:
    """By what share the terms of a finished run are below chance."""
    run = Run.create(folder, settings)
    assert fit(run, TASKS, train, None).name == "finished"
    worth = held_out_worth(run, TASKS, held, samples)
    return {name: _below(one) for name, one in worth.items()}


def _below(one: Worth) -> float:
    assert one.below_chance is not None
    return one.below_chance


def _easy(folder: Path, steps: int, *, shuffled: bool) -> dict[str, float]:
    changes = {"steps": steps, "batch": 4, "learning_rate": 1e-2, "samples": 128, "device": "cpu"}
    changes |= {"workers": 0, "shuffled": shuffled, "crop.side": SIDE}
    settings = settings_for("synthesis", None, "tiny", changes)
    train, held = (
        Held([_speckled(who) for who in people]) for people in (range(40), range(100, 120))
    )
    return _worth(folder, settings, train, held, 32)


@pytest.mark.slow
def test_voxels_are_found_again_in_unseen_maps(tmp_path: Path) -> None:
    below = _easy(tmp_path / "run", 100, shuffled=False)
    assert below["misplaced"] > 0.02, below
    assert below["mislabelled"] > 0.1, below


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shuffled", [False, True])
def test_labels_are_told_apart_unless_they_are_those_of_others(
    tmp_path: Path, shuffled: bool
) -> None:
    below = _easy(tmp_path / "run", 400, shuffled=shuffled)
    taps = [share for name, share in below.items() if name.startswith("tap")]
    assert len(taps) == 4
    if shuffled:
        assert max(taps) < 0.01, below
    else:
        assert np.mean(taps) > 0, below
        assert below["misplaced"] > 0.05, below
        assert below["mislabelled"] > 0.3, below
