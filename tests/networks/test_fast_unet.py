"""The fast pass gives what the plain network gives: all sizes, chunks, layers; in order."""

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.fast_unet import FastUNet
from napari_mrissl.networks.inference_plan import InferencePlan, mirror
from napari_mrissl.networks.unet import UNet3d
from napari_mrissl.networks.unet_layout import TAPS, UNetSize, halvings_at


def trained(width=4, depth=2, out_channels=5, seed=0):
    """A network in float64 whose normalisations do something, as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet3d(1, out_channels, width, depth).double().eval().requires_grad_(False)
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith(("running_mean", ".bias")):
                tensor.normal_(0, 0.4)
            elif tensor.ndim == 1:
                tensor.normal_(1, 0.4)  # some negative: a gain must not slip behind the ReLU
    return network


def an_image(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gathered(fast, image, check=None):
    """The whole result, (C, Z, Y, X), and the numbers of first planes."""
    parts, firsts = [], []

    def write(first, planes):
        firsts.append(first)
        parts.append(planes.clone())

    fast.run(image, write, check)
    return torch.cat(parts).permute(3, 0, 1, 2), firsts


@pytest.mark.parametrize("chunk", [1, 20_000, 1 << 30])
@pytest.mark.parametrize(
    ("depth", "shape"), [(2, (8, 12, 20)), (2, (36, 8, 8)), (3, (16, 24, 16)), (1, (26, 4, 6))]
)
def test_features_are_those_of_the_plain_network(depth, shape, chunk):
    network = trained(depth=depth)
    fast = FastUNet(network, dtype=torch.float64)
    fast.chunk_bytes = chunk
    image = an_image(shape)
    found, firsts = gathered(fast, image)
    torch.testing.assert_close(found, network(image[None, None])[0], rtol=1e-9, atol=1e-9)
    assert firsts[0] == 0
    assert (len(firsts) == 1) if chunk == 1 << 30 else (chunk > 1 or len(firsts) > 1)


@pytest.mark.parametrize("chunk", [1, 1 << 30])
def test_layers_are_those_of_the_plain_network(chunk):
    network = trained(width=2, depth=4)
    image = an_image((32, 48, 32))
    _, expected = network.forward_taps(image[None, None], TAPS)
    for number, one in zip(TAPS, expected, strict=True):
        fast = FastUNet(network, number, dtype=torch.float64)
        fast.chunk_bytes = chunk
        found, _ = gathered(fast, image)
        torch.testing.assert_close(found, one[0], rtol=1e-9, atol=1e-9)
        assert fast.plan.level == halvings_at(number)
        assert fast.plan.channels == len(found)


def test_float32_agrees_to_a_thousandth_at_published_size():
    network = trained(16, 4, 16)
    image = an_image((32, 32, 48)).float()
    found, _ = gathered(FastUNet(network), image)
    expected = network(image.double()[None, None])[0]
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < 1e-3 * float(expected.std())


def test_volumes_one_after_another_do_not_see_each_other():
    network = trained()
    fast = FastUNet(network, dtype=torch.float64)
    for seed, shape in enumerate([(16, 16, 24), (8, 12, 8), (16, 16, 24)]):
        image = an_image(shape, seed)
        found, _ = gathered(fast, image)
        torch.testing.assert_close(found, network(image[None, None])[0], rtol=1e-9, atol=1e-9)
    assert fast.kept_bytes > 0
    fast.release()
    assert fast.kept_bytes == 0


def test_progress_rises_to_one_by_work_done():
    for tap in (None, 13, 17, 24):
        fast = FastUNet(trained(), tap, dtype=torch.float64)
        fast.chunk_bytes = 1
        parts = []
        gathered(fast, an_image((24, 16, 16)), parts.append)
        assert len(parts) > 5
        assert parts == sorted(parts)
        assert parts[-1] == pytest.approx(1, abs=1e-9)


def test_what_the_check_raises_ends_the_pass():
    class Enough(Exception):
        pass

    written = []

    def check(part):
        if part > 0.5:
            raise Enough

    fast = FastUNet(trained(), dtype=torch.float64)
    with pytest.raises(Enough):
        fast.run(an_image((24, 16, 16)), lambda first, planes: written.append(first), check)
    image = an_image((24, 16, 16), 3)
    expected = trained()(image[None, None])[0]
    torch.testing.assert_close(gathered(fast, image)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(8, 8, 4), (8, 9, 8), (4, 8, 8), (8, 8)])
def test_sides_that_do_not_suit_are_refused(shape):
    with pytest.raises(MrisslError, match="multiples of 4"):
        gathered(FastUNet(trained()), torch.zeros(shape))


def test_other_layers_and_other_networks_are_refused():
    with pytest.raises(MrisslError, match="expected one of 13, 17, 24, 37"):
        FastUNet(trained(), 10)
    network = trained()
    network.model[1] = torch.nn.InstanceNorm3d(4)
    with pytest.raises(MrisslError, match="InstanceNorm3d"):
        FastUNet(network)


def test_the_published_network_costs_what_it_should():
    plan = InferencePlan(UNetSize())
    # 82,728 multiply-adds a voxel, of which the upsampled halves are 25,920 on the fine grid.
    assert plan.multiply_adds((128, 128, 128)) == 128**3 * (82_728 - 25_920 * 152 / 216)
    assert plan.multiply_adds((128, 128, 120)) == plan.multiply_adds((128, 128, 128))
    parts = [InferencePlan(UNetSize(), tap).multiply_adds((32, 32, 32)) for tap in TAPS]
    assert parts == sorted(parts)


def test_padding_is_to_multiples_and_to_two_of_them():
    plan = InferencePlan(UNetSize())
    assert plan.padded((1, 33, 128)) == (32, 48, 128)
    for length, padded in ((1, 32), (5, 32), (33, 48), (32, 32)):
        indices, start = mirror(length, padded)
        assert len(indices) == padded
        assert indices[start : start + length].tolist() == list(range(length))
        steps = np.abs(np.diff(indices))
        assert steps.max() <= 1
        assert length == 1 or steps.min() == 1, "a mirror does not repeat its edge"


def test_memory_is_what_the_buffers_take():
    network = trained(8, 3, 8)
    plan = InferencePlan(UNetSize(1, 8, 8, 3))
    for shape in ((64, 64, 64), (32, 96, 64)):
        fast = FastUNet(network)
        gathered(fast, an_image(shape).float())
        assert fast.kept_bytes < plan.memory(shape) < 8 * fast.kept_bytes


def test_windows_cover_everything_and_shrink_with_the_memory():
    plan = InferencePlan(UNetSize())
    shape = (200, 96, 150)
    sides = [plan.window_side(shape, gib << 30) for gib in (64, 0)]
    assert sides[0] >= 208 > sides[1]
    for side in (64, 96, 208):
        for starts, whole in zip(plan.windows(shape, side), plan.padded(shape), strict=True):
            extent = min(side, whole)
            assert starts[0] == 0
            assert starts[-1] + extent == whole
            assert all(start % 16 == 0 for start in starts)
            gaps = np.diff(starts)
            assert gaps.size == 0 or gaps.max() < extent, "windows overlap"
    assert [len(starts) for starts in plan.windows(shape, 208)] == [1, 1, 1]
