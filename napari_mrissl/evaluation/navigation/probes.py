"""Linear probes of frozen features, by scikit-learn; penalties chosen among training subjects.

Features are standardised, and those of more numbers brought to as many principal components of
the training rows as the probe allows, so that none of these has more weights to fit than another;
a source that has fewer keeps what it has, and can fit less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating]

COMPONENTS = 256
_PENALTIES = tuple(10.0**k for k in range(-2, 7))
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
_FOLDS = 5


def reduced(train: Rows, test: Rows, components: int = COMPONENTS) -> tuple[Rows, Rows]:
    """Training and test rows as principal components of the standardised training rows."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        scale = StandardScaler().fit(train)
        found, other = scale.transform(train), scale.transform(test)
        most = min(components, *train.shape)
        if train.shape[1] <= most:
            return found, other
        axes = PCA(most, svd_solver="full" if train.shape[1] <= 600 else "randomized",
                   random_state=0).fit(found)  # fmt: skip
        return axes.transform(found), axes.transform(other)


def folds(groups: NDArray[np.integer], seed: int = 0) -> list[tuple[Any, Any]]:
    """Splits by subject; of a single subject by slices, where nothing else is left."""
    from sklearn.model_selection import GroupKFold, KFold

    persons = len(np.unique(groups))
    if persons > 1:
        return list(GroupKFold(min(_FOLDS, persons)).split(groups, groups=groups))
    return list(KFold(min(_FOLDS, len(groups)), shuffle=True, random_state=seed).split(groups))


def regress(train: Rows, targets: Rows, groups: NDArray[np.integer], test: Rows) -> Rows:
    """Targets (n, D) of test rows by ridge regression; its penalty by cross-validation.

    Parameters
    ----------
    train, targets, groups
        (m, C), (m, D) and the subjects (m,).
    test
        (n, C).
    """
    from sklearn.linear_model import RidgeCV
    from threadpoolctl import threadpool_limits

    center, spread = targets.mean(axis=0), targets.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    with threadpool_limits(1):
        model = RidgeCV(_PENALTIES, cv=folds(groups), scoring="neg_mean_squared_error")
        model.fit(train, (targets - center) / spread)
        found: Rows = np.asarray(model.predict(test)).reshape(len(test), -1) * spread + center
    return found


def classify(
    train: Rows, classes: NDArray[Any], groups: NDArray[np.integer], test: Rows
) -> tuple[Rows, NDArray[Any]]:
    """Probabilities (n, K) of test rows, and the K classes, by logistic regression.

    Where a part of the cross-validation lacks a class the usual penalty is taken; of one class
    alone everything is sure.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from threadpoolctl import threadpool_limits

    known = np.unique(classes)
    if len(known) < 2:
        return np.ones((len(test), 1)), known
    splits = folds(groups)
    whole = all(len(np.unique(classes[part])) == len(known) for pair in splits for part in pair)
    with threadpool_limits(1):
        model: Any = LogisticRegression(max_iter=2000)
        if whole:
            grid = {"C": list(_STRENGTHS)}
            model = GridSearchCV(model, grid, cv=splits, scoring="neg_log_loss")
        model.fit(train, classes)
        return np.asarray(model.predict_proba(test)), known


def orthonormal(numbers: Rows) -> NDArray[np.float64]:
    """Rotations (n, 3, 3) of their first two columns one after the other (n, 6).

    By Gram and Schmidt, as in arXiv:1812.07035; columns right, up, normal.
    """
    right = numbers[:, :3] / _length(numbers[:, :3])
    up = numbers[:, 3:] - (numbers[:, 3:] * right).sum(axis=1, keepdims=True) * right
    up = up / _length(up)
    return np.stack([right, up, np.cross(right, up)], axis=2)


def six_numbers(rotations: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, 6) what `orthonormal` takes back."""
    return np.concatenate([rotations[:, :, 0], rotations[:, :, 1]], axis=1).astype(np.float64)


def geodesic_degrees(one: NDArray[np.floating], other: NDArray[np.floating]) -> Rows:
    """(n,) angles between rotations (n, 3, 3)."""
    trace = np.einsum("nij,nij->n", one, other)
    angles: Rows = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    return angles


def by_subject(values: NDArray[Any], subjects: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mean of each subject's values, those that are NaN left out; subjects with none too."""
    found = []
    for person in np.unique(subjects):
        own = np.asarray(values, np.float64)[subjects == person]
        known = own[~np.isnan(own)]
        if len(known):
            found.append(known.mean())
    return np.array(found)


def explained(
    true: Rows, found: Rows, mean: Rows, subjects: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Share of each subject's squares explained, where the training mean explains none (R2)."""
    shares = []
    for person in np.unique(subjects):
        own = subjects == person
        total = float(np.square(true[own] - mean).sum())
        if total > 0:
            shares.append(1 - float(np.square(true[own] - found[own]).sum()) / total)
    return np.array(shares)


def auroc(
    present: NDArray[np.bool_], scores: Rows, subjects: NDArray[np.integer]
) -> NDArray[np.float64]:
    """(persons,) area under the ROC curve, mean over labels (n, L) that some slices have."""
    from sklearn.metrics import roc_auc_score

    found = []
    for person in np.unique(subjects):
        own = subjects == person
        areas = [
            float(roc_auc_score(present[own, k], scores[own, k]))
            for k in range(present.shape[1])
            if 0 < present[own, k].sum() < own.sum()
        ]
        if areas:
            found.append(float(np.mean(areas)))
    return np.array(found, np.float64)


def _length(vectors: Rows) -> Rows:
    lengths: Rows = np.linalg.norm(vectors, axis=1, keepdims=True)
    return lengths


def kept_labels(labels: Sequence[NDArray[np.int64]], most: int) -> tuple[int, ...]:
    """The labels but 0 that cover most, at most so many, in the order of their numbers."""
    counts: dict[int, int] = {}
    for one in labels:
        for value, count in zip(*np.unique(one, return_counts=True), strict=True):
            counts[int(value)] = counts.get(int(value), 0) + int(count)
    largest = sorted((k for k in counts if k), key=lambda k: (-counts[k], k))[:most]
    return tuple(sorted(largest))
