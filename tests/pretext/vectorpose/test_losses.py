"""The loss of vectors against a double loop, and the constant predictor against known values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import draw_crop
from napari_mrissl.pretext.vectorpose.chance import constant_predictor, mean_errors
from napari_mrissl.pretext.vectorpose.losses import (
    cosine_term,
    costs,
    directions,
    squash,
    way_round,
)
from napari_mrissl.pretext.vectorpose.vectors import axis_of, decode, encode, radius_mm, vectors_mm
from tests.pretext.vectorpose.scans import scan_of

LEAST_R = 0.02


def _targets(n: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(0, 40, (n, 9, 3))
    vectors[:: max(1, n // 4), 0] = 0
    return encode(vectors, 100.0)


def test_costs_are_those_of_a_double_loop() -> None:
    true = _targets(7, 0)
    raw = np.random.default_rng(1).normal(0, 2, (7, 27)).astype(np.float32)
    sums, count = np.zeros(3), 0
    for n, k in itertools.product(range(7), range(9)):
        p = raw[n].reshape(9, 3)[k].astype(np.float64)
        r, theta, phi = 1 / (1 + np.exp(-p[0])), 1 / (1 + np.exp(-p[1])), np.tanh(p[2])
        d = phi - true[n, k, 2]
        sums[0] += abs(r - true[n, k, 0])
        if true[n, k, 0] > LEAST_R:
            count += 1
            sums[1] += abs(theta - true[n, k, 1])
            sums[2] += min(abs(d), abs(d + 2), abs(d - 2))
    terms = costs(squash(torch.tensor(raw)), torch.tensor(true), LEAST_R).terms()
    assert [float(terms[name].total) for name in ("r", "theta", "phi")] == pytest.approx(
        sums, rel=1e-5
    )
    assert [float(terms[name].count) for name in ("r", "theta", "phi")] == [63, count, count]
    assert count < 63


def test_phi_goes_the_shorter_way_round() -> None:
    first, second = torch.tensor([0.95, -0.95, 0.5, 1.0]), torch.tensor([-0.95, 0.95, -0.5, -1.0])
    torch.testing.assert_close(way_round(first, second), torch.tensor([0.1, 0.1, 1.0, 0.0]))


def test_directions_are_those_of_the_decoded_vectors() -> None:
    coded = _targets(20, 3)[:, 1:]
    expected = decode(coded, 1.0)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(directions(torch.tensor(coded)), expected, atol=1e-5)
    term = cosine_term(torch.tensor(coded), torch.tensor(coded), LEAST_R, 0.5)
    assert abs(float(term.total)) < 1e-3
    assert term.weight == 0.5


def test_gradients_point_home_across_the_jump_of_phi() -> None:
    true = torch.tensor([[[0.5, 0.5, -0.9]]])
    raw = torch.zeros(1, 3)
    raw[0, 2] = 1.2  # phi = 0.83, nearest to -0.9 upwards through 1
    raw.requires_grad_()
    costs(squash(raw), true, LEAST_R).terms()["phi"].total.backward()
    assert raw.grad is not None
    assert raw.grad[0, 2] < 0


def test_constants_are_the_best_ones() -> None:
    true = _targets(300, 4)
    constant = constant_predictor(true, LEAST_R)
    best = mean_errors(constant, true, LEAST_R)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = mean_errors(constant + rng.normal(0, 0.05, constant.shape), true, LEAST_R)
        assert all(other[name] >= best[name] - 2e-3 for name in best)


def test_of_squared_errors_the_best_constants_are_means() -> None:
    true = _targets(300, 4)
    constant = constant_predictor(true, LEAST_R, squared=True)
    np.testing.assert_allclose(constant[:, 0], true[..., 0].mean(axis=0), atol=1e-6)
    best = mean_errors(constant, true, LEAST_R, squared=True)
    absolute = mean_errors(constant_predictor(true, LEAST_R), true, LEAST_R, squared=True)
    assert all(best[name] < absolute[name] for name in best)


def test_the_mean_errors_are_those_of_the_loss() -> None:
    true, predicted = _targets(11, 5), squash(torch.randn(11, 27))
    expected = costs(predicted, torch.tensor(true), LEAST_R).means()
    assert mean_errors(predicted.numpy(), true, LEAST_R) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((140, 250, 250), (1, 1, 1)), ((90, 180, 180), (4, 2, 2))]
)
def test_chance_is_what_the_method_is_known_for(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    """Random flips and a 96 mm crop in scans shaped like a heart's or an abdomen's CT."""
    scan = scan_of(np.broadcast_to(np.float32(1), shape).copy(), spacing)
    axis = axis_of(scan.volume)
    flips = [cube.nearest(np.diag(signs)) for signs in itertools.product((1, -1), repeat=3)]
    rng = np.random.default_rng(0)
    coded = []
    for _ in range(1500):
        flip = flips[int(rng.integers(8))]
        record = draw_crop(rng, scan, 16, 96.0, (0.5, 1.5), flip, least_mean=0)
        coded.append(encode(vectors_mm(record, axis), radius_mm(record)))
    errors = mean_errors(constant_predictor(np.stack(coded), LEAST_R), np.stack(coded), LEAST_R)
    assert errors["r"] == pytest.approx(0.15, abs=0.02)
    assert errors["theta"] == pytest.approx(0.205, abs=0.015)
    assert errors["phi"] == pytest.approx(0.50, abs=0.02)
