"""Gaps between views of heads never seen are learned, and chunks that face each other.

Errors on held-out heads are compared with the best constant answer, with the network before
its first step, and with correlated grey values; a run on the places of others shows neither.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.evaluation.observable_arms import RAW, UNTRAINED, controls
from napari_mrissl.pretext.observable.task import Observable
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.building import settings_for, task_of
from napari_mrissl.training.loop import fit
from napari_mrissl.training.measuring import Worth, held_out_worth
from napari_mrissl.training.run import Run
from tests.data import shared_data
from tests.pretext.vectorpose.scans import Held, scan_of

# What trains is traced in other tests.
pytestmark = pytest.mark.untraced
SIDE = 40
EASY = {
    "view.side": 16,
    "view.edge_mm": 14.0,
    "view.body": 0.0,
    "view.jitter": 0.0,
    "scale_mm": 26.0,
    "backbone.depth": 3,
    "chunks": False,
    "vectors": False,
    "routes": False,
    "grad_views": "all",
    "optimisation.learning_rate": 4e-3,
    "warmup": 10,
    "workers": 0,
    "batch": 4,
    "device": "cpu",
}


def _body(who: int) -> Scan:
    """Stripes that turn finer and brighter towards one end of each axis, each person's own."""
    rng = np.random.default_rng(who)
    s, a, r = np.indices((SIDE,) * 3) / SIDE
    grey = 0.15 + 0.6 * s * rng.uniform(0.9, 1.1)
    grey = grey + 0.12 * np.sin(40 * a * (0.3 + a)) + 0.12 * (r > 0.5) * np.cos(60 * r)
    return scan_of((grey + rng.normal(0, 0.01, grey.shape)).clip(0, 1), name=f"person-{who}")


def _easy(folder: Path, steps: int, *, shuffled: bool) -> dict[str, Worth]:
    changes = {**EASY, "steps": steps, "shuffled": shuffled}
    run = Run.create(folder, settings_for("observable", None, "cpu", changes))
    state = fit(run, TASKS, Held([_body(who) for who in range(6)]), None)
    assert (state.name, state.step) == ("finished", steps)
    return held_out_worth(run, TASKS, Held([_body(who) for who in range(100, 103)]), 128)


def test_gaps_between_views_of_unseen_bodies_are_learned(tmp_path: Path) -> None:
    below = _easy(tmp_path / "run", 60, shuffled=False)["gap_mm"].below_chance
    assert below is not None
    assert below > 0.15


def test_nothing_is_learned_from_the_places_of_others(tmp_path: Path) -> None:
    below = _easy(tmp_path / "run", 30, shuffled=True)["gap_mm"].below_chance
    assert below is not None
    assert -0.5 < below < 0.05


def _pretrained(folder: Path, *more: str) -> tuple[Mapping[str, Worth], Mapping[str, Worth]]:
    """What the real command learns of painted heads, and what needs no training."""
    templates = shared_data("label_templates")
    environment = {**os.environ, "MRISSL_DATA_DIR": str(folder.parent / "data")}
    subprocess.run(
        [
            *(sys.executable, "-m", "napari_mrissl.cli", "pretrain", "observable"),
            *("--preset", "cpu", "--data", "heads", "--templates", str(templates)),
            *("--device", "cpu", "--out", str(folder), *more),
        ],
        env=environment,
        check=True,
    )
    from napari_mrissl.training.data import cohort

    run = Run.open(folder)
    held_out = cohort.subjects(run.settings, "validation")
    assert held_out is not None
    task = task_of(run.settings, TASKS)
    assert isinstance(task, Observable)
    nulls = {arm.name: arm.terms for arm in controls(task, held_out, 512, 0)}
    errors = {name: nulls[name]["chunk_error"] for name in (UNTRAINED, RAW)}
    return held_out_worth(run, TASKS, held_out, 512, 0), errors


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_gaps_and_chunks_of_unseen_heads_are_learned_within_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    worth, nulls = _pretrained(tmp_path / "run")
    print(worth, nulls)
    gap, chance = worth["gap_mm"].value, worth["gap_mm"].chance
    assert chance is not None
    assert gap <= 0.7 * chance, f"{gap:.1f} mm, the best constant {chance:.1f} mm"
    for name, null in nulls.items():
        assert worth["chunk_error"].value < null.value - 0.02, name


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
def test_shuffled_places_teach_nothing_of_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    worth, nulls = _pretrained(tmp_path / "run", "--shuffled", "--steps", "600")
    print(worth, nulls)
    below = worth["gap_mm"].below_chance
    assert below is not None
    assert abs(below) <= 0.05, f"{100 * below:.0f} % below the best constant"
    least = min(null.value for null in nulls.values())
    assert worth["chunk_error"].value > least - 0.05
