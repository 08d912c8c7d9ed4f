"""Gaps between views of heads never seen are learned, and chunks that face each other.

Errors on held-out heads are compared with the best constant answer, with the network before
its first step, and with correlated grey values; a run on the places of others shows neither.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.evaluation.observable_arms import RAW, UNTRAINED, UNTRAINED_BEST, controls
from napari_mrissl.pretext.observable.chunks import CHANCE
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


_SAMPLING = 0.02
"""Of an error of chunks on 512 samples: about 1,400 pairs have a standard error of 0.012."""
STEPS = 1000
"""A quarter of the preset's, for true and for shuffled places alike."""


def _beats(error: float, nulls: Mapping[str, float]) -> bool:
    """Whether chunks are found more often than by every null and by a guess, beyond sampling.

    The one bar of both runs: what true places have to pass, shuffled ones must not.
    """
    return error < min(*nulls.values(), 1 - CHANCE) - _SAMPLING


@pytest.mark.parametrize(
    ("error", "null", "beats"),
    [
        (0.67, 0.70, True),
        (0.69, 0.70, False),
        # Better than a bad null is not yet better than a guess.
        (0.80, 0.85, False),
        (0.74, 0.90, False),
        (0.72, 0.90, True),
    ],
)
def test_one_bar_parts_learning_from_its_nulls(error: float, null: float, beats: bool) -> None:
    assert _beats(error, {UNTRAINED_BEST: null, RAW: 0.95}) == beats


@dataclass(frozen=True)
class _Pretrained:
    """What the real command learned of painted heads, and what needs no training."""

    worth: Mapping[str, Worth]
    nulls: Mapping[str, float]
    minutes: float


def _pretrained(folder: Path, *more: str) -> _Pretrained:
    templates = shared_data("label_templates")
    environment = {**os.environ, "MRISSL_DATA_DIR": str(folder.parent / "data")}
    before = os.times()
    subprocess.run(
        [
            *(sys.executable, "-m", "napari_mrissl.cli", "pretrain", "observable"),
            *("--preset", "cpu", "--data", "heads", "--templates", str(templates)),
            *("--device", "cpu", "--steps", str(STEPS), "--out", str(folder), *more),
        ],
        env=environment,
        check=True,
    )
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    from napari_mrissl.training.data import cohort

    run = Run.open(folder)
    assert run.state().step == STEPS
    held_out = cohort.subjects(run.settings, "validation")
    assert held_out is not None
    task = task_of(run.settings, TASKS)
    assert isinstance(task, Observable)
    arms = controls(task, held_out, 512, 0)
    nulls = {arm.name: arm.terms["chunk_error"].value for arm in arms}
    assert set(nulls) == {UNTRAINED, UNTRAINED_BEST, RAW}
    found = _Pretrained(held_out_worth(run, TASKS, held_out, 512, 0), nulls, spent / 60)
    print(found)
    return found


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_gaps_and_chunks_of_unseen_heads_are_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    found = _pretrained(tmp_path / "run")
    record_property("minutes_of_cpu", round(found.minutes))
    gap, chance = found.worth["gap_mm"].value, found.worth["gap_mm"].chance
    assert chance is not None
    assert gap <= 0.7 * chance, f"{gap:.1f} mm, the best constant {chance:.1f} mm"
    assert _beats(found.worth["chunk_error"].value, found.nulls)
    # An hour of two cores: time that was spent at work, whatever else the machine does.
    assert found.minutes <= 120


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_shuffled_places_teach_nothing_of_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    found = _pretrained(tmp_path / "run", "--shuffled")
    below = found.worth["gap_mm"].below_chance
    assert below is not None
    # Worse than the constant is no learning either, but far worse would be a fault.
    assert -0.25 < below <= 0.05, f"{100 * below:.0f} % below the best constant"
    assert not _beats(found.worth["chunk_error"].value, found.nulls)
