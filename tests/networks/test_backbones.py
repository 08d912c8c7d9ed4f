"""Backbones: published sizes, MONAI's network as the oracle, maps of every scale."""

import numpy as np
import pytest
import torch
from monai.networks.nets import DynUNet
from monai.networks.nets import MedNeXt as TheirMedNeXt
from torch import nn

from napari_mrissl.networks.backbones import BACKBONES, build
from napari_mrissl.networks.mednext import MedNeXt
from napari_mrissl.networks.normalisation import GhostBatchNorm3d
from napari_mrissl.networks.res2unet import Res2UNet
from napari_mrissl.networks.residual_unet import ResidualUNet
from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.networks.unet import UNetBackbone

SMALL = {
    "residual_unet": lambda: ResidualUNet(8, 3),
    # All kinds of blocks, but few of them.
    "res2unet_101": lambda: Res2UNet(8, (1, 2, 2, 1)),
    "unet": lambda: UNetBackbone(width=8, depth=2),
    "mednext": lambda: MedNeXt(8, 3),
}


def drawn(name):
    torch.manual_seed(0)
    return SMALL[name]()


@pytest.mark.parametrize(("depth", "width"), [(3, 8), (4, 16), (6, 16)])
def test_maps_come_deepest_first_and_end_at_full_resolution(depth, width):
    backbone = ResidualUNet(width, depth)
    side = 2 ** (depth - 1)
    with torch.no_grad():
        maps = backbone(torch.randn(2, 1, side, 2 * side, side))
    assert backbone.stride == side == BackboneSettings(width=width, depth=depth).stride
    for scale, (channels, one) in enumerate(zip(backbone.channels, maps, strict=True)):
        assert one.shape == (2, channels, 2**scale, 2 * 2**scale, 2**scale)
    assert backbone.channels[-1] == width
    assert backbone.channels[0] == min(320, width * 2 ** (depth - 1))


def test_the_residual_unet_is_monais_with_the_same_weights():
    ours = ResidualUNet(8, 4, image_channels=1).eval()
    theirs = DynUNet(
        3,
        in_channels=1,
        out_channels=1,
        kernel_size=[3] * 4,
        strides=[1, 2, 2, 2],
        upsample_kernel_size=[2, 2, 2],
        filters=[8, 16, 32, 64],
        norm_name=("group", {"num_groups": 8}),
        res_block=True,
    ).eval()
    blocks = [theirs.input_block, *theirs.downsamples, theirs.bottleneck]
    for mine, other in zip(ours.down, blocks, strict=True):
        other.load_state_dict(mine.state_dict())
    for mine, other in zip(ours.up, theirs.upsamples, strict=True):
        other.load_state_dict(mine.state_dict())
    image = torch.randn(1, 1, 16, 16, 24)
    with torch.no_grad():
        expected = theirs.skip_layers(image)
        torch.testing.assert_close(ours(image)[-1], expected)


def test_mednext_is_monais_without_its_last_layer():
    torch.manual_seed(0)
    theirs = TheirMedNeXt(
        init_filters=8, kernel_size=3, use_residual_connection=True, out_channels=3,
        blocks_down=(2, 2), blocks_up=(2, 2),
    ).eval()  # fmt: skip
    ours = MedNeXt(8, 3)
    ours.stem.load_state_dict(theirs.stem.state_dict())
    for mine, other in (
        (ours.stages, theirs.enc_stages),
        (ours.down, theirs.down_blocks),
        (ours.deep, theirs.bottleneck),
        (ours.up, theirs.up_blocks),
        (ours.rising, theirs.dec_stages),
    ):
        mine.load_state_dict(other.state_dict())
    image = torch.randn(2, 1, 16, 8, 16)
    with torch.no_grad():
        maps = ours(image)
        torch.testing.assert_close(theirs.out_0(maps[-1]), theirs(image))
        torch.testing.assert_close(ours.deepest(image, 2)[1], maps[1])
    assert [one.shape[1] for one in maps] == list(ours.channels) == [32, 16, 8]
    settings = BackboneSettings(name="mednext", width=8, depth=3)
    assert ours.stride == settings.stride == 4
    assert settings.least_side == 8


