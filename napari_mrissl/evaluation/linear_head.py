"""A linear head on frozen features: multinomial logistic regression of single voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_VOXELS_AT_ONCE = 1 << 18


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


def fit(rows: Sequence[NDArray[np.floating]], labels: Sequence[NDArray[np.integer]]) -> LinearHead:
    """Fit to voxels of several scans.

    Features are standardised on these voxels; the L2 penalty is scikit-learn's usual one
    (C = 1), which many voxels leave without weight. Classes count as often as they were drawn.

    Parameters
    ----------
    rows
        (n, C) features of each scan's voxels.
    labels
        (n,) of the same voxels.
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
    return LinearHead(classes, weights, bias - weights @ center)
