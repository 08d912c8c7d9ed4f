"""Heads on the maps of a backbone."""

import torch
from torch import nn

from napari_mrissl.networks.backbones import build
from napari_mrissl.networks.heads import ImageHead, ImageNetwork, VectorHead
from napari_mrissl.networks.settings import BackboneSettings

PUBLISHED = (2048, 256, 128, 64, 64, 32)


def maps(channels, side=1, count=2):
    return [torch.randn(count, c, *(side * 2**n,) * 3) for n, c in enumerate(channels)]


def test_the_vector_head_has_the_published_layers():
    layers = [m for m in VectorHead(PUBLISHED).modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in layers] == [
        (2432, 1216),
        (1216, 256),
        (256, 27),
    ]


def test_numbers_follow_from_the_means_of_the_three_deepest_maps():
    torch.manual_seed(0)
    head = VectorHead((64, 32, 16, 8)).eval()
    given = maps((64, 32, 16, 8))
    flat = [one.mean(dim=(2, 3, 4), keepdim=True).expand_as(one) for one in given[:3]]
    with torch.no_grad():
        numbers = head(given)
        assert numbers.shape == (2, 27)
        torch.testing.assert_close(head([*flat, 10 * given[3]]), numbers)
        assert not torch.allclose(head([2 * given[0], *given[1:]]), numbers)
        torch.testing.assert_close(head([one[:1] for one in given]), numbers[:1])


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    head = VectorHead((64, 32, 16), dropout=0.5)
    given = maps((64, 32, 16))
    with torch.no_grad():
        assert not torch.equal(head(given), head(given))
        head.eval()
        assert torch.equal(head(given), head(given))


def test_the_image_head_begins_near_a_constant():
    torch.manual_seed(0)
    head = ImageHead((32, 16, 8), outputs=2)
    with torch.no_grad():
        image = head(maps((32, 16, 8)))
    assert image.shape == (2, 2, 4, 4, 4)
    assert image.abs().max() < 0.3
    assert image.std() > 0


def test_an_image_network_gives_images_of_the_size_of_its_input():
    backbone = build(BackboneSettings(width=8, depth=3))
    network = ImageNetwork(backbone, outputs=2)
    with torch.no_grad():
        assert network(torch.randn(1, 1, 8, 12, 16)).shape == (1, 2, 8, 12, 16)
    own = {name.removeprefix("backbone.") for name, _ in network.named_parameters()}
    assert {name for name, _ in backbone.named_parameters()} == own - {
        "head.layer.weight",
        "head.layer.bias",
    }
