"""Contrastive pretraining learns labels of shapes it has never seen, painted as never before.

Terms on held-out shapes are compared with those of features that say nothing; a run on the
label maps of other samples must not beat these.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.data import cohort
from napari_mrissl.training.loop import fit
from napari_mrissl.training.measuring import Worth, held_out_worth
from napari_mrissl.training.run import Run


def _trained(folder: Path, preset: str, samples: int, **changes: object) -> dict[str, Worth]:
    settings = settings_for(
        "synthesis",
        {"kind": "ensembles"},
        preset,
        {"device": "cpu", "workers": 0, "validate_every": 0, "images_every": 0, **changes},
    )
    train, held = (cohort.subjects(settings, part) for part in ("train", "validation"))
    assert train is not None
    assert held is not None
    run = Run.create(folder, settings)
    assert fit(run, TASKS, train, None).name == "finished"
    return held_out_worth(run, TASKS, held, samples)


def _below(worth: dict[str, Worth]) -> dict[str, float]:
    found = {name: one.below_chance for name, one in worth.items()}
    assert None not in found.values()
    return {name: share for name, share in found.items() if share is not None}


def test_labels_of_unseen_shapes_are_told_apart(tmp_path: Path) -> None:
    below = _below(_trained(tmp_path / "run", "tiny", 32))
    assert all(share > 0.02 for name, share in below.items() if name.startswith("tap")), below
    assert below["misplaced"] > 0.01, below


def test_nothing_is_learned_from_the_labels_of_others(tmp_path: Path) -> None:
    below = _below(_trained(tmp_path / "run", "tiny", 32, shuffled=True))
    assert all(share < 0.02 for name, share in below.items() if name.startswith("tap")), below


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_the_preset_for_a_cpu_learns_at_every_scale(tmp_path: Path) -> None:
    below = _below(_trained(tmp_path / "run", "cpu", 64, steps=1500))
    print(below)
    assert all(share > 0.05 for name, share in below.items() if name.startswith("tap")), below
