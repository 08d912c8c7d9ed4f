"""Heads that answer as they should, the copy that follows, and which views teach."""

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.observable.losses import chunk_terms, gap_terms
from napari_mrissl.pretext.observable.network import (
    ObservableNetwork,
    follow_rate,
    similarities,
)
from napari_mrissl.pretext.observable.settings import LossWeights, ObservableSettings

SMALL = {"backbone": {"width": 8, "depth": 3}, "view": {"side": 16}, "width": 8}
STARTS = torch.zeros((2, 3, 4, 3), dtype=torch.int64)


def _settings(**changes):
    return ObservableSettings.model_validate({**SMALL, **changes})


def _network(**changes):
    torch.manual_seed(0)
    return ObservableNetwork(_settings(**changes))


@pytest.fixture
def image():
    return torch.from_numpy(np.random.default_rng(0).random((2, 3, 16, 16, 16), np.float32))


def test_gaps_are_zero_on_the_diagonal_unless_there_is_a_bias(image):
    with torch.no_grad():
        found = _network().eval()(image, STARTS)
        biased = _network(bias=True).eval()(image)["gaps"]
    gaps = found["gaps"]
    assert gaps.shape == (2, 3, 3, 3)
    assert not torch.diagonal(gaps, dim1=1, dim2=2).any()
    torch.testing.assert_close(gaps, -gaps.transpose(1, 2))
    assert torch.diagonal(biased, dim1=1, dim2=2).abs().min() > 0
    # Chunks of 12 voxels: three layers, to one voxel of 64 channels.
    assert found["chunks"].shape == (2, 3, 4, 64, 1, 1, 1)


def test_potentials_are_places_and_edges_are_not(image):
    network = _network().eval()
    with torch.no_grad():
        vectors = network(image)["vectors"]
        dense = network.dense(image).flatten(0, 1)
        places = network.vector_head.place(network.vector_head.trunk(dense)).reshape(2, 3, 3)
        for i in range(3):
            for j in range(3):
                torch.testing.assert_close(vectors[:, i, j], places[:, j] - places[:, i])
        edges = _network(vector_head="edge").eval()(image)["vectors"]
    assert (edges + edges.transpose(1, 2)).abs().max() > 1e-3
    assert (edges[:, 0, 1] + edges[:, 1, 2] + edges[:, 2, 0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("views", "taught"), [("first", [True, False, False]), ("all", [True] * 3)]
)
def test_gradients_go_through_the_first_view_or_through_all(image, views, taught):
    network = _network(grad_views=views).train()
    image.requires_grad_()
    network(image, STARTS, 0)["gaps"].square().sum().backward()
    assert [bool(one.any()) for one in image.grad.unbind(1)] == taught
    assert (network.teacher is None) == (views == "all")
    if network.teacher is not None:
        assert not any(p.requires_grad for p in network.teacher.parameters())
        assert any(name.startswith("teacher.") for name in network.state_dict())


def test_the_copy_follows_once_in_a_step_by_the_published_rate(image):
    network = _network(grad_views="first").train()
    weight = next(network.backbone.parameters())
    mean = next(network.teacher.parameters())
    expected = weight.detach().clone().double()
    for step in (0, 1, 5):
        with torch.no_grad():
            weight += 0.5
        rate = 100 / (100 + step)
        expected += rate * (weight.detach().double() - expected)
        # A batch that is worked through in two parts follows once.
        network.follow(step)
        network.follow(step)
        torch.testing.assert_close(mean.double(), expected, rtol=1e-6, atol=1e-6)
    assert follow_rate(10**8, 100.0, 1e-4) == 1e-4
    assert follow_rate(0, 0.0, 1e-4) == 1.0
    assert follow_rate(7, 0.0, 1e-4) == 1e-4


def test_the_copy_looks_at_later_views_in_training_alone(image):
    network = _network(grad_views="first")
    with torch.no_grad():
        for parameter in network.backbone.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        own, lagging = network.dense(image), network.dense(image, lagging=True)
    torch.testing.assert_close(own[:, 0], lagging[:, 0])
    assert (own[:, 1:] - lagging[:, 1:]).abs().max() > 1e-3
    network.eval()
    with torch.no_grad():
        before = network(image, None, 3)["gaps"]
        torch.testing.assert_close(before, network(image)["gaps"])


def test_similarities_by_hand():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 4, 5, 2, 1, 3)).astype(np.float32)
    found = similarities(torch.from_numpy(features), pool=False).numpy()
    pooled = similarities(torch.from_numpy(features), pool=True).numpy()
    flat = features.reshape(2, 4, 5, 6).astype(np.float64)
    for sample in range(2):
        for a in range(4):
            for b in range(4):
                one, two = flat[sample, a], flat[sample, b]
                cosines = (one * two).sum(0) / np.linalg.norm(one, axis=0)
                cosines = cosines / np.linalg.norm(two, axis=0)
                assert found[sample, a, b] == pytest.approx(cosines.mean(), abs=1e-5)
                one, two = one.mean(1), two.mean(1)
                cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
                assert pooled[sample, a, b] == pytest.approx(cosine, abs=1e-5)


def test_gap_terms_by_a_double_loop():
    rng = np.random.default_rng(0)
    predicted, true = rng.normal(size=(2, 5, 3, 3, 3))
    weights = LossWeights(norm=3.0)
    terms = gap_terms(torch.from_numpy(predicted), torch.from_numpy(true), weights)
    axis = norm = 0.0
    for sample in range(5):
        for i in range(3):
            for j in range(3):
                p, t = predicted[sample, i, j], true[sample, i, j]
                axis += ((p - t) ** 2).sum()
                norm += (np.sqrt((p**2).sum()) - np.sqrt((t**2).sum())) ** 2
    assert float(terms["axis"].total) == pytest.approx(axis)
    assert terms["axis"].count == 5 * 27
    assert float(terms["norm"].total) == pytest.approx(norm)
    assert terms["norm"].count == 5 * 9
    assert terms["norm"].weight == 3.0


def test_a_length_of_zero_has_a_finite_gradient():
    zero = torch.zeros((1, 3, 3, 3), requires_grad=True)
    gap_terms(zero, torch.ones((1, 3, 3, 3)), LossWeights())["norm"].total.backward()
    assert torch.isfinite(zero.grad).all()


def test_dropped_pairs_of_chunks_cost_nothing():
    rng = np.random.default_rng(0)
    alike = torch.from_numpy(rng.uniform(-1, 1, (2, 3, 4, 4)))
    kept = torch.tensor([[True, False, True], [False, False, True]])
    terms = chunk_terms(alike, kept, LossWeights())
    near = (1 - alike[..., 0, 1])[kept]
    assert float(terms["adjacent"].total) == pytest.approx(float(near.sum()))
    assert float(terms["adjacent"].count) == float(terms["chunk_error"].count) == 3
    assert float(terms["distant"].total) == pytest.approx(float((1 + alike[..., 2, 3])[kept].sum()))
    assert terms["chunk_error"].weight == 0
    changed = alike.clone()
    changed[~kept] = 0.3
    again = chunk_terms(changed, kept, LossWeights())
    assert all(float(again[n].total) == float(terms[n].total) for n in terms)
