"""VectorPOSE learns where a crop lies: of bodies and heads that it has never seen.

Errors on held-out subjects are compared with the best constant answer to these subjects; a
run on the targets of other samples must not beat it. In the preset for a CPU half of the crops
are turned (the setting ``turned``), in training, in what is measured, and for the constant
answer alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.loop import fit
from napari_mrissl.training.measuring import Worth, held_out_worth
from napari_mrissl.training.run import Run
from tests.data import shared_data
from tests.pretext.vectorpose.scans import Held, scan_of

# What trains is traced in other tests.
pytestmark = pytest.mark.untraced
SIDE = 40
EASY = {
    "crop.side": 16,
    "crop.edge_mm": 14.0,
    "crop.element": "none",
    "backbone.depth": 3,
    "optimisation.learning_rate": 4e-3,
    "warmup": 10,
    "workers": 0,
    "batch": 8,
    "device": "cpu",
}


def _body(who: int) -> Scan:
    """A smooth body: brighter towards its axis and its top, each person a little different."""
    rng = np.random.default_rng(who)
    s, a, r = np.indices((SIDE,) * 3)
    middle = (SIDE - 1) / 2
    across = ((a - middle) ** 2 + (r - middle) ** 2) / (2 * (0.28 * SIDE) ** 2)
    grey = 0.1 + 0.4 * rng.uniform(0.9, 1.1) * s / SIDE + 0.5 * np.exp(-across)
    return scan_of((grey + rng.normal(0, 0.01, grey.shape)).clip(0, 1), name=f"person-{who}")


def _easy(folder: Path, steps: int, *, shuffled: bool) -> dict[str, Worth]:
    changes = {**EASY, "steps": steps, "shuffled": shuffled}
    run = Run.create(folder, settings_for("vectorpose", None, "cpu", changes))
    state = fit(run, TASKS, Held([_body(who) for who in range(6)]), None)
    assert (state.name, state.step) == ("finished", steps)
    return held_out_worth(run, TASKS, Held([_body(who) for who in range(100, 103)]), 256)


def test_places_of_crops_in_unseen_bodies_are_learned(tmp_path: Path) -> None:
    worth = _easy(tmp_path / "run", 60, shuffled=False)
    below = {name: worth[name].below_chance for name in ("r", "theta", "phi")}
    assert all(share is not None and share > 0.3 for share in below.values()), below


def test_nothing_is_learned_from_the_targets_of_others(tmp_path: Path) -> None:
    worth = _easy(tmp_path / "run", 30, shuffled=True)
    below = {name: worth[name].below_chance for name in ("r", "theta", "phi")}
    assert all(share is not None and -0.5 < share < 0.05 for share in below.values()), below


def _pretrained(folder: Path, *more: str) -> dict[str, Worth]:
    """A run of the real command on painted heads; 10 to 12 are of people held out."""
    templates = shared_data("label_templates")
    environment = {**os.environ, "MRISSL_DATA_DIR": str(folder.parent / "data")}
    subprocess.run(
        [
            *(sys.executable, "-m", "napari_mrissl.cli", "pretrain", "vectorpose"),
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
    assert {held_out.scan(number).subject for number in range(len(held_out))} == {
        "head-10",
        "head-11",
        "head-12",
    }
    return held_out_worth(run, TASKS, held_out, 1024)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_vectors_of_unseen_heads_are_learned_within_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    worth = _pretrained(tmp_path / "run")
    print(worth)
    for name, least in (("r", 0.20), ("theta", 0.20), ("phi", 0.10)):
        below = worth[name].below_chance
        assert below is not None
        assert below >= least, f"{name} is {100 * below:.0f} % below the best constant"


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
def test_shuffled_targets_teach_nothing_of_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    worth = _pretrained(tmp_path / "run", "--shuffled", "--steps", "600")
    print(worth)
    for name in ("r", "theta", "phi"):
        below = worth[name].below_chance
        assert below is not None
        assert abs(below) <= 0.05, f"{name} is {100 * below:.0f} % below the best constant"
