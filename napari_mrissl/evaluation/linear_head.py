"""A linear head on frozen features: multinomial logistic regression of single voxels.

A small structure is nowhere the likeliest class of a voxel that is known by few features: by
that decision every source would score nothing. Dice is best served by another one, a lower
threshold for the foreground (Lipton et al. 2014, arXiv:1402.1892: half the best score, for one
label). Here it is one number for all labels, chosen on the training voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Decision = Literal["dice", "likeliest"]

_VOXELS_AT_ONCE = 1 << 18
_BACKGROUND = 0


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Scores of each class as a linear function of a voxel's features.

    Attributes
    ----------
    classes
        (K,) labels.
    weights, bias
        (K, C) and (K,), on features as they are.
    """

    classes: NDArray[np.integer]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.int32]:
        """Labels (S, A, R) of features (C, S, A, R)."""
        flat = features.reshape(len(features), -1)
        labels = np.empty(flat.shape[1], np.int32)
        weights = self.weights.astype(np.float32)
        bias = self.bias.astype(np.float32)[:, None]
        for start in range(0, flat.shape[1], _VOXELS_AT_ONCE):
            part = slice(start, start + _VOXELS_AT_ONCE)
            labels[part] = self.classes[(weights @ flat[:, part] + bias).argmax(axis=0)]
        return labels.reshape(features.shape[1:])

    def split(self) -> tuple[NDArray[np.float64], LinearHead]:
        """(K, C) what it does first, which is linear, and a head for what that gives."""
        return self.weights, LinearHead(self.classes, np.eye(len(self.bias)), self.bias)


def fit(
    rows: Sequence[NDArray[np.floating]],
    labels: Sequence[NDArray[np.integer]],
    decision: Decision = "dice",
) -> LinearHead:
    """Fit to voxels of several scans.

    Features are standardised on these voxels; the L2 penalty is scikit-learn's usual one
    (C = 1), which many voxels leave without weight. Classes count as often as they were drawn.

    Parameters
    ----------
    rows
        (n, C) features of each scan's voxels.
    labels
        (n,) of the same voxels.
    decision
        ``"likeliest"`` class, or that which has the best mean Dice on these voxels when
        background, 0, is taken back by one amount.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    x = np.concatenate(rows).astype(np.float64)
    y = np.concatenate(labels)
    classes = np.unique(y)
    if len(classes) == 1:
        return LinearHead(classes, np.zeros((1, x.shape[1])), np.zeros(1))
    center, spread = x.mean(axis=0), x.std(axis=0)
    # A channel that is the same everywhere says nothing, and must not divide by zero.
    spread = np.where(spread > 1e-12 * (1 + np.abs(center)), spread, np.inf)
    # One thread, so that the fit does not depend on how many cores there are.
    with threadpool_limits(1):
        # Newton's method: far more voxels than channels times classes.
        head = LogisticRegression(solver="newton-cholesky", tol=1e-6)
        head.fit((x - center) / spread, y)
    weights, bias = np.asarray(head.coef_), np.asarray(head.intercept_)
    if len(weights) == 1:  # two classes have one decision function between them
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.r_[-bias / 2, bias / 2]
    weights = weights / spread
    bias = bias - weights @ center
    if decision == "dice" and classes[0] == _BACKGROUND:
        bias[0] -= best_amount(x @ weights.T + bias, np.searchsorted(classes, y))
    return LinearHead(classes, weights, bias)


def best_amount(scores: NDArray[np.float64], classes: NDArray[np.integer]) -> float:
    """By how much background's score is to be lowered for the best mean Dice of the others.

    Parameters
    ----------
    scores
        (n, K), background first.
    classes
        (n,) 0 to K - 1.
    """
    likeliest = 1 + scores[:, 1:].argmax(axis=1)
    margins = scores[:, 0] - scores[:, 1:].max(axis=1)
    order = np.argsort(margins, kind="stable")
    margins, likeliest, truth = margins[order], likeliest[order], classes[order]
    total = np.zeros(len(order))
    for k in range(1, scores.shape[1]):
        ours = likeliest == k
        common = np.cumsum(ours & (truth == k))
        total += 2 * common / (np.cumsum(ours) + np.count_nonzero(truth == k))
    # Voxels of the same margin are taken together or not at all.
    apart = np.r_[np.diff(margins) > 0, True]
    last = int(np.flatnonzero(apart)[total[apart].argmax()])
    if last + 1 == len(margins):
        return float(margins[last]) + 1.0
    return float(margins[last] + margins[last + 1]) / 2
