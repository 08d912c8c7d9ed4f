"""Body axes against scipy's Procrustes, and against a turn that is known."""

import json

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import spearmanr
from scipy.stats import special_ortho_group as turns

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.coordinates.body_axes import BodyAxes, fitted
from napari_mrissl.pretext.observable.consistency import spearman


def _groups(seed=0, noise=0.0, mirrored=False):
    rng = np.random.default_rng(seed)
    turn = turns.rvs(3, random_state=seed)
    turn[:, 0] *= -1 if mirrored else 1
    groups = []
    for _ in range(3):
        found = rng.normal(size=(50, 3))
        true = 80 * found @ turn.T + rng.normal(0, 30, 3) + noise * rng.normal(size=found.shape)
        groups.append((found, true))
    return turn, groups


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_known_turn_is_found_whatever_the_shift_of_each_scan(mirrored):
    turn, groups = _groups(1, mirrored=mirrored)
    axes = fitted(groups)
    np.testing.assert_allclose(axes.matrix, 80 * turn, atol=1e-9)
    assert axes.error_mm < 1e-9
    assert axes.scans == 3
    found, true = groups[0]
    np.testing.assert_allclose(np.ptp(axes.to_mm(found) - true, axis=0), 0, atol=1e-9)


def test_the_fit_is_scipys():
    _, groups = _groups(2, noise=40.0)
    axes = fitted(groups)
    found = np.concatenate([a - a.mean(axis=0) for a, _ in groups])
    true = np.concatenate([b - b.mean(axis=0) for _, b in groups])
    matrix, scale = orthogonal_procrustes(found, true)
    factor = scale / (found**2).sum()
    np.testing.assert_allclose(axes.matrix.T, factor * matrix, rtol=1e-9)
    error = np.linalg.norm(factor * found @ matrix - true, axis=1).mean()
    assert axes.error_mm == pytest.approx(error)


def test_numbers_are_kept_as_json():
    axes = fitted(_groups(3)[1])
    again = BodyAxes.from_plain(json.loads(json.dumps(axes.plain())))
    np.testing.assert_array_equal(again.matrix, axes.matrix)
    np.testing.assert_array_equal(again.center, axes.center)
    for plain in ({}, {**axes.plain(), "matrix": "x"}, {**axes.plain(), "center": [1, 2]}):
        with pytest.raises(MrisslError, match="damaged"):
            BodyAxes.from_plain(plain)
    with pytest.raises(MrisslError, match="not finite"):
        BodyAxes.from_plain({**axes.plain(), "center": [1, 2, float("nan")]})


def test_nothing_is_fitted_to_nothing():
    with pytest.raises(MrisslError, match="no points"):
        fitted([])
    with pytest.raises(MrisslError, match="the same"):
        fitted([(np.ones((4, 3)), np.random.default_rng(0).random((4, 3)))])


def test_rank_correlation_is_scipys():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 20, 200)
    second = first + rng.integers(0, 30, 200)
    expected = spearmanr(first, second).statistic
    assert spearman(first, second) == pytest.approx(expected, abs=1e-12)


def test_coordinates_that_only_rounding_tells_apart_have_no_axes():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(50, 3)) * 40
    same = np.float32(1.6) * (1 + 1e-7 * rng.normal(size=(50, 3)))
    with pytest.raises(MrisslError, match="all coordinates are the same"):
        fitted([(same, places)])
    found = fitted([(1.6 + 1e-3 * places, places)])
    assert found.error_mm < 1e-6
