"""Intervals and tests of paired results: the unit is the subject.

A subject's score is averaged over draws and seeds first. Intervals come from drawing subjects
anew (10,000 times, percentiles); p-values from Wilcoxon's signed-rank test, by Holm's procedure
for all labels of a comparison together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.draws import generator

RESAMPLED = 10_000
LEVEL = 0.05

_AT_ONCE = 500
_PERCENTILES = (100 * LEVEL / 2, 100 * (1 - LEVEL / 2))
_KNOWN_SUBJECTS, _KNOWN_DIFFERENCE = 20, 0.02

_REMEMBERED = 20_000

K = TypeVar("K")
F = TypeVar("F", bound=Callable[..., Any])
Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Numbers:
    """An array by what is in it."""

    content: bytes
    shape: tuple[int, ...]

    @classmethod
    def of(cls, argument: Any) -> Any:
        """An array as numbers; anything else as it is."""
        if not isinstance(argument, np.ndarray):
            return argument
        return cls(np.asarray(argument, np.float64).tobytes(), argument.shape)

    @staticmethod
    def back(argument: Any) -> Any:
        """What `of` was given."""
        if not isinstance(argument, _Numbers):
            return argument
        return np.frombuffer(argument.content).reshape(argument.shape)


def _remembered(measure: F) -> F:
    """Of the same numbers it is known: tables are written after each source, with all rows."""

    @lru_cache(maxsize=_REMEMBERED)
    def known(*given: Any, **named: Any) -> Any:
        return measure(
            *map(_Numbers.back, given), **{key: _Numbers.back(one) for key, one in named.items()}
        )

    @wraps(measure)
    def asked(*given: Any, **named: Any) -> Any:
        return known(
            *map(_Numbers.of, given), **{key: _Numbers.of(one) for key, one in named.items()}
        )

    return cast("F", asked)


@dataclass(frozen=True)
class Paired:
    """How two methods differ on the same subjects.

    Attributes
    ----------
    subjects
        How many.
    mean
        Difference, averaged over subjects, draws and seeds.
    low, high
        95 % interval over subjects, draws as they are.
    wide_low, wide_high
        95 % interval over draws and subjects, both drawn anew; the same where both have one draw.
    p
        Of Wilcoxon's signed-rank test, two-sided, for this comparison alone.
    """

    subjects: int
    mean: float
    low: float
    high: float
    wide_low: float
    wide_high: float
    p: float


@_remembered
def interval(values: Values, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean, by drawing its values anew (percentile bootstrap).

    Parameters
    ----------
    values
        (n,), one of each subject.
    seed
        Of the drawing.
    """
    rng = generator(seed, len(values), "bootstrap")
    means = np.concatenate(
        [
            values[rng.integers(0, len(values), (_AT_ONCE, len(values)))].mean(axis=1)
            for _ in range(RESAMPLED // _AT_ONCE)
        ]
    )
    return _percentiles(means)


def wide_interval(values: Values, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean over draws and subjects, by drawing both anew.

    Every subject is measured in every draw, so rows and columns are drawn independently
    (Owen and Eckles 2012, arXiv:1106.2125: wide rather than narrow for crossed factors).

    Parameters
    ----------
    values
        (draws, subjects).
    seed
        Of the drawing.
    """
    draws, subjects = values.shape
    if draws == 1:
        return interval(values[0], seed)
    rng = generator(seed, draws * 1_000_003 + subjects, "bootstrap of draws and subjects")
    return _percentiles(_means(values, rng, rng))


@_remembered
def paired(one: Values, other: Values, seed: int = 0, matched: bool | None = None) -> Paired:
    """How one method differs from another.

    Parameters
    ----------
    one, other
        (draws, subjects) scores of the same subjects in the same order.
    seed
        Of the drawing of subjects.
    matched
        Whether draws of the same place belong together: they are then drawn anew together, and
        those of each side by themselves otherwise, so that a side with one draw, which knows no
        chance, stays as it is. Without it they belong together where they are as many.

    Raises
    ------
    MrisslError
        If the subjects are not the same number, or there are none; or draws that belong
        together are not as many.
    """
    if one.shape[1] != other.shape[1] or not one.size or not other.size:
        raise MrisslError(
            f"scores of {one.shape[1]} and of {other.shape[1]} subjects",
            expected="the same subjects",
        )
    same = len(one) == len(other)
    if matched and not same:
        raise MrisslError(f"{len(one)} and {len(other)} draws", expected="the same draws")
    if same if matched is None else matched:
        by_subject = (one - other).mean(axis=0)
        wide = wide_interval(one - other, seed)
    else:
        by_subject = one.mean(axis=0) - other.mean(axis=0)
        wide = _wide_apart(one, other, seed)
    return Paired(
        one.shape[1],
        float(by_subject.mean()),
        *interval(by_subject, seed),
        *wide,
        wilcoxon(by_subject),
    )


def wilcoxon(differences: Values) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test, by scipy; 1 if nothing differs.

    Exact for up to 50 subjects without ties or zeros, and by normal approximation otherwise;
    zeros are left out, as Wilcoxon did.
    """
    from scipy import stats

    # What differs by rounding only is a tie, or its sign would count.
    rounded = np.round(differences, 12)
    if not rounded.any():
        return 1.0
    return float(stats.wilcoxon(rounded, zero_method="wilcox", alternative="two-sided").pvalue)


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """P-values adjusted for how many there are (Holm 1979, step-down), in the order given."""
    adjusted: dict[K, float] = {}
    largest = 0.0
    for rank, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[key] = largest
    return {key: adjusted[key] for key in p_values}


def finest_difference(subjects: int) -> float:
    """The least difference of Dice that so many subjects allow a claim of.

    Two points at 20 subjects, as the interval of a mean Dice is there about eight points wide
    (El Jurdi et al. 2023, arXiv:2307.10926); for other numbers by its width, which falls with
    the square root of how many there are. Inferred: the paper gives widths, not this rule.

    Raises
    ------
    MrisslError
        If there are no subjects.
    """
    if subjects < 1:
        raise MrisslError(f"{subjects} subjects", expected="at least one")
    return _KNOWN_DIFFERENCE * math.sqrt(_KNOWN_SUBJECTS / subjects)


FEWEST = 6
"""Subjects with fewer of which Wilcoxon's two-sided p cannot come below 0.05."""


def may_be_none(low: float, high: float, subjects: int) -> bool:
    """Whether a difference with this interval may be none, or too few subjects show it."""
    return subjects < FEWEST or low <= 0 <= high


def too_fine(mean: float, low: float, high: float, subjects: int) -> bool:
    """Whether a difference of Dice may not be claimed: too small for n, or it may be none."""
    return abs(mean) < finest_difference(subjects) or may_be_none(low, high, subjects)


def _wide_apart(one: Values, other: Values, seed: int) -> tuple[float, float]:
    """As `wide_interval`, of a difference whose sides have draws of their own."""
    if len(one) == len(other) == 1:
        return interval((one - other)[0], seed)
    key = (len(one) * 1009 + len(other)) * 1_000_003 + one.shape[1]
    ours, theirs = (generator(seed, key, f"bootstrap of draws, {side}") for side in (1, 2))
    # Subjects are the same on both sides: each side draws them by a generator of the same state.
    first, second = (generator(seed, key, "bootstrap of subjects") for _ in (1, 2))
    return _percentiles(_means(one, ours, first) - _means(other, theirs, second))


def _means(values: Values, of_draws: Generator, of_subjects: Generator) -> Values:
    """(`RESAMPLED`,) means with draws and subjects drawn anew."""
    draws, subjects = values.shape
    means = []
    for _ in range(RESAMPLED // _AT_ONCE):
        rows = _counts(of_draws.integers(0, draws, (_AT_ONCE, draws)), draws)
        columns = _counts(of_subjects.integers(0, subjects, (_AT_ONCE, subjects)), subjects)
        means.append(np.einsum("bd,ds,bs->b", rows, values, columns) / (draws * subjects))
    return np.concatenate(means)


def _percentiles(means: Values) -> tuple[float, float]:
    low, high = np.percentile(means, _PERCENTILES)
    return float(low), float(high)


def _counts(chosen: NDArray[np.integer], size: int) -> Values:
    """How often each of ``size`` was chosen, row by row."""
    counts = np.zeros((len(chosen), size))
    np.add.at(counts, (np.arange(len(chosen))[:, None], chosen), 1.0)
    return counts
