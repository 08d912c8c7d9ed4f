"""Dynamics heed actions: of scans they have never seen, and for each kind of flight by itself.

Errors one step ahead are compared with copying the frame before, and with the same network told
the actions of another flight of the same kind. A run on shuffled actions must do neither well.
Half of the frames of training, and all that are measured, have a new velocity: how an even flight
goes on is told by the slices before, whatever the action.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.flights import Flights, FlownPoses
from napari_mrissl.pretext.navigation.imagination import Imagination
from napari_mrissl.pretext.navigation.rollout import Rollout, measure
from napari_mrissl.pretext.navigation.settings import (
    KINDS,
    DynamicsSettings,
    FlightSettings,
    TokenizerSettings,
)
from napari_mrissl.pretext.navigation.tokenizer import Tokenizer
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.training.run import Run
from tests.data import shared_data
from tests.pretext.navigation.small import Smooth
from tests.pretext.restoring import Alone, batch_of, terms_of

# What trains is traced in other tests.
pytestmark = [pytest.mark.untraced, pytest.mark.timeout(1800)]
SHAPE = TokenizerShape(size=32, patch=8, width=48, depth=2, decoder=1, heads=2, latent=16)
DYNAMICS = DynamicsShape(width=48, depth=2, heads=2, context=8)


def pool_of(task, subjects, count):
    """Many samples at once: training on some of them each time saves the time to make others."""
    parts = [batch_of(task, subjects, step, 8) for step in range(count // 8)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def train(task, network, pool, *, steps, count, rate, shuffled=False):
    """AdamW on samples of a pool, with half a cosine."""
    rng = np.random.default_rng(0)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.from_numpy(rng.choice(len(pool["image"]), count, replace=False))
        batch = {name: tensor[chosen] for name, tensor in pool.items()}
        if "hidden" in batch:
            hidden = [task.draw_hidden(rng) for _ in range(count)]
            batch["hidden"] = torch.from_numpy(np.stack(hidden))
        if shuffled:
            batch["actions"] = batch["actions"].roll(1, 0)
        terms = task.losses(network, batch, Alone())
        loss = sum(t.weight * t.total / t.count for t in terms.values() if t.weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        falling.step()
    return network.eval()


@pytest.fixture(scope="module")
def tokenizer():
    """Trained on smooth scans."""
    task = Tokenizer(TokenizerSettings(backbone=SHAPE, flights=FlightSettings(frames=1)))
    torch.manual_seed(0)
    pool = pool_of(task, Smooth(0, 6), 640)
    return train(task, task.network(), pool, steps=TOKENIZER_STEPS, count=32, rate=3e-3)


TOKENIZER_STEPS, DYNAMICS_STEPS = 500, 500


@pytest.mark.slow
def test_a_tokenizer_fills_in_what_it_never_saw(tokenizer):
    task = Tokenizer(TokenizerSettings(backbone=SHAPE, flights=FlightSettings(frames=1)))
    found = terms_of(task, tokenizer, pool_of(task, Smooth(100, 3), 64))
    chance = task.chance(Smooth(100, 3), 0)
    assert found["hidden"] < 0.7 * chance["hidden"]
    assert found["seen"] < 0.8 * chance["seen"]


def task_of(**flights):
    """The small task, on flights of 4 frames."""
    chosen = FlightSettings(**{"frames": 4, "turns": 0.5, **flights})
    return Dynamics(DynamicsSettings(backbone=SHAPE, dynamics=DYNAMICS, flights=chosen))


@pytest.fixture(scope="module")
def flown(tokenizer):
    """Networks after as many steps on the same flights: with true actions, with others'."""
    pool = pool_of(task_of(), Smooth(0, 6), 480)
    found = {}
    for name in ("true", "shuffled"):
        torch.manual_seed(1)
        network = task_of().network()
        network.backbone.load_state_dict(tokenizer.backbone.state_dict())
        shuffled = name == "shuffled"
        found[name] = train(
            task_of(), network, pool, steps=DYNAMICS_STEPS, count=16, rate=3e-3, shuffled=shuffled
        )
    return found


def worth(network, kind):
    """Of unseen scans: error one step ahead as a share of copying, and with others' actions."""
    task = task_of(**{**dict.fromkeys(KINDS, 0.0), kind: 1.0}, turns=1.0)
    held_out = pool_of(task, Smooth(100, 3), 96)
    true = terms_of(task, network, held_out)
    wrong = terms_of(task, network, {**held_out, "actions": held_out["actions"].roll(1, 0)})
    return true["next"] / true["copied"], wrong["next"] / true["next"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_actions_are_learned_on_smooth_scans(flown, kind):
    below, ratio = worth(flown["true"], kind)
    print(kind, below, ratio)
    assert below < 0.95
    assert ratio > 1.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learned_from_the_actions_of_others(flown, kind):
    """Wrong actions lead to places near enough to be remembered a little; true ones add to that."""
    below, ratio = worth(flown["shuffled"], kind)
    true_below, true_ratio = worth(flown["true"], kind)
    print(kind, below, ratio)
    assert ratio < 1.15
    assert true_ratio > ratio + 0.05
    assert true_below < below - 0.02


def _run(folder: Path, *words: str) -> None:
    environment = {**os.environ, "MRISSL_DATA_DIR": str(folder / "data")}
    subprocess.run(
        [sys.executable, "-m", "napari_mrissl.cli", "pretrain", *words, "--device", "cpu"],
        env=environment,
        check=True,
    )


def _flown(subjects: Subjects, each: int = 24) -> list[FlownPoses]:
    """Flights of all kinds over scans, of 10 frames, each with a velocity of its own."""
    flights = Flights(FlightSettings(frames=10, turns=1.0))
    found = []
    for kind in KINDS:
        for seed in range(each):
            number = seed % len(subjects)
            scan = subjects.scan(number)
            found.append(FlownPoses(scan, number, kind, flights.fly(scan, kind, 10, seed), None))
    return found


def _measured(run: Path) -> dict[str, Rollout]:
    from napari_mrissl.training.data import cohort

    held_out = cohort.subjects(Run.open(run).settings, "validation")
    assert held_out is not None
    return measure(Imagination.open(run), _flown(held_out))


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_actions_are_heeded_in_unseen_heads_for_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preset for a CPU on painted heads, with true and with shuffled actions."""
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    templates = str(shared_data("label_templates"))
    common = ("--preset", "cpu", "--data", "heads", "--templates", templates)
    tokenizer, true, shuffled = (tmp_path / name for name in ("tokenizer", "true", "shuffled"))
    _run(tmp_path, "tokenizer", *common, "--out", str(tokenizer))
    _run(tmp_path, "dynamics", *common, "--init", str(tokenizer), "--out", str(true))
    _run(tmp_path, "dynamics", *common, "--init", str(tokenizer), "--out", str(shuffled),
         "--shuffled")  # fmt: skip
    found, control = _measured(true), _measured(shuffled)
    for kind in KINDS:
        print(kind, found[kind].shuffle_ratio, found[kind].below_copied,
              control[kind].shuffle_ratio, control[kind].below_copied)  # fmt: skip
    for kind in KINDS:
        assert found[kind].shuffle_ratio >= 1.2, kind
        assert found[kind].below_copied <= 0.9, kind
        assert found[kind].next_error < found[kind].remembered_error, kind
        assert control[kind].shuffle_ratio < 1.1, kind
        # What lies a good way off is nearer to a blurred guess than to a copy, even unseen.
        assert control[kind].below_copied > (0.85 if kind == "scroll" else 0.9), kind
