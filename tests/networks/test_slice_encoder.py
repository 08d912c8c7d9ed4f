"""Frozen features of slices: latents of a tokenizer, hidden states of dynamics."""

import numpy as np
import pytest
import torch
from slice_networks import DYNAMICS, SLICES, dynamics_file, tokenizer_file

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.networks.slice_cards import slice_network
from napari_mrissl.networks.slice_encoder import SliceEncoder
from napari_mrissl.networks.transformer import normed


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.rand((2, 3, 2, 16, 16), generator=generator)


def test_a_tokenizer_gives_its_latents_of_the_last_frame(tmp_path, images):
    encoder = SliceEncoder.open(tokenizer_file(tmp_path))
    assert (encoder.channels, encoder.context) == (SLICES["latent"], 1)
    assert torch.equal(encoder.tokens(images), encoder.backbone.encode(images[:, -1]))


def test_dynamics_give_what_their_answer_is_made_of(tmp_path, images):
    encoder = SliceEncoder.open(dynamics_file(tmp_path))
    assert (encoder.channels, encoder.context) == (DYNAMICS["width"], 3)
    actions = torch.randn((2, 2, 7)) * 0.1
    tokens = encoder.tokens(images, actions)
    assert tokens.shape == (2, 4, 4, DYNAMICS["width"])
    # The last layers turn them into what the network changes in the latents.
    latents = normed(encoder.backbone.encode(images.flatten(0, 1))).unflatten(0, (2, 3))
    told = torch.cat([actions, torch.zeros(2, 1, 7)], dim=1)
    said = []
    encoder.dynamics.out.register_forward_hook(lambda _, given, answer: said.append(answer))
    with torch.no_grad():
        answer = encoder.dynamics(latents, told)
        changed = encoder.dynamics.out(tokens)
    assert answer.shape == latents.shape
    np.testing.assert_allclose(said[0][:, -1].reshape(changed.shape), changed, atol=1e-5)


def test_dynamics_drawn_anew_keep_the_tokenizer(tmp_path, images):
    encoder = SliceEncoder.open(dynamics_file(tmp_path))
    drawn = encoder.with_drawn_dynamics(7)
    image = images[:, -1:]
    assert torch.equal(drawn.backbone.encode(image[:, 0]), encoder.backbone.encode(image[:, 0]))
    assert not torch.allclose(drawn.tokens(image), encoder.tokens(image), atol=1e-2)
    assert torch.equal(drawn.tokens(image), encoder.with_drawn_dynamics(7).tokens(image))
    assert not torch.equal(drawn.tokens(image), encoder.with_drawn_dynamics(8).tokens(image))


def test_context_and_actions_count_and_none_lies_ahead(tmp_path, images):
    encoder = SliceEncoder.open(dynamics_file(tmp_path))
    actions = torch.full((2, 2, 7), 0.3)
    whole = encoder.tokens(images, actions)
    assert not torch.allclose(whole, encoder.tokens(images, -actions), atol=1e-3)
    assert not torch.allclose(whole, encoder.tokens(images[:, -1:]), atol=1e-3)
    # More frames than the context has are left out from the front.
    long = torch.cat([images, images], dim=1)
    behind = torch.cat([actions, actions[:, :1], actions], dim=1)
    cut = encoder.tokens(long[:, 2:], behind[:, 2:])
    assert torch.equal(encoder.tokens(long, behind), cut)
    with pytest.raises(ValueError, match="without the actions"):
        encoder.tokens(images)


def test_a_network_without_actions_is_not_told_any(tmp_path, images):
    encoder = SliceEncoder.open(dynamics_file(tmp_path, task={"actions": "zero"}))
    one, other = (encoder.tokens(images, torch.full((2, 2, 7), x)) for x in (0.3, -0.3))
    assert torch.equal(one, other)


def test_shortcut_forcing_has_features_too(tmp_path, images):
    path = dynamics_file(tmp_path, task={"objective": "shortcut"})
    tokens = SliceEncoder.open(path).tokens(images[:, :1])
    assert torch.isfinite(tokens).all()


def test_other_weights_are_refused(tmp_path):
    state, card = weights.load(tokenizer_file(tmp_path))
    with pytest.raises(MrisslError, match="method masked"):
        SliceEncoder.of(state, {**card, "method": "masked"})
    with pytest.raises(MrisslError, match="how large"):
        SliceEncoder.of(state, {**card, "task": {}})
    larger = {"backbone": {**SLICES, "width": 32}}
    with pytest.raises(MrisslError, match="do not fit"):
        SliceEncoder.of(state, {**card, "task": larger})


def test_drawn_networks_follow_their_seed_and_leave_others_alone(tmp_path):
    _, card = weights.load(tokenizer_file(tmp_path))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (SliceEncoder.drawn(slice_network(card), seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    first = "backbone.patches_in.weight"
    assert torch.equal(one.state_dict()[first], same.state_dict()[first])
    assert not torch.equal(one.state_dict()[first], other.state_dict()[first])