@pytest.mark.parametrize("name", BACKBONES)
def test_results_do_not_depend_on_other_groups_of_the_batch(name):
    backbone = drawn(name)
    image = torch.randn(4, 1, 32, 32, 32)
    with torch.no_grad():
        together = backbone(image)
        apart = [backbone(part) for part in image.split(2)]
    for one, parts in zip(together, zip(*apart, strict=True), strict=True):
        torch.testing.assert_close(one, torch.cat(parts), rtol=1e-3, atol=1e-4)


# That one process and two come to the same weights is tried with the other one in any case.
@pytest.mark.parametrize(
    "name",
    [
        name if name == "res2unet_101" else pytest.param(name, marks=pytest.mark.slow)
        for name in BACKBONES
    ],
)
def test_gradients_of_a_batch_are_the_sum_of_those_of_its_groups(name):
    """A step; over many steps so deep a network with batch statistics multiplies rounding."""
    network = drawn(name).double()
    image = torch.randn(4, 1, 32, 32, 32, dtype=torch.float64)
    gradients = []
    for parts in ([image], image.split(2)):
        network.zero_grad()
        for part in parts:
            network(part)[-1].square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    largest = max(float(gradient.abs().max()) for gradient in gradients[0])
    for together, apart in zip(*gradients, strict=True):
        assert float((together - apart).abs().max()) < 1e-10 * largest


@pytest.mark.parametrize("name", BACKBONES)
def test_every_parameter_gets_a_gradient_and_no_operation_is_random(name):
    backbone = drawn(name)
    # The plain U-Net mirrors its deepest map, which takes two voxels.
    side = backbone.stride * (2 if name == "unet" else 1)
    image = torch.randn(2, 1, side, side, 2 * backbone.stride)
    gradients = []
    for _ in range(2):
        backbone.zero_grad()
        sum(one.square().mean() for one in backbone(image)).backward()
        gradients.append([parameter.grad.clone() for parameter in backbone.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(gradient.isfinite().all() for gradient in gradients[0])
    assert sum(bool(gradient.any()) for gradient in gradients[0]) == len(gradients[0])


def test_no_layer_lacks_a_deterministic_backward_on_cuda():
    pooling = nn.modules.pooling
    forbidden = (
        pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._AdaptiveAvgPoolNd, nn.Upsample
    )  # fmt: skip
    for name in BACKBONES:
        backbone = build(BackboneSettings(name=name, width=8, depth=3))
        assert not [type(m) for m in backbone.modules() if isinstance(m, forbidden)]


def test_the_res2unet_has_the_published_size():
    with torch.device("meta"):
        network = Res2UNet()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == pytest.approx(67.8e6, rel=0.005)
    assert network.channels == (2048, 256, 128, 64, 64, 32)
    assert sum(network.channels[:3]) == 2432
    convolutions = [m for m in network.stages.modules() if isinstance(m, nn.Conv3d)]
    # 33 blocks of 1 + 3 + 1, and a projection in the first of each of four stages.
    assert len(convolutions) == 33 * 5 + 4


def test_the_res2unet_gives_six_scales_and_learns_running_statistics():
    backbone = build(BackboneSettings(name="res2unet_101", width=8))
    image = torch.randn(2, 1, 32, 64, 32)
    with torch.no_grad():
        maps = backbone(image)
    assert backbone.stride == 32
    for scale, (channels, one) in enumerate(zip(backbone.channels, maps, strict=True)):
        assert one.shape == (2, channels, 2**scale, 2 * 2**scale, 2**scale)
    layer = next(m for m in backbone.modules() if isinstance(m, GhostBatchNorm3d))
    assert np.abs(layer.running_mean.numpy()).max() > 0


def test_without_its_decoder_the_res2unet_is_a_res2net():
    """Each split is convolved with what the one before gave, but not in a stage's first block."""
    from napari_mrissl.networks.res2unet import _Block

    block = _Block(64, 16, 1, first=False).eval()
    width = 16 * 26 // 64
    x = torch.randn(1, 64, 4, 4, 4)
    with torch.no_grad():
        parts = torch.split(block.into(x), width, dim=1)
        one = block.splits[0](parts[0])
        two = block.splits[1](parts[1] + one)
        three = block.splits[2](parts[2] + two)
        joined = block.out_of(torch.cat([one, two, three, parts[3]], dim=1))
        torch.testing.assert_close(block(x), torch.relu(joined + x))
