"""The steps of ConvexAdam against torch's own operations, brute force, and each other."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_mrissl.features import filters
from napari_mrissl.registration import torch_adam, torch_convex, torch_descriptors

SHAPE = (9, 8, 10)


def features(channels: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.rand((channels, *SHAPE), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("radius", "dilation"), [(1, 2), (2, 1)])
def test_mind_in_torch_is_the_compiled_one(radius, dilation):
    image = features(1)[0]
    found = torch_descriptors.mind_ssc(image, radius, dilation)
    expected = filters.mind_ssc(image.numpy(), None, radius, dilation)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("times", [1, 3])
def test_smoothing_is_that_of_poolings(times):
    field = features(3)
    expected = field[None]
    for _ in range(times):
        expected = functional.avg_pool3d(expected, 3, 1, 1)
    np.testing.assert_allclose(torch_convex.smoothed(field, times), expected[0], atol=1e-6)
    np.testing.assert_allclose(torch_convex.Box(SHAPE, times, field)(field), expected[0], atol=1e-6)


def test_costs_are_those_of_a_loop():
    fixed, moving, weights = features(), features(seed=1), features(1, 2)[0]
    tried = torch_convex.offsets(1, fixed.device)
    around = functional.pad(moving[None], (1,) * 6, mode="replicate")[0]
    steps = torch_convex._Compiled(), torch_convex._Torch()
    compiled, plain = (one.costs(fixed, around, weights, tried, lambda part: None) for one in steps)
    np.testing.assert_allclose(compiled, plain, atol=1e-5)
    z, y, x = 4, 3, 5
    offset = tried[20].int().tolist()
    total = 0.0
    # Two poolings are one with these weights along each axis.
    weight = {-2: 1 / 9, -1: 2 / 9, 0: 3 / 9, 1: 2 / 9, 2: 1 / 9}
    for dz, dy, dx in itertools.product(range(-2, 3), repeat=3):
        here = z + dz, y + dy, x + dx
        there = tuple(
            min(max(h + o, 0), side - 1) for h, o, side in zip(here, offset, SHAPE, strict=True)
        )
        squared = float(((fixed[:, *here] - moving[:, *there]) ** 2).sum())
        total += weight[dz] * weight[dy] * weight[dx] * squared * float(weights[here])
    found = compiled.view(-1, *SHAPE)[20, z, y, x]
    assert float(found) == pytest.approx(total, rel=1e-4)


def test_the_best_displacement_is_that_of_a_full_search():
    rng = torch.Generator().manual_seed(3)
    tried = torch_convex.offsets(2, torch.device("cpu"))
    costs = torch.rand((len(tried), 700), generator=rng)
    towards = torch.rand((3, 700), generator=rng) * 2 - 1
    away = (tried[:, :, None] - towards[None]).square().sum(1)
    expected = tried[(costs + 0.1 * away).argmin(0)].T
    for steps in (torch_convex._Compiled(), torch_convex._Torch()):
        np.testing.assert_array_equal(steps.best(costs, tried, towards, 0.1), expected)


def test_where_all_fits_alike_nothing_moves():
    flat = torch.ones((4, *SHAPE))
    found = torch_convex.search(flat, flat, torch.ones(SHAPE), 2, lambda part: None)
    assert not found.any()


def test_a_whole_shift_is_found():
    fixed = features(6)
    moving = torch.roll(fixed, (1, -2, 1), (1, 2, 3))
    found = torch_convex.search(fixed, moving, torch.ones(SHAPE), 2, lambda part: None)
    np.testing.assert_allclose(found[:, 4, 4, 4], [1, -2, 1], atol=1e-5)


def test_opposite_fields_become_each_others_inverse():
    there = 0.5 + 0 * features(3)
    back = -0.3 + 0 * features(3)
    np.testing.assert_allclose(torch_convex.made_consistent(there, back), 0.4, atol=1e-4)


def test_the_gradient_is_that_of_automatic_differentiation():
    fixed, moving, weights = features(), features(seed=1), features(1, 2)[0]
    field = 3 * features(3, 4) - 1.5
    compiled, plain = (
        make(fixed, moving, weights)(field)
        for make in (torch_adam.compiled_matching, torch_adam.torch_matching)
    )
    assert compiled[0] == pytest.approx(plain[0], rel=1e-4)
    np.testing.assert_allclose(compiled[1], plain[1], atol=1e-6)


def test_roughness_and_its_gradient():
    field = features(3).double().requires_grad_()
    expected = sum((field.diff(dim=axis) ** 2).mean() for axis in (1, 2, 3))
    expected.backward()
    total, gradient = torch_adam.roughness(field.detach().float())
    assert total == pytest.approx(float(expected.detach()), rel=1e-5)
    np.testing.assert_allclose(gradient, field.grad, atol=1e-6)


@pytest.mark.parametrize("shape", [SHAPE, (3, 2, 16)])
def test_compiled_steps_of_adam_are_those_of_torch(shape):
    generator = torch.Generator().manual_seed(7)
    one, other = (torch.rand((4, *shape), generator=generator) for _ in range(2))
    start = torch.rand((3, *shape), generator=generator) - 0.5
    matching = torch_adam.compiled_matching(one, other, torch.ones(shape))
    found = []
    for path in (torch_adam._compiled_path, torch_adam.torch_path):
        told = []
        numbers = 12, 1.25, 0.05
        field = path(start, matching, *numbers, lambda *cost, told=told: told.append(cost))
        found.append((field, told))
    (field, costs), (expected, expected_costs) = found
    np.testing.assert_allclose(field, expected, atol=1e-4)
    np.testing.assert_allclose(costs, expected_costs, rtol=1e-4)
    assert float((field - torch_convex.smoothed(start, 3)).abs().max()) > 0.05


def test_principal_components_keep_distances():
    rng = np.random.default_rng(0)
    mixing = torch.from_numpy(rng.normal(size=(12, 3)).astype(np.float32))
    one, other = ({2: torch.einsum("cd,dzyx->czyx", mixing, features(3, s))} for s in (0, 1))
    less = torch_descriptors.reduced(one, other, 3, 2)
    expected = ((one[2] - other[2]) ** 2).mean(0)
    found = ((less[0][2] - less[1][2]) ** 2).mean(0)
    assert len(less[0][2]) == 3
    np.testing.assert_allclose(found, expected, rtol=1e-3)
