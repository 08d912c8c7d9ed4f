"""How far a predicted gap matrix agrees with itself, and with the truth, in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from napari_mrissl.pretext.observable.gaps import CHANNELS, channel, norms, off_diagonal

Floats = NDArray[np.float64]

BINS = 6
BY_CONSTRUCTION = ("diagonal_mm", "antisymmetry_mm", "triangle_violations")
"""What is 0, but for rounding, of all differences of places."""
_SLACK = 1e-6


@dataclass(frozen=True)
class Bin:
    """Predictions for true distances of about the same length.

    Attributes
    ----------
    low_mm, high_mm
        The true distances that it holds.
    pairs
        How many.
    true_mm, predicted_mm
        Their means.
    error_mm
        Mean absolute error of the predicted lengths.
    """

    low_mm: float
    high_mm: float
    pairs: int
    true_mm: float
    predicted_mm: float
    error_mm: float


@dataclass(frozen=True, eq=False)
class Consistency:
    """What a predicted matrix is worth; channels are R, A, S and norm.

    Attributes
    ----------
    diagonal_mm
        Mean length of the predicted gap of a view from itself.
    antisymmetry_mm
        Mean length of a predicted gap plus the one back.
    triangle_violations
        Share of triples of views whose longest predicted distance is more than the sum of the
        other two, by a millionth of it.
    mae_mm, chance_mae_mm
        Mean absolute errors of different views by channel: of the prediction, and of the best
        constant answer to this very matrix.
    spearman
        Rank correlation of predicted and true values by channel; NaN where all are the same.
    slope
        Of the line through 0 from true to predicted values by channel: 1 where the scale is
        right; NaN where no views are apart.
    bins
        By true distance.
    closed
        Whether `BY_CONSTRUCTION` are 0 whatever was learned, and say nothing of the network.
    """

    diagonal_mm: float
    antisymmetry_mm: float
    triangle_violations: float
    mae_mm: Mapping[str, float]
    chance_mae_mm: Mapping[str, float]
    spearman: Mapping[str, float]
    slope: Mapping[str, float]
    bins: tuple[Bin, ...]
    closed: bool = False

    def plain(self) -> dict[str, Any]:
        """JSON-ready; what is not known is None."""
        return {
            "diagonal_mm": self.diagonal_mm,
            "antisymmetry_mm": self.antisymmetry_mm,
            "triangle_violations": self.triangle_violations,
            "mae_mm_by_axis": _known(self.mae_mm),
            "chance_mae_mm_by_axis": _known(self.chance_mae_mm),
            "spearman_by_axis": _known(self.spearman),
            "slope_by_axis": _known(self.slope),
            "reliability": [vars(one) for one in self.bins],
            "zero_by_construction": list(BY_CONSTRUCTION) if self.closed else [],
        }


def consistency(
    predicted_mm: ArrayLike, true_mm: ArrayLike, *, closed: bool = False
) -> Consistency:
    """Compare gaps (V, V, 3) in mm with themselves and with the true ones.

    Parameters
    ----------
    predicted_mm, true_mm
        From view i to view j.
    closed
        Whether the predicted ones are differences of places by construction.
    """
    predicted = np.asarray(predicted_mm, np.float64)
    true = np.asarray(true_mm, np.float64)
    others = off_diagonal(len(predicted))
    values = {name: (channel(predicted, name)[others], channel(true, name)[others])
              for name in CHANNELS}  # fmt: skip
    lengths = norms(predicted)
    return Consistency(
        diagonal_mm=float(np.diagonal(lengths).mean()),
        antisymmetry_mm=float(norms(predicted + predicted.swapaxes(0, 1))[others].mean()),
        triangle_violations=triangle_violations(lengths),
        mae_mm={name: float(np.abs(p - t).mean()) for name, (p, t) in values.items()},
        chance_mae_mm={
            name: float(np.abs(t - np.median(t)).mean()) for name, (_, t) in values.items()
        },
        spearman={name: spearman(p, t) for name, (p, t) in values.items()},
        slope={name: _slope(p, t) for name, (p, t) in values.items()},
        bins=_bins(*values["norm"]),
        closed=closed,
    )


def triangle_violations(distances: ArrayLike) -> float:
    """Share of triples of views whose longest distance exceeds the sum of the other two.

    Of (V, V) distances, made symmetric by their mean; 0 for fewer than three views.
    """
    given = np.asarray(distances, np.float64)
    symmetric = (given + given.T) / 2
    views = len(given)
    broken = 0
    # Only the longest side can exceed the two others: no triple is counted twice.
    for corner in range(views):
        around = symmetric[:, corner, None] + symmetric[None, corner]
        longer = symmetric * (1 - _SLACK) > around
        longer[corner] = longer[:, corner] = False
        broken += int(np.triu(longer, 1).sum())
    return broken / math.comb(views, 3) if views > 2 else 0.0


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Rank correlation of two lists; NaN where either is constant."""
    ranks = [rankdata(one) for one in (first, second)]
    centred = [one - one.mean() for one in ranks]
    size = math.sqrt(float(np.prod([one @ one for one in centred])))
    return float(centred[0] @ centred[1]) / size if size else math.nan


def _slope(predicted: Floats, true: Floats) -> float:
    total = float(true @ true)
    return float(predicted @ true) / total if total else math.nan


def _bins(predicted: Floats, true: Floats) -> tuple[Bin, ...]:
    """As many pairs in each, as far as equal distances allow."""
    edges = np.unique(np.quantile(true, np.linspace(0, 1, BINS + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0]])
    number = np.clip(np.searchsorted(edges, true, side="right") - 1, 0, len(edges) - 2)
    found = []
    for which in range(len(edges) - 1):
        own = number == which
        if own.any():
            found.append(
                Bin(
                    float(edges[which]),
                    float(edges[which + 1]),
                    int(own.sum()),
                    float(true[own].mean()),
                    float(predicted[own].mean()),
                    float(np.abs(predicted[own] - true[own]).mean()),
                )
            )
    return tuple(found)


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
