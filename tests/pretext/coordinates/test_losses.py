"""Terms against double loops, and points between cells against scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_mrissl.networks.coordinate_network import CELL, at_places, between
from napari_mrissl.pretext.coordinates import losses

B, K, P, SHARED = 2, 3, 5, 3


def _points(seed):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(B, 2, K, P, 3)))


def _value(term):
    return float(term.total) / float(term.count)


def test_distances_are_those_of_double_loops():
    answers, positions = _points(0), _points(1)
    terms = losses.distance_terms(answers, positions, SHARED, 0.5)
    squares, errors = [], []
    for sample in range(B):
        first = [(k, p) for k in range(K) for p in range(P)]
        for i in first:
            for j in first:
                said = math.dist(answers[sample, 0][i].tolist(), answers[sample, 1][j].tolist())
                true = math.dist(positions[sample, 0][i].tolist(), positions[sample, 1][j].tolist())
                squares.append((said - true) ** 2)
                errors.append(abs(said - true))
    assert len(squares) == B * (K * P) ** 2
    assert _value(terms["distance"]) == pytest.approx(np.mean(squares), rel=1e-9)
    same, apart = [], []
    for place in np.ndindex(B, K, SHARED):
        sample, pair, point = place
        gap = answers[sample, 0, pair, point] - answers[sample, 1, pair, point]
        same += gap.square().tolist()
        apart.append(math.hypot(*gap.tolist()))
    assert _value(terms["same"]) == pytest.approx(np.mean(same), rel=1e-12)
    assert (terms["distance"].weight, terms["same"].weight) == (1.0, 0.5)
    shown = losses.shown_terms(answers, positions, SHARED, 100.0)
    assert _value(shown["distance_mm"]) == pytest.approx(100 * np.mean(errors), rel=1e-9)
    assert _value(shown["apart_mm"]) == pytest.approx(100 * np.mean(apart), rel=1e-9)
    assert not any(term.weight for term in shown.values())


def test_order_is_that_of_double_loops():
    answers, positions = _points(2), _points(3)
    cells = torch.from_numpy(np.random.default_rng(4).normal(size=(2, 3, 4, 5, 6)))
    terms = losses.order_terms(answers, positions, cells, 2.5, 0.3)
    squares = []
    for sample in range(B):
        every = [(k, p) for k in range(K) for p in range(P)]
        for i in every:
            for j in every:
                for axis in range(3):
                    said, true = (
                        float(1 / (1 + math.exp(-2.5 * (v[sample, 0][i] - v[sample, 1][j])[axis])))
                        for v in (answers, positions)
                    )
                    squares.append((said - true) ** 2)
    assert _value(terms["order"]) == pytest.approx(np.mean(squares), rel=1e-9)
    bends = []
    for crop in cells.numpy():
        for axis, along in ((0, 2), (1, 1), (2, 0)):
            line = np.moveaxis(crop[axis], along, -1)
            second = line[..., 2:] - 2 * line[..., 1:-1] + line[..., :-2]
            small = np.abs(second) < 1
            bends += np.where(small, second**2 / 2, np.abs(second) - 0.5).flatten().tolist()
    assert _value(terms["even"]) == pytest.approx(np.mean(bends), rel=1e-9)
    assert terms["even"].weight == 0.3


def test_right_answers_cost_nothing_and_turned_ones_neither():
    """Distances are right up to a turn; order is not."""
    positions = _points(5)
    positions[:, 1, :, :SHARED] = positions[:, 0, :, :SHARED]
    turned = positions[..., [1, 2, 0]] * torch.tensor([1.0, -1.0, 1.0])
    terms = losses.distance_terms(turned + 7, positions, SHARED, 1.0)
    assert _value(terms["distance"]) < 1e-10
    assert _value(terms["same"]) == 0
    cells = torch.zeros((1, 3, 3, 3, 3), dtype=torch.float64)
    order = losses.order_terms(positions + 7, positions, cells, 2.5, 1.0)
    assert _value(order["order"]) < 1e-12
    assert _value(losses.order_terms(turned, positions, cells, 2.5, 1.0)["order"]) > 1e-2


def test_a_point_that_meets_itself_has_a_gradient():
    answers = torch.zeros((1, 2, 1, 2, 3), requires_grad=True)
    terms = losses.distance_terms(answers, torch.zeros((1, 2, 1, 2, 3)), 2, 1.0)
    (terms["distance"].total + terms["same"].total).backward()
    assert torch.isfinite(answers.grad).all()


def test_points_are_read_between_cells():
    rng = np.random.default_rng(6)
    cells = rng.normal(size=(2, 3, 4, 5, 3))
    places = rng.uniform(-0.5, 12, size=(2, 9, 3))
    found = at_places(torch.from_numpy(cells), torch.from_numpy(places)).numpy()
    for crop in range(2):
        at = ((places[crop] + 0.5) / CELL - 0.5).T
        for axis in range(3):
            expected = map_coordinates(cells[crop, axis], at, order=1, mode="nearest")
            np.testing.assert_allclose(found[crop, :, axis], expected, atol=1e-12)


def test_voxels_are_the_points_at_their_middles():
    cells = torch.from_numpy(np.random.default_rng(7).normal(size=(1, 3, 3, 3, 3)))
    whole = between(cells)
    assert whole.shape == (1, 3, 12, 12, 12)
    index = torch.from_numpy(np.indices((12, 12, 12)).reshape(3, -1).T.astype(np.float64))
    read = at_places(cells, index[None])[0].T.reshape(3, 12, 12, 12)
    torch.testing.assert_close(whole[0], read, rtol=0, atol=1e-12)
