"""Intervals and tests against scipy, brute force and the closed testing principle."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import statistics


def test_what_is_remembered_is_of_the_numbers_not_of_the_array():
    values = np.random.default_rng(0).normal(0, 1, 12)
    before = statistics.interval(values)
    assert statistics.interval(values.copy()) is before
    assert statistics.interval(values=values, seed=0) == before
    assert statistics.interval(values, 1) != before
    values += 5
    low, high = statistics.interval(values)
    assert before[1] < low < high


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(0).beta(4, 2, 40)
    low, high = statistics.interval(values)
    wanted = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    tolerance = 0.05 * (wanted.high - wanted.low)
    assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=tolerance)


def test_the_wide_interval_is_that_of_loops():
    random = np.random.default_rng(3)
    values = random.normal(0.5, 0.1, (3, 12)) + random.normal(0, 0.2, (3, 1))
    means = []
    for _ in range(6000):
        rows = random.integers(0, 3, 3)
        columns = random.integers(0, 12, 12)
        means.append(np.mean([[values[row, column] for column in columns] for row in rows]))
    wanted = np.percentile(means, (2.5, 97.5))
    found = statistics.wide_interval(values)
    assert found == pytest.approx(wanted, abs=0.05 * np.ptp(wanted))
    narrow = statistics.interval(values.mean(axis=0))
    assert np.ptp(found) > np.ptp(narrow)
    assert statistics.wide_interval(values[:1]) == statistics.interval(values[0])


def test_wilcoxon_is_exact_by_all_signs():
    differences = np.array([0.03, -0.01, 0.05, 0.02, 0.08, -0.04, 0.07, 0.11])
    ranks = stats.rankdata(np.abs(differences))
    seen = ranks[differences > 0].sum()
    middle = ranks.sum() / 2
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(differences))]
    wanted = np.mean([abs(one - middle) >= abs(seen - middle) - 1e-9 for one in sums])
    assert statistics.wilcoxon(differences) == pytest.approx(wanted)


def test_rounding_decides_no_test():
    assert statistics.wilcoxon(np.zeros(5)) == 1.0
    assert statistics.wilcoxon(np.full(5, 1e-17)) == 1.0
    mixed = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.0])
    assert statistics.wilcoxon(mixed + 1e-16) == statistics.wilcoxon(mixed)


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test_of_bonferroni(seed):
    """A hypothesis is rejected when every set that holds it is, by its least p-value."""
    random = np.random.default_rng(seed)
    p = {name: float(value) for name, value in zip("abcde", random.beta(0.4, 2, 5), strict=True)}
    adjusted = statistics.holm(p)
    assert list(adjusted) == list(p)
    for name in p:
        sets = [
            chosen
            for size in range(1, 6)
            for chosen in itertools.combinations(p, size)
            if name in chosen
        ]
        wanted = max(min(1.0, len(chosen) * min(p[one] for one in chosen)) for chosen in sets)
        assert adjusted[name] == pytest.approx(wanted)


def test_methods_are_compared_subject_by_subject():
    random = np.random.default_rng(1)
    subject = random.normal(0.7, 0.1, 30)
    other = subject + random.normal(0, 0.005, (3, 30))
    one = subject + 0.03 + random.normal(0, 0.005, (3, 30))
    found = statistics.paired(one, other)
    assert found.subjects == 30
    assert found.mean == pytest.approx((one - other).mean())
    assert 0.02 < found.wide_low <= found.low < found.mean < found.high <= found.wide_high < 0.04
    assert found.p == pytest.approx(stats.wilcoxon((one - other).mean(axis=0)).pvalue)
    # Far less than what unpaired subjects would leave.
    assert found.high - found.low < 0.1 * np.ptp(statistics.interval(one.mean(axis=0)))
    fewer = statistics.paired(one[:2], other)
    assert fewer.mean == pytest.approx(one[:2].mean() - other.mean())
    with pytest.raises(MrisslError, match="same subjects"):
        statistics.paired(one, other[:, 1:])


def test_what_n_allows():
    assert statistics.finest_difference(20) == 0.02
    assert statistics.finest_difference(80) == pytest.approx(0.01)
    assert statistics.finest_difference(40) == pytest.approx(0.02 / math.sqrt(2))
    assert statistics.too_fine(0.019, 0.01, 0.03, 20)
    assert not statistics.too_fine(-0.021, -0.03, -0.01, 20)
    assert statistics.too_fine(0.05, -0.001, 0.1, 20)
    with pytest.raises(MrisslError, match="subjects"):
        statistics.finest_difference(0)


def test_an_interval_narrows_with_the_root_of_n():
    """What the rule on small differences is inferred from."""
    random = np.random.default_rng(0)
    widths = [
        np.mean([np.ptp(statistics.interval(random.normal(0, 1, n), k)) for k in range(8)])
        for n in (20, 80)
    ]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.25)


def test_a_handful_of_subjects_shows_nothing():
    # Two-sided signs of five equal differences have a chance of 2 / 2**5 = 0.06.
    assert stats.wilcoxon(np.arange(1, 6)).pvalue > 0.05
    assert stats.wilcoxon(np.arange(1, 7)).pvalue < 0.05
    assert statistics.too_fine(0.3, 0.2, 0.4, 5)
    assert not statistics.too_fine(0.3, 0.2, 0.4, 6)
    assert statistics.may_be_none(0.2, 0.4, 5)
    assert not statistics.may_be_none(0.2, 0.4, 6)
    assert statistics.may_be_none(-0.1, 0.4, 6)


def test_draws_of_one_side_are_drawn_anew_by_themselves():
    """Chance on one side only: the wide interval is that of loops over draws and subjects."""
    random = np.random.default_rng(2)
    subject = random.normal(0.5, 0.1, 15)
    one = (subject + 0.05 + random.normal(0, 0.02, 15))[None]
    other = subject + random.normal(0, 0.05, (3, 1)) + random.normal(0, 0.01, (3, 15))
    found = statistics.paired(one, other)
    means = []
    for _ in range(4000):
        draws, people = random.integers(0, 3, 3), random.integers(0, 15, 15)
        means.append(one[0, people].mean() - other[np.ix_(draws, people)].mean())
    low, high = np.percentile(means, (2.5, 97.5))
    assert (found.wide_low, found.wide_high) == pytest.approx((low, high), abs=0.004)
    assert found.wide_high - found.wide_low > 1.5 * (found.high - found.low)
    assert (found.low, found.high) == statistics.interval(one[0] - other.mean(axis=0))


def test_draws_that_do_not_belong_together_are_not_paired():
    random = np.random.default_rng(3)
    draws = random.normal(0, 0.1, (4, 1))
    one = 0.6 + draws + random.normal(0, 0.001, (4, 20))
    other = 0.5 + draws + random.normal(0, 0.001, (4, 20))
    together = statistics.paired(one, other)
    apart = statistics.paired(one, other, matched=False)
    assert together.mean == pytest.approx(apart.mean)
    assert together.wide_high - together.wide_low < 0.01 < apart.wide_high - apart.wide_low
    with pytest.raises(MrisslError, match="4 and 3 draws"):
        statistics.paired(one, other[:3], matched=True)
