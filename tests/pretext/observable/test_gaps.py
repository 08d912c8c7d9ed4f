"""The gap matrix by a double loop, and what uniform positions are worth by closed forms."""

import numpy as np
import pytest

from napari_mrissl.pretext.observable.consistency import (
    consistency,
    spearman,
    triangle_violations,
)
from napari_mrissl.pretext.observable.gaps import channel, gap_matrix, norms


def test_gaps_point_from_the_first_view_to_the_second():
    positions = np.random.default_rng(0).normal(size=(4, 5, 3))
    found = gap_matrix(positions)
    for sample in range(4):
        for i in range(5):
            for j in range(5):
                gap = positions[sample, j] - positions[sample, i]
                np.testing.assert_array_equal(found[sample, i, j], gap)
                assert norms(found)[sample, i, j] == pytest.approx(np.sqrt((gap**2).sum()))
                assert channel(found, "A")[sample, i, j] == gap[1]
    np.testing.assert_array_equal(found, -found.swapaxes(1, 2))
    assert not np.diagonal(found, axis1=1, axis2=2).any()


def test_even_positions_are_a_third_of_their_range_apart():
    """E|x - y| = L / 3 and E(x - y)^2 = L^2 / 6; in a unit cube 0.661 and a deviation of 0.249."""
    rng = np.random.default_rng(1)
    length = np.array([120.0, 80.0, 200.0])
    gaps = gap_matrix(rng.random((20_000, 2, 3)) * length)[:, 0, 1]
    np.testing.assert_allclose(np.abs(gaps).mean(axis=0), length / 3, rtol=0.02)
    np.testing.assert_allclose((gaps**2).mean(axis=0), length**2 / 6, rtol=0.03)
    lengths = np.linalg.norm(gaps / length, axis=1)
    assert lengths.mean() == pytest.approx(0.661, abs=0.005)
    assert lengths.std() == pytest.approx(0.249, abs=0.005)


def test_a_matrix_that_is_true_is_consistent():
    true = gap_matrix(np.random.default_rng(2).normal(size=(6, 3)) * 40)
    found = consistency(true, true)
    assert found.diagonal_mm == found.antisymmetry_mm == found.triangle_violations == 0
    assert set(found.mae_mm.values()) == {0.0}
    for name in ("R", "A", "S", "norm"):
        assert found.spearman[name] == pytest.approx(1)
        assert found.slope[name] == pytest.approx(1)
    assert sum(one.pairs for one in found.bins) == 30


def test_each_kind_of_error_is_told():
    rng = np.random.default_rng(3)
    true = gap_matrix(rng.normal(size=(7, 3)) * 40)
    biased = consistency(true + np.array([3.0, 4, 0]), true)
    assert biased.diagonal_mm == pytest.approx(5)
    assert biased.antisymmetry_mm == pytest.approx(10)
    assert biased.mae_mm["R"] == pytest.approx(3)
    small = consistency(0.5 * true, true)
    assert small.slope["norm"] == pytest.approx(0.5)
    assert small.spearman["norm"] == pytest.approx(1)
    assert small.mae_mm["norm"] == pytest.approx(norms(true)[~np.eye(7, dtype=bool)].mean() / 2)
    mirrored = consistency(true * np.array([-1.0, 1, 1]), true)
    assert mirrored.spearman["R"] == pytest.approx(-1)
    assert mirrored.spearman["norm"] == pytest.approx(1)
    nothing = consistency(np.zeros_like(true), true)
    assert np.isnan(nothing.spearman["S"])
    assert nothing.plain()["spearman_by_axis"]["S"] is None
    # By symmetry the median gap is about 0: knowing nothing is as good as the best constant.
    assert nothing.mae_mm["S"] == pytest.approx(nothing.chance_mae_mm["S"], rel=0.1)


def test_triangles_by_a_loop():
    distances = np.random.default_rng(4).uniform(1, 4, (9, 9))
    distances = (distances + distances.T) / 2
    broken = total = 0
    for i in range(9):
        for j in range(i):
            for k in range(j):
                a, b, c = sorted((distances[i, j], distances[j, k], distances[i, k]))
                broken += c > a + b
                total += 1
    assert 0 < broken < total
    assert triangle_violations(distances) == pytest.approx(broken / total)


def test_rank_correlation_is_that_of_scipy():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 9, 50), rng.integers(0, 9, 50)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
