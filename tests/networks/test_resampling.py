"""Poolings and doubling against torch's own, with their gradients."""

import pytest
import torch
from torch.nn import functional

from napari_mrissl.networks.resampling import (
    averaged,
    doubled,
    halved,
    mirrored,
    pooled,
    repeated,
    thinned,
)

PAIRS = {
    "maximum": (halved, lambda x: functional.max_pool3d(x, 3, 2, 1)),
    "mean of 3": (lambda x: averaged(x, 1), lambda x: functional.avg_pool3d(x, 3, 1, 1)),
    "mean of 3, halved": (lambda x: averaged(x, 2), lambda x: functional.avg_pool3d(x, 3, 2, 1)),
    "mean of 2": (thinned, lambda x: functional.avg_pool3d(x, 2)),
    "doubled": (
        doubled,
        lambda x: functional.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False),
    ),
    "maximum of 2": (pooled, lambda x: functional.max_pool3d(x, 2)),
    "repeated": (repeated, lambda x: functional.interpolate(x, scale_factor=2, mode="nearest")),
    "mirrored": (mirrored, lambda x: functional.pad(x, (1,) * 6, mode="reflect")),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("shape", [(2, 3, 6, 8, 4), (1, 2, 4, 4, 4)])
def test_numbers_and_gradients_are_those_of_torch(name, shape):
    ours, theirs = PAIRS[name]
    torch.manual_seed(0)
    first = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    second = first.detach().clone().requires_grad_()
    found, expected = ours(first), theirs(second)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(first.grad, second.grad)


def test_voxels_that_share_a_maximum_share_its_gradient():
    maps = torch.zeros(1, 1, 2, 2, 4)
    maps[0, 0, 0, :, 0] = 5
    maps.requires_grad_()
    (pooled(maps) * torch.tensor([4.0, 8.0])).sum().backward()
    expected = torch.zeros(1, 1, 2, 2, 4)
    expected[..., 2:] = 1
    expected[0, 0, 0, :, 0] = 2
    assert torch.equal(maps.grad, expected)


def test_two_voxels_are_enough_to_be_mirrored():
    maps = torch.arange(8.0).reshape(1, 1, 2, 2, 2).requires_grad_()
    found = mirrored(maps)
    expected = functional.pad(maps.detach(), (1,) * 6, mode="reflect")
    assert torch.equal(found, expected)
    found.sum().backward()
    # Each voxel stands for itself and, along each axis, for one beyond the other's border.
    assert torch.equal(maps.grad, torch.full_like(maps, 8.0))
