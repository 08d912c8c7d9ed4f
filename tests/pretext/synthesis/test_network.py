"""The network of contrastive pretraining: which voxels it compares, and what its heads see."""

import numpy as np
import pytest
import torch

from napari_mrissl.networks.unet import UNet3d
from napari_mrissl.pretext.synthesis.network import (
    ContrastiveNetwork,
    SampleHead,
    at_places,
)


def test_the_published_taps():
    assert ContrastiveNetwork().taps == (27, 31, 38, 45, 52, 65)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_head_for_each_tap(depth):
    torch.manual_seed(0)
    side = 2 * 2**depth
    network = ContrastiveNetwork(width=8, depth=depth, hidden=16)
    places = [torch.zeros(3, 5, dtype=torch.long) for _ in network.taps]
    embedded, features = network(torch.rand(3, 2, side, side, side), places)
    assert len(embedded) == len(network.heads) == len(network.taps) == depth + 2
    assert all(one.shape == (3, 10, 16) for one in embedded)
    assert features.shape == (3, 10, 16)


def test_voxels_are_taken_at_the_same_places_of_both_views():
    maps = torch.rand(3, 2, 5, 2, 3, 4)
    places = torch.tensor([[0, 23], [7, 7], [12, 1]])
    found = at_places(maps, places)
    assert found.shape == (3, 4, 5)
    for pair in range(3):
        for view in range(2):
            for number in range(2):
                z, y, x = np.unravel_index(int(places[pair, number]), (2, 3, 4))
                voxel = found[pair, view * 2 + number]
                torch.testing.assert_close(voxel, maps[pair, view, :, z, y, x])


def reference_head(head, features):
    """The published layers on the samples of one pair, with torch's own batch normalisation."""
    last = len(head.linear) - 1
    for number, (linear, norm) in enumerate(zip(head.linear, head.norm, strict=True)):
        features = torch.nn.functional.batch_norm(
            features @ linear.weight.T,
            None,
            None,
            None if number == last else norm.weight,
            None if number == last else norm.bias,
            training=True,
        )
        features = features if number == last else features.relu()
    return features


def test_heads_are_the_published_ones_and_see_one_pair_at_a_time():
    torch.manual_seed(0)
    head = SampleHead(6, 16).double()
    features = torch.rand(3, 40, 6, dtype=torch.float64)
    found = head(features)
    for pair in range(3):
        torch.testing.assert_close(found[pair], reference_head(head, features[pair]))
    trained = sum(p.numel() for p in head.parameters() if p.requires_grad)
    assert trained == 6 * 16 + 16 * 16 + 16 * 16 + 2 * 2 * 16


def test_running_statistics_take_the_place_of_a_pairs_own():
    torch.manual_seed(0)
    head = SampleHead(6, 16).double()
    features = torch.rand(1, 400, 6, dtype=torch.float64)
    for _ in range(300):
        trained = head(features)
    shown = head.eval()(features)
    torch.testing.assert_close(shown, trained, atol=0.01, rtol=0.01)


def test_tensors_of_the_backbone_have_the_published_names():
    torch.manual_seed(0)
    network = ContrastiveNetwork(width=8, depth=3, hidden=16).eval()
    state = network.state_dict()
    own = {
        name.removeprefix("backbone."): value
        for name, value in state.items()
        if name.startswith("backbone.")
    }
    plain = UNet3d(width=8, depth=3).eval()
    plain.load_state_dict(own, strict=True)
    image = torch.rand(2, 1, 16, 16, 16)
    torch.testing.assert_close(plain(image), network.backbone(image))
    assert ContrastiveNetwork().backbone.state_dict().keys() == UNet3d().state_dict().keys()
