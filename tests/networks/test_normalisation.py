"""Ghost batch normalisation is torch's batch normalisation of each group by itself."""

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.normalisation import GhostBatchNorm3d, group_norm, running_statistics


def layers(group):
    torch.manual_seed(0)
    ghost = GhostBatchNorm3d(3, group).double()
    torch.nn.init.uniform_(ghost.weight)
    torch.nn.init.normal_(ghost.bias)
    peer = torch.nn.BatchNorm3d(3).double()
    peer.load_state_dict(ghost.state_dict(), strict=False)
    return ghost, peer


def batch():
    return torch.randn(6, 3, 4, 5, 2, dtype=torch.float64) * 3 + 1


def test_each_group_is_normalised_as_torch_does():
    ghost, peer = layers(2)
    x = batch().requires_grad_()
    expected = torch.cat([peer(x[first : first + 2]) for first in (0, 2, 4)])
    found = ghost(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(found.pow(3).sum(), x, retain_graph=True)
    (peers,) = torch.autograd.grad(expected.pow(3).sum(), x)
    torch.testing.assert_close(gradient, peers, rtol=0, atol=1e-9)


def test_running_statistics_follow_the_mean_over_groups():
    ghost, _ = layers(2)
    x = batch()
    means, variances = [], []
    for first in (0, 2, 4):
        _, peer = layers(2)
        peer.momentum = 1.0
        peer(x[first : first + 2])
        means.append(peer.running_mean)
        variances.append(peer.running_var)
    ghost(x)
    expected = 0.9 * 0 + 0.1 * torch.stack(means).mean(0)
    torch.testing.assert_close(ghost.running_mean, expected, rtol=0, atol=1e-12)
    expected = 0.9 * 1 + 0.1 * torch.stack(variances).mean(0)
    torch.testing.assert_close(ghost.running_var, expected, rtol=0, atol=1e-12)
    found = running_statistics(torch.nn.Sequential(ghost))
    assert found[0] is ghost.running_mean
    assert found[1] is ghost.running_var


def test_in_evaluation_it_is_torchs_layer():
    ghost, peer = layers(2)
    ghost(batch())
    peer.load_state_dict(ghost.state_dict(), strict=False)
    x = batch()
    torch.testing.assert_close(ghost.eval()(x), peer.eval()(x), rtol=0, atol=1e-12)


def test_it_may_have_all_names_of_torchs_layer_and_count_batches():
    ghost = GhostBatchNorm3d(3, 2, counted=True)
    peer = torch.nn.BatchNorm3d(3)
    for _ in range(3):
        ghost(batch().float())
    peer.load_state_dict(ghost.state_dict(), strict=True)
    assert list(ghost.state_dict()) == list(peer.state_dict())
    assert peer.num_batches_tracked == 3
    assert "num_batches_tracked" not in GhostBatchNorm3d(3, 2).state_dict()


@torch.no_grad()
def test_counted_statistics_are_those_of_the_last_tenth_of_all_batches():
    ghost = GhostBatchNorm3d(1, 1, counted=True)
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(300, 1, 1, 2, 2, 2, generator=rng).double()
    for one in values:
        ghost.double()(one)
    means = values.flatten(1).mean(dim=1)
    # The first replaces what was there; a batch then has a weight of 10 / (10 + n).
    expected = 0.0
    for number, mean in enumerate(means):
        expected += (mean - expected) / (1 + number / 10)
    torch.testing.assert_close(float(ghost.running_mean), float(expected), rtol=0, atol=1e-12)
    last = float(means[-30:].mean())
    assert abs(float(ghost.running_mean) - last) < 4 * float(means.std()) / 30**0.5


def test_half_precision_comes_out_as_it_went_in():
    ghost = GhostBatchNorm3d(3, 2)
    x = batch().to(torch.bfloat16)
    found = ghost(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), GhostBatchNorm3d(3, 2)(x.float()), rtol=0, atol=0.02)


def test_a_batch_of_half_a_group_is_refused():
    with pytest.raises(MrisslError, match="6 samples are normalised in groups of 4"):
        GhostBatchNorm3d(3, 4)(torch.zeros(6, 3, 2, 2, 2))


@pytest.mark.parametrize(("channels", "groups"), [(8, 8), (12, 6), (7, 7), (11, 1), (32, 8)])
def test_group_norm_takes_as_many_groups_as_divide(channels, groups):
    assert group_norm(channels).num_groups == groups
