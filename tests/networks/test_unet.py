"""The plain U-Net against a functional reference written from the published layout alone."""

import pytest
import torch
from torch.nn import functional

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import UNet3d
from napari_mrissl.networks.normalisation import running_statistics
from napari_mrissl.networks.unet import TAPS, UNetBackbone, UNetSize, taps
from napari_mrissl.networks.unet_layout import halvings_at, size_of

# Number of a convolution: its channels after and before.
CONVOLUTIONS = {
    0: (16, 1), 3: (16, 16), 6: (16, 16), 10: (32, 16), 13: (32, 32), 17: (64, 32), 20: (64, 64),
    24: (128, 64), 27: (128, 128), 31: (256, 128), 34: (256, 256), 38: (128, 384),
    41: (128, 128), 45: (64, 192), 48: (64, 64), 52: (32, 96), 55: (32, 32), 59: (16, 48),
    62: (16, 16), 65: (16, 16),
}  # fmt: skip
NORMALISATION = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


WIDTH, NARROW = 16, 4


def published_shapes(width=WIDTH):
    """Of the published network, or of one whose layers are all narrower."""
    shapes = {}
    for number, channels in CONVOLUTIONS.items():
        after, before = (count if count == 1 else count * width // WIDTH for count in channels)
        shapes[f"model.{number}.weight"] = (after, before, 3, 3, 3)
        if number != 65:
            for name in NORMALISATION:
                counted = name == "num_batches_tracked"
                shapes[f"model.{number + 1}.{name}"] = () if counted else (after,)
    return shapes


def random_state(width, dtype=torch.float64, seed=0):
    """Weights that keep signals alive, with running statistics far from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in published_shapes(width).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif len(shape) == 5:
            scale = (2 / (27 * shape[1])) ** 0.5
            state[name] = scale * torch.randn(shape, generator=generator, dtype=dtype)
        elif name.endswith("running_var"):
            state[name] = 0.5 + torch.rand(shape, generator=generator, dtype=dtype)
        else:
            middle = 1.0 if name.endswith(".weight") else 0.0
            state[name] = middle + 0.3 * torch.randn(shape, generator=generator, dtype=dtype)
    return state


def reference(state, image, *, borders="reflect", skip_first=True, training=False):
    """Features and results of all convolutions, by functions of torch only."""
    found = {}

    def convolved(number, x):
        padded = functional.pad(x, (1,) * 6, mode=borders)
        found[number] = functional.conv3d(padded, state[f"model.{number}.weight"])
        return found[number]

    def block(number, x):
        x = convolved(number, x)
        weight, bias, mean, variance = (
            state[f"model.{number + 1}.{n}"].clone() for n in NORMALISATION[:4]
        )
        return functional.relu(
            functional.batch_norm(x, mean, variance, weight, bias, training, eps=1e-5)
        )

    x = block(0, image)
    skips = []
    for first in (3, 10, 17, 24):
        x = block(first + 3, block(first, x))
        skips.append(x)
        x = functional.max_pool3d(x, 2)
    x = block(34, block(31, x))
    for first in (38, 45, 52, 59):
        x = functional.interpolate(x, scale_factor=2, mode="nearest")
        skip = skips.pop()
        x = torch.cat((skip, x) if skip_first else (x, skip), dim=1)
        x = block(first + 3, block(first, x))
    return convolved(65, x), found


def network_of(state, width):
    network = UNet3d(out_channels=width, width=width).to(state["model.0.weight"].dtype)
    network.load_state_dict(state, strict=True)
    return network.eval()


@pytest.fixture(scope="module")
def loaded():
    """A narrow network with random weights, those weights, an image, the reference's results."""
    state = random_state(NARROW)
    image = torch.rand(1, 1, 32, 32, 48, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        return network_of(state, NARROW), state, image, reference(state, image)


def test_names_shapes_and_size_are_the_published_ones():
    network = UNet3d()
    found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert list(found.items()) == list(published_shapes().items())
    assert len(found) == 115
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_899_344
    assert TAPS == taps() == (27, 31, 38, 45, 52, 65)


def test_the_published_network_gives_the_features_of_the_reference():
    state = random_state(WIDTH, torch.float32)
    image = torch.rand(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, _ = reference(state, image)
        found = network_of(state, WIDTH)(image)
    assert float((found - expected).abs().max()) < 1e-4 * float(expected.abs().max())


def test_features_and_taps_are_those_of_the_reference(loaded):
    network, _, image, (expected, of_convolutions) = loaded
    with torch.no_grad():
        torch.testing.assert_close(network(image), expected, rtol=1e-9, atol=1e-9)
        found, tapped = network.forward_taps(image)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for number, one in zip(TAPS, tapped, strict=True):
        torch.testing.assert_close(one, of_convolutions[number], rtol=1e-9, atol=1e-9)
        side = 2 ** halvings_at(number)
        assert one.shape[1:] == (CONVOLUTIONS[number][0] // 4, 32 // side, 32 // side, 48 // side)


def test_all_convolutions_can_be_tapped(loaded):
    network, _, image, (_, of_convolutions) = loaded
    with torch.no_grad():
        _, tapped = network.forward_taps(image, list(CONVOLUTIONS))
    for number, one in zip(CONVOLUTIONS, tapped, strict=True):
        torch.testing.assert_close(one, of_convolutions[number], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("other", [{"borders": "constant"}, {"skip_first": False}])
def test_the_likely_mistakes_give_other_features(loaded, other):
    """Names and shapes cannot tell zero borders, or the skip behind, from the published network."""
    network, state, image, (expected, _) = loaded
    with torch.no_grad():
        wrong, _ = reference(state, image, **other)
        assert float((network(image) - wrong).norm() / expected.norm()) > 0.05


def test_with_gradients_the_features_are_the_same(loaded):
    network, _, image, (expected, _) = loaded
    torch.testing.assert_close(network(image), expected, rtol=1e-9, atol=1e-9)


def test_training_on_one_pair_is_torchs_batch_normalisation(loaded):
    _, state, _, _ = loaded
    network = network_of(state, NARROW).train()
    image = torch.rand(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(2)).double()
    # The maps of these weights are alive enough for the gradients of all of them to be compared.
    names = [name for name, _ in network.named_parameters()]
    trained = {n: state[n].clone().requires_grad_() if n in names else state[n] for n in state}
    expected, _ = reference(trained, image, training=True)
    found = network(image)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    found.square().mean().backward()
    expected.square().mean().backward()
    for name, parameter in network.named_parameters():
        largest = float(trained[name].grad.abs().max())
        worst = float((parameter.grad - trained[name].grad).abs().max())
        assert worst <= 1e-6 * largest, name
    assert int(network.model[1].num_batches_tracked) == 8
    assert len(running_statistics(network)) == 2 * 19


def test_weights_are_drawn_as_published():
    torch.manual_seed(0)
    network = UNet3d()
    for number, (_, before) in CONVOLUTIONS.items():
        weight = network.model[number].weight.detach()
        assert float(weight.std()) == pytest.approx((2 / (27 * before)) ** 0.5, rel=0.1)
        if number != 65:
            scale = network.model[number + 1].weight.detach()
            assert 0 < float(scale.std()) < 0.04
            assert float(scale.mean()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1, 16, 32, 32), (1, 1, 32, 40, 32), (1, 32, 32, 32)])
def test_sides_that_do_not_suit_are_refused_in_one_sentence(shape):
    with pytest.raises(MrisslError, match="each a multiple of 16 and at least 32") as told:
        UNet3d(width=2)(torch.zeros(shape))
    assert str(told.value).count("\n") == 0


@pytest.mark.parametrize("layers", [(26,), (31, 27), (27, 27), (66,)])
def test_only_convolutions_can_be_tapped(layers):
    network = UNet3d(width=2, depth=3)
    with pytest.raises(MrisslError, match="ascending numbers of convolutions: 0, 3, 6, 10"):
        network.forward_taps(torch.zeros(1, 1, 16, 16, 16), layers)


@pytest.mark.parametrize(
    ("depth", "expected"), [(2, (13, 17, 24, 37)), (3, (20, 24, 31, 38, 51)), (4, TAPS)]
)
def test_taps_of_other_depths_are_the_same_places(depth, expected):
    assert taps(depth) == expected
    image = torch.zeros(2, 1, *(2 * 2**depth,) * 3)
    _, tapped = UNet3d(width=2, depth=depth).forward_taps(image)
    halvings = [halvings_at(number, depth) for number in expected]
    assert halvings == [depth - 1, depth, *reversed(range(1, depth)), 0]
    for one, halved in zip(tapped, halvings, strict=True):
        assert one.shape[2] == 2 * 2**depth // 2**halved


@pytest.mark.parametrize(
    "size", [UNetSize(1, 16, 8, 5), UNetSize(2, 5, 6, 3), UNetSize(1, 16, 8, 1)]
)
def test_sizes_are_found_from_shapes_without_torch(size):
    network = UNet3d(size.in_channels, size.out_channels, size.width, size.depth)
    assert size.shapes() == {n: tuple(t.shape) for n, t in network.state_dict().items()}
    assert size_of(size.shapes()) == size


def test_the_backbone_has_the_same_weights_and_all_scales():
    torch.manual_seed(0)
    backbone = UNetBackbone(width=8, depth=3).eval()
    network = UNet3d(width=8, depth=3).eval()
    network.load_state_dict(backbone.state_dict(), strict=True)
    image = torch.rand(1, 1, 16, 16, 24)
    with torch.no_grad():
        maps = backbone(image)
        deepest = backbone.deepest(image, 2)
        torch.testing.assert_close(maps[-1], network(image))
    assert backbone.channels == (64, 32, 16, 16)
    for scale, (channels, one) in enumerate(zip(backbone.channels, maps, strict=True)):
        assert one.shape == (1, channels, 2 * 2**scale, 2 * 2**scale, 3 * 2**scale)
    assert len(deepest) == 2
    torch.testing.assert_close(deepest[1], maps[1])
