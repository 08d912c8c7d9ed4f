"""Routes by itertools, and the published route loss as a multiple of the vector loss."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.observable import losses
from napari_mrissl.pretext.observable.gaps import gap_matrix
from napari_mrissl.pretext.observable.routes import (
    all_routes,
    drawn_routes,
    ends,
    loops,
    routes,
    walk,
)
from napari_mrissl.pretext.observable.settings import LossWeights


def _value(term):
    return float(term.total) / float(term.count)


@pytest.mark.parametrize(("views", "count"), [(3, 6), (4, 24), (5, 120)])
def test_all_routes_are_all_orders(views, count):
    found = all_routes(views)
    assert len(found) == count
    assert {tuple(one) for one in found} == set(permutations(range(views)))


def test_above_five_views_routes_are_drawn_from_a_seed():
    found = routes(8, seed=3)
    np.testing.assert_array_equal(found, drawn_routes(8, seed=3))
    assert not np.array_equal(found, routes(8, seed=4))
    assert (np.sort(found, axis=1) == np.arange(8)).all()
    np.testing.assert_array_equal(np.bincount(found[:, 0]), 15)
    with pytest.raises(MrisslError, match="all routes"):
        all_routes(6)
    with pytest.raises(MrisslError, match="among 1"):
        drawn_routes(1)


def test_ends_and_loops_by_a_loop():
    vectors = np.random.default_rng(0).normal(size=(2, 4, 4, 3))
    order = all_routes(4)
    for sample in range(2):
        for number, route in enumerate(order):
            total = np.zeros(3)
            for a, b in pairwise(route):
                total = total + vectors[sample, a, b]
            np.testing.assert_allclose(ends(vectors, order)[sample, number], total)
            total = total + vectors[sample, route[-1], route[0]]
            np.testing.assert_allclose(loops(vectors, order)[sample, number], total)
    assert walk(vectors, order).shape == (2, 24, 3, 3)
    np.testing.assert_allclose(ends(torch.from_numpy(vectors), order), ends(vectors, order))


@pytest.mark.parametrize("views", [3, 4, 5])
def test_of_differences_of_places_the_route_loss_is_the_vector_loss_times_n_over_n_minus_1(views):
    """What makes routes of the published head redundant."""
    rng = np.random.default_rng(views)
    predicted, true = (
        torch.from_numpy(gap_matrix(rng.normal(size=(6, views, 3)))) for _ in range(2)
    )
    order, weights = all_routes(views), LossWeights()
    vector = _value(losses.vector_terms(predicted, true, weights)["vector"])
    route = _value(losses.route_terms(predicted, true, order, weights, edge=False)["route"])
    assert route / vector == pytest.approx(views / (views - 1), rel=1e-12)
    closed = losses.route_terms(predicted, true, order, weights, edge=True)
    assert _value(closed["loop"]) == pytest.approx(0, abs=1e-24)
    assert _value(closed["antisymmetry"]) == pytest.approx(0, abs=1e-24)


def test_of_free_vectors_routes_loops_and_the_way_back_are_constraints():
    rng = np.random.default_rng(0)
    true = torch.from_numpy(gap_matrix(rng.normal(size=(6, 4, 3))))
    free = true + 0.3 * torch.from_numpy(rng.normal(size=true.shape))
    weights = LossWeights(loop=2.0)
    terms = losses.route_terms(free, true, all_routes(4), weights, edge=True)
    vector = _value(losses.vector_terms(free, true, weights)["vector"])
    assert abs(_value(terms["route"]) / vector - 4 / 3) > 0.3
    assert _value(terms["loop"]) > 0.01
    assert _value(terms["antisymmetry"]) > 0.01
    assert terms["loop"].weight == 2.0
