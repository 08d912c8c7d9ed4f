"""A nonlinear head on frozen features: one hidden layer, of single voxels, by scikit-learn.

A multilayer perceptron is what the field calls a nonlinear probe; the library's trains in
seconds, on one thread always the same. The decision is that of the linear head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.linear_head import Decision, best_amount

HIDDEN, EPOCHS, BATCH = 64, 20, 512
LEAST_STEPS = 1000
"""Few voxels are passed over more often, until there were as many steps."""

_VOXELS_AT_ONCE = 1 << 18
_BACKGROUND = 0


@dataclass(frozen=True, eq=False)
class NonlinearHead:
    """Scores of each class as a perceptron's function of a voxel's features.

    Attributes
    ----------
    classes
        (K,) labels.
    layers
        Weights and bias of each layer, on features as they are; ReLU between them.
    """

    classes: NDArray[np.integer]
    layers: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

    def scores(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(K, n) scores of features (C, n)."""
        values = np.asarray(features, np.float32)
        for number, (weights, bias) in enumerate(self.layers):
            values = weights.astype(np.float32) @ values + bias.astype(np.float32)[:, None]
            if number + 1 < len(self.layers):
                np.maximum(values, 0, out=values)
        return values

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.int32]:
        """Labels (S, A, R) of features (C, S, A, R)."""
        flat = features.reshape(len(features), -1)
        labels = np.empty(flat.shape[1], np.int32)
        for start in range(0, flat.shape[1], _VOXELS_AT_ONCE):
            part = slice(start, start + _VOXELS_AT_ONCE)
            labels[part] = self.classes[self.scores(flat[:, part]).argmax(axis=0)]
        return labels.reshape(features.shape[1:])

    def split(self) -> tuple[NDArray[np.float64], NonlinearHead]:
        """(H, C) what it does first, which is linear, and a head for what that gives."""
        (weights, bias), *rest = self.layers
        return weights, NonlinearHead(self.classes, ((np.eye(len(bias)), bias), *rest))


def fit(
    rows: Sequence[NDArray[np.floating]],
    labels: Sequence[NDArray[np.integer]],
    decision: Decision = "dice",
    seed: int = 0,
) -> NonlinearHead:
    """Fit to voxels of several scans by Adam, in 20 passes or at least 1,000 steps.

    Parameters
    ----------
    rows
        (n, C) features of each scan's voxels.
    labels
        (n,) of the same voxels.
    decision
        See `linear_head.fit`.
    seed
        Of the first weights and the order of voxels.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    x = np.concatenate(rows).astype(np.float64)
    y = np.concatenate(labels)
    classes = np.unique(y)
    if len(classes) == 1:
        return NonlinearHead(classes, ((np.zeros((1, x.shape[1])), np.zeros(1)),))
    center, spread = x.mean(axis=0), x.std(axis=0)
    # A channel that is the same everywhere says nothing, and must not divide by zero.
    spread = np.where(spread > 1e-12 * (1 + np.abs(center)), spread, np.inf)
    batches = -(-len(x) // BATCH)
    passes = max(EPOCHS, -(-LEAST_STEPS // batches))
    network = MLPClassifier(
        (HIDDEN,), batch_size=min(BATCH, len(x)), max_iter=passes, tol=0.0,
        n_iter_no_change=passes, random_state=seed,
    )  # fmt: skip
    # One thread, so that the fit does not depend on how many cores there are.
    with threadpool_limits(1), warnings.catch_warnings():
        # The number of passes is the protocol's, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(((x - center) / spread).astype(np.float32), y)
    layers = _layers(network, center, spread)
    head = NonlinearHead(classes, layers)
    if decision == "dice" and classes[0] == _BACKGROUND:
        scores = head.scores(x.T).T.astype(np.float64)
        layers[-1][1][0] -= best_amount(scores, np.searchsorted(classes, y))
    return head


def _layers(
    network: Any, center: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """Both layers on features as they are, with a score for each class."""
    first, last = (np.asarray(w, np.float64).T for w in network.coefs_)
    hidden, bias = (np.asarray(b, np.float64) for b in network.intercepts_)
    first = first / spread
    hidden = hidden - first @ np.where(np.isfinite(center), center, 0)
    if len(last) == 1:  # two classes have one decision function between them
        last, bias = np.concatenate([-last / 2, last / 2]), np.r_[-bias / 2, bias / 2]
    return (first, hidden), (last, bias)
