"""The denoiser: its maps, what is frozen, what it is told and what it is not."""

import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.networks.coordinate_network import CoordinateNetwork
from napari_mrissl.networks.denoising_unet import Attention, DenoisingUNet
from napari_mrissl.networks.guided_denoiser import waves
from napari_mrissl.networks.settings import DenoiserShape
from napari_mrissl.pretext.diffusion.network import DiffusionNetwork
from napari_mrissl.pretext.diffusion.settings import DiffusionSettings
from tests.pretext.diffusion.small import SMALL


def _network(**changes):
    torch.manual_seed(0)
    return DiffusionNetwork(DiffusionSettings.model_validate({**SMALL, **changes}))


def _loud(module):
    """Layers that begin by saying nothing would hide what goes through them."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_maps_have_the_channels_and_scales_of_the_shape(depth, attention):
    shape = DenoiserShape(width=8, depth=depth, blocks=1 + depth % 2, attention=attention)
    network = _loud(DenoisingUNet(shape, 3, film=True))
    patch = torch.randn(2, 4, 16, 16, 16)
    found = network(patch, torch.tensor([3, 900]), torch.randn(2, 3))
    assert found.answer.shape == (2, 1, 16, 16, 16)
    sides = [16 >> scale for scale in range(depth)]
    assert [m.shape[1] for m in found.decoder] == list(reversed(shape.channels))
    assert [m.shape[2] for m in found.decoder] == list(reversed(sides))
    assert found.bottleneck.shape == found.decoder[0].shape
    (found.answer.square().mean() + found.bottleneck.mean()).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_an_untrained_denoiser_says_nothing_and_film_changes_nothing():
    network = DenoisingUNet(DenoiserShape(width=8, depth=2, blocks=1), 0, film=True)
    patch, step = torch.randn(1, 1, 16, 16, 16), torch.tensor([5])
    found = network(patch, step, torch.randn(1, 3))
    assert found.answer.abs().max() == 0
    assert torch.equal(found.decoder[-1], network(patch, step).decoder[-1])
    _loud(network)
    moved = network(patch, step, torch.randn(1, 3)).answer
    assert not torch.allclose(moved, network(patch, step, torch.randn(1, 3)).answer)


def test_attention_is_softmax_of_products():
    torch.manual_seed(1)
    layer = _loud(Attention(16)).double()
    maps = torch.randn(2, 16, 2, 3, 2, dtype=torch.float64)
    found = layer(maps)
    tokens = layer.asked(layer.norm(maps).flatten(2).transpose(1, 2))
    expected = torch.empty(2, 12, 16, dtype=torch.float64)
    for sample in range(2):
        for head in range(2):
            own = slice(8 * head, 8 * head + 8)
            query, key, value = (tokens[sample][:, 16 * n :][:, own] for n in range(3))
            shares = torch.softmax(query @ key.T / 8**0.5, dim=1)
            expected[sample][:, own] = shares @ value
    added = layer.found(expected).transpose(1, 2).reshape(maps.shape)
    torch.testing.assert_close(found, maps + added)


def test_time_matters():
    network = _loud(DenoisingUNet(DenoiserShape(width=8, depth=2, blocks=1), 0))
    patch = torch.randn(1, 1, 16, 16, 16)
    first, second = (network(patch, torch.tensor([t])).answer for t in (10, 900))
    assert not torch.allclose(first, second)


def test_coordinates_are_those_of_the_frozen_network():
    network = _network()
    alone = CoordinateNetwork(network.settings.backbone)
    own = {n: t for n, t in network.state_dict().items() if not n.startswith("denoiser.")}
    alone.load_state_dict(own)
    clean = torch.rand(2, 1, 16, 16, 16) * 2 - 1
    where = network.where(clean)
    assert not where.requires_grad
    torch.testing.assert_close(where, 2 * alone.eval().voxels((clean[:, 0] + 1) / 2) - 1)
    assert {n for n, p in network.named_parameters() if p.requires_grad} == {
        n for n, _ in network.named_parameters() if n.startswith("denoiser.")
    }
    network.train()
    assert not network.backbone.training
    assert network.denoiser.training


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_what_is_wanted_is_noise_or_velocity(prediction):
    network = _network(prediction=prediction, joint=0.5).double()
    clean, noise = torch.rand(2, 2, 1, 16, 16, 16, dtype=torch.float64)
    step = torch.tensor([100, 800])
    found = network(clean, noise, step, torch.ones(2, dtype=torch.float64))
    for number, t in enumerate(step.tolist()):
        betas = [1e-4 + (0.02 - 1e-4) * k / 999 for k in range(t + 1)]
        kept = float(torch.tensor([1 - b for b in betas], dtype=torch.float64).prod())
        velocity = kept**0.5 * noise[number] - (1 - kept) ** 0.5 * clean[number]
        expected = noise[number] if prediction == "epsilon" else velocity
        torch.testing.assert_close(found.wanted[number], expected)
    assert found.joint.shape == found.coordinates.shape == (2, 3, 8, 8, 8)


def test_without_coordinates_there_is_no_network_of_them():
    network = _network(coordinates="none")
    assert {n.partition(".")[0] for n, _ in network.named_parameters()} == {"denoiser"}
    assert network.where(torch.zeros(1, 1, 16, 16, 16)) is None
    patch = torch.rand(2, 2, 1, 16, 16, 16)
    found = network(*patch, torch.tensor([1, 2]), torch.ones(2))
    assert found.answer.shape == (2, 1, 16, 16, 16)
    assert network.denoiser.begin.in_channels == 1


def test_waves_tell_a_quarter_and_the_ends_apart():
    where = torch.tensor([-1.0, -0.5, 0.0, 1.0]).reshape(1, 1, 4).expand(1, 3, 4)
    found = waves(where)
    assert found.shape == (1, 24, 4)
    unit = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    for number, frequency in enumerate((0.5, 1.0, 2.0, 4.0)):
        turn = 2 * torch.pi * frequency * unit
        for axis in range(3):
            torch.testing.assert_close(
                found[0, 3 * number + axis].double(), turn.sin(), atol=2e-6, rtol=0
            )
            torch.testing.assert_close(
                found[0, 12 + 3 * number + axis].double(), turn.cos(), atol=2e-6, rtol=0
            )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"patch": {"side": 20}, "denoiser": {"depth": 4}},
            "denoiser, which needs a multiple of 8",
        ),
        ({"patch": {"side": 20}, "backbone": {"depth": 4}}, "coordinates' network"),
        ({"coordinates": "none", "film": True}, "need coordinates"),
        ({"coordinates": "none", "joint": 0.1}, "need coordinates"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        DiffusionSettings.model_validate({**SMALL, **changes})


def test_true_is_read_as_json_on_the_command_line():
    assert DiffusionSettings.model_validate({**SMALL, "coordinates": True}).coordinates == "true"
