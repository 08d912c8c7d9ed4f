"""The task ``dynamics``: what is frozen, terms, chance and controls."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.networks.slice_dynamics import FINEST
from napari_mrissl.networks.slice_memory import remembered
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.settings import DynamicsSettings
from napari_mrissl.pretext.task import SampleKey
from tests.pretext.navigation.small import Smooth, dynamics_settings
from tests.pretext.restoring import Alone, batch_of, terms_of


def made(settings=None, **changes):
    """A task and its network, which does not merely copy any more."""
    chosen = (settings or dynamics_settings()).model_copy(update=changes)
    task = Dynamics(chosen)
    torch.manual_seed(0)
    network = task.network()
    torch.nn.init.normal_(network.dynamics.out[1].weight, std=0.1)
    return task, network


def test_terms_are_errors_of_layer_normed_latents():
    task, network = made(rollout=3)
    batch = batch_of(task, Smooth(), 0, 2)
    found = terms_of(task, network, batch)
    with torch.no_grad():
        raw = network.backbone.encode(batch["image"].flatten(0, 1)).double()
        true = (raw - raw.mean(-1, keepdim=True)) / (
            raw.var(-1, correction=0, keepdim=True) + 1e-5
        ).sqrt()
        true = true.unflatten(0, (2, 4)).float()
        ahead = [network.dynamics(true[:, :n], batch["actions"][:, :n])[:, -1] for n in (1, 2, 3)]
        # A rollout by full passes over a flight that grows.
        flight = true[:, :1]
        for n in (1, 2, 3):
            newest = network.dynamics(flight, batch["actions"][:, :n])[:, -1:]
            flight = torch.cat([flight, newest], 1)
    expected = np.mean([float((a - true[:, n + 1]).abs().mean()) for n, a in enumerate(ahead)])
    assert found["next"] == pytest.approx(expected, rel=1e-4)
    rolled = float((flight[:, 2:] - true[:, 2:]).abs().mean())
    assert found["rollout"] == pytest.approx(rolled, rel=1e-4)
    assert found["copied"] == pytest.approx(float(true.diff(dim=1).abs().mean()), rel=1e-4)
    squared = terms_of(*made(rollout=3, objective="mse"), batch)
    expected = np.mean([float((a - true[:, n + 1]).square().mean()) for n, a in enumerate(ahead)])
    assert squared["next"] == pytest.approx(expected, rel=1e-4)


def test_the_tokenizer_is_frozen_and_named_as_the_backbone():
    task, network = made()
    before = {name: tensor.clone() for name, tensor in network.backbone.state_dict().items()}
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.1)
    terms = task.losses(network, batch_of(task, Smooth(), 0, 2), Alone())
    sum(term.weight * term.total for term in terms.values()).backward()
    optimizer.step()
    assert all(torch.equal(before[n], t) for n, t in network.backbone.state_dict().items())
    assert all(p.grad is None for p in network.backbone.parameters())
    assert all(p.grad is not None for p in network.dynamics.parameters())
    assert set(dict(network.named_children())) == {"backbone", "dynamics"}


def test_zeroed_actions_are_not_heeded_and_true_ones_are():
    task, network = made()
    batch = batch_of(task, Smooth(), 0, 2)
    other = {**batch, "actions": batch["actions"].flip(0)}
    assert terms_of(task, network, batch)["next"] != terms_of(task, network, other)["next"]
    task, network = made(actions="zero")
    assert terms_of(task, network, batch) == terms_of(task, network, other)


def test_the_words_of_the_command_line():
    assert DynamicsSettings(actions=True).actions == "true"
    with pytest.raises(ValidationError, match="context"):
        dynamics_settings(frames=12)
    with pytest.raises(ValidationError, match="rollout"):
        DynamicsSettings(rollout=8)


def test_chance_is_copying_a_straight_line_or_what_is_remembered():
    task, network = made()
    chance = task.chance_with(network, Smooth(), 0)
    assert task.chance(Smooth(), 0) == {}
    copied, straight, known, far = [], [], [], []
    for number in range(64):
        key = SampleKey(0, -1, number)
        arrays = task.sample(Smooth(), key).arrays
        batch = {name: torch.from_numpy(array)[None] for name, array in arrays.items()}
        true = network.latents(task.prepare(batch, [key])["image"])[0]
        copied.append(float((true[1:] - true[:-1]).abs().mean()))
        led = [true[0], 2 * true[1] - true[0], 2 * true[2] - true[1]]
        straight.append(float((true[1:] - torch.stack(led)).abs().mean()))
        recalled = remembered(true[None, :-1], batch["actions"])[0]
        known.append(float((true[1:] - recalled).abs().mean()))
        far.append(float((true[2] - true[0]).abs().mean()))
    assert chance["copied"] == pytest.approx(np.mean(copied), rel=1e-3)
    assert chance["next"] == pytest.approx(
        min(np.mean(one) for one in (copied, straight, known)), rel=1e-3
    )
    assert chance["rollout"] == pytest.approx(np.mean(far), rel=1e-3)


def test_shortcut_forcing_trains_both_kinds_of_steps():
    task, network = made(dynamics_settings("shortcut"))
    batch = batch_of(task, Smooth(), 0, 16)
    size, level = batch["size"], batch["level"]
    assert (size >= 0).all()
    assert (level % 2**size == 0).all()
    assert (level + 2**size <= FINEST).all()
    assert 0.05 < float((size > 0).double().mean()) < 0.5
    terms = task.losses(network, batch, Alone())
    assert set(terms) == {"finest", "rough"}
    sum(term.total / term.count for term in terms.values()).backward()
    assert all(p.grad is not None for p in network.dynamics.parameters())
    # An answer that is right has no error in finest steps, whatever the draft.
    found = network(
        batch["image"], batch["actions"],
        noise_of(batch),
    )  # fmt: skip
    part = (level / FINEST)[..., None, None, None]
    mixed = (1 - part) * batch["noise"] + part * found.latents[:, 1:]
    assert torch.allclose(found.draft.latents, mixed.float(), atol=1e-5)


def noise_of(batch):
    from napari_mrissl.pretext.navigation.dynamics_network import Noise

    return Noise(batch["noise"], batch["level"], batch["size"])


def test_shortcut_forcing_lets_half_steps_agree_with_whole_ones():
    """A network whose velocities are all the same has nothing to learn from half steps."""
    task, network = made(dynamics_settings("shortcut"))
    batch = batch_of(task, Smooth(), 0, 4)

    def straight(latents, actions, draft):
        # The clean end of a straight way with velocity 3 from the draft.
        part = (draft.level / FINEST)[..., None, None, None]
        return draft.latents + 3 * (1 - part)

    network.dynamics.forward = straight
    terms = task.losses(network, batch, Alone())
    assert float(terms["rough"].total) < 1e-8
    assert float(terms["finest"].total) > 1


def test_imagined_frames_of_shortcut_forcing_are_the_same_each_time():
    task, network = made(dynamics_settings("shortcut"))
    batch = batch_of(task, Smooth(), 0, 2)
    latents = network.latents(batch["image"])
    first, past = network.imagine(latents[:, :2], batch["actions"][:, :2])
    again, _ = network.imagine(latents[:, :2], batch["actions"][:, :2])
    assert torch.equal(first, again)
    assert past.frames == 2
    assert first.mean(-1).abs().max() < 1e-5


def test_pictures_are_flights_true_and_imagined():
    task, network = made()
    batch = batch_of(task, Smooth(), 0, 2)
    shown = task.show(network.eval(), batch)[0]
    assert shown.tiles.shape == (16, 32, 32)
    assert shown.captions[:5] == ("true 0", "true 1", "true 2", "true 3", "imagined 0")
    assert np.allclose(shown.tiles[:4], batch["frames"][0].numpy())
