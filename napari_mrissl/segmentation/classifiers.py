"""Classifiers by name: the fast default, fused linear ones, and scikit-learn's.

Every fit weights classes equally, whatever their numbers of prompts, and gives the same
model each time: sums run in one fixed order and every random number has a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.models import EstimatorModel, FusedModel, Model, Outputs

Rows = NDArray[np.float64]
Classes = NDArray[np.intp]
Weights = NDArray[np.float64]
Pool = NDArray[np.float32] | None
Fit = Callable[[Rows, Classes, Pool], Model]

_UNITS = 64
_RIDGE = 1e-2
_SHARP, _WIDE = 32, 2
"""Powers of separability with which channels enter the two halves of the fast classifier."""

_SHARP_SHARE = 2 / 3

_BIAS_RANGE = 2.0
_MOST_PER_CLASS = 1000
_SURE_PER_CLASS = 1000
_UNSURE_PART = 0.3
_PROMPT_WEIGHT = 20.0
_SEED = 0
_SHARPNESSES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)


class Classifier(NamedTuple):
    """A classifier that the user can choose.

    Attributes
    ----------
    title
        What the user reads.
    fit
        (n, C) features and (n,) class indices 0..K-1, all present, to a model.
    """

    title: str
    fit: Fit


def fit_classifier(
    name: str,
    features: NDArray[np.float32],
    classes: Classes,
    pool: NDArray[np.float32] | None = None,
) -> Model:
    """Fit the named classifier.

    Parameters
    ----------
    name
        A key of `CLASSIFIERS`.
    features
        (n, C), one row per labelled voxel.
    classes
        (n,) class indices 0..K-1, each present, K >= 2.
    pool
        (C, m) features of voxels without labels, from all over the volume; the fast
        classifier learns from them too.

    Raises
    ------
    MrisslError
        If there is no classifier of this name.
    """
    if name not in CLASSIFIERS:
        raise MrisslError(f"classifier {name!r}", expected=f"one of {', '.join(CLASSIFIERS)}")
    chosen = _thinned(classes)
    return CLASSIFIERS[name].fit(features[chosen].astype(np.float64), classes[chosen], pool)


def _thinned(classes: Classes) -> NDArray[np.intp]:
    """Long scribbles are thinned to evenly spread voxels, so that a fit stays instant."""
    kept = []
    for k in range(int(classes.max()) + 1):
        members = np.flatnonzero(classes == k)
        count = min(len(members), _MOST_PER_CLASS)
        kept.append(members[np.arange(count) * len(members) // count])
    return np.sort(np.concatenate(kept))


def _balanced(classes: Classes, weights: Weights | None = None) -> Weights:
    """Weights that sum to one and are equal for each class as a whole."""
    if weights is None:
        weights = np.ones(len(classes))
    totals = np.bincount(classes, weights)
    return np.asarray(weights / (len(totals) * totals[classes]), np.float64)


def separability(rows: Rows, classes: Classes, weights: Weights) -> NDArray[np.float64]:
    """How well each channel alone tells the classes apart, 0 to 1, averaged over pairs.

    For a pair it is the part of the variance that lies between the two classes.
    """
    member = np.eye(int(classes.max()) + 1)[classes] * weights[:, None]
    member /= member.sum(axis=0)
    means = np.einsum("nk,nc->kc", member, rows)
    spreads = np.einsum("nk,nkc->kc", member, (rows[:, None] - means) ** 2)
    one, other = np.triu_indices(len(means), 1)
    between = (means[one] - means[other]) ** 2 / 4
    within = (spreads[one] + spreads[other]) / 2
    return np.asarray((between / (between + within + 1e-12)).mean(axis=0), np.float64)


def _fit_fast(rows: Rows, classes: Classes, pool: Pool = None) -> FusedModel:
    """Fit to the prompts, then to them and the voxels of which that fit is sure.

    Each fit is a blend of two: a sharp one that trusts the few channels which tell the
    clicks apart best, and a wide one in which context helps too. The second fit
    (self-training) moves borders between classes to where voxels are few.
    """
    weights = _balanced(classes)
    if pool is None or pool.shape[1] == 0:
        return _fit_blend(rows, classes, weights, len(rows))
    sharp, _ = _fit_units(rows, classes, weights, len(rows), _SHARP)
    sure, guessed = _sure_voxels(sharp, pool)
    counts = np.r_[np.full(len(rows), _PROMPT_WEIGHT), np.ones(len(guessed))]
    both = np.concatenate([classes, guessed])
    return _fit_blend(np.concatenate([rows, sure]), both, _balanced(both, counts), len(rows))


def _fit_blend(rows: Rows, classes: Classes, weights: Weights, prompts: int) -> FusedModel:
    """The sharp and the wide fit as one model.

    Probabilities are calibrated on the first rows, the prompts, each left out in turn.
    """
    sharp, sharp_left_out = _fit_units(rows, classes, weights, prompts, _SHARP)
    wide, wide_left_out = _fit_units(rows, classes, weights, prompts, _WIDE)
    one, other = np.float32(_SHARP_SHARE), np.float32(1 - _SHARP_SHARE)
    left_out = _SHARP_SHARE * sharp_left_out + (1 - _SHARP_SHARE) * wide_left_out
    return FusedModel(
        np.concatenate([sharp.units, wide.units]),
        np.concatenate([sharp.unit_bias, wide.unit_bias]),
        one * sharp.linear + other * wide.linear,
        np.concatenate([one * sharp.weights, other * wide.weights], axis=1),
        one * sharp.bias + other * wide.bias,
        _best_sharpness(left_out, classes[:prompts]),
    )


def _sure_voxels(model: FusedModel, pool: NDArray[np.float32]) -> tuple[Rows, Classes]:
    """Each class among the pool without its least sure part, thinned evenly."""
    count, number = pool.shape[1], len(model.bias)
    outputs = Outputs(
        np.empty(count, np.uint8),
        np.empty((number, count), np.float32),
        np.empty(0, np.float32),
    )
    model.classify(pool, np.arange(number, dtype=np.uint8), outputs, 0, count)
    certainty = outputs.probability.max(axis=0)
    chosen = []
    for k in range(number):
        members = np.flatnonzero(outputs.labels == k)
        if len(members):
            members = members[certainty[members] >= np.quantile(certainty[members], _UNSURE_PART)]
            kept = min(len(members), _SURE_PER_CLASS)
            chosen.append(members[np.arange(kept) * len(members) // kept])
    voxels = np.concatenate(chosen)
    return pool[:, voxels].T.astype(np.float64), outputs.labels[voxels].astype(np.intp)


def _fit_units(
    rows: Rows, classes: Classes, weights: Weights, prompts: int, focus: int
) -> tuple[FusedModel, NDArray[np.float64]]:
    """Ridge regression on the features and rectified random projections of them.

    Channels enter in proportion to a power of their separability: with ten clicks a
    class, channels that do not tell the classes apart are only noise. Returned beside
    the model are the scores (prompts, K) of the first rows, each left out in turn.
    """
    center, spread = _center_and_spread(rows, weights)
    shares = separability(rows, classes, weights)
    scale = (shares / max(float(shares.max()), 1e-12)) ** focus / spread
    scaled = (rows - center) * scale

    random = np.random.Generator(np.random.PCG64(_SEED))
    directions = random.standard_normal((_UNITS, rows.shape[1]))
    offsets = random.uniform(-_BIAS_RANGE, _BIAS_RANGE, _UNITS)
    variance = ((scaled**2) * weights[:, None]).sum(axis=0)
    directions /= np.sqrt((directions**2 * variance).sum(axis=1, keepdims=True)) + 1e-12
    hidden = np.maximum(np.einsum("nc,uc->nu", scaled, directions) + offsets, 0)

    design = np.concatenate([scaled, hidden, np.ones((len(rows), 1))], axis=1)
    solution, left_out = _ridge(design, classes, weights, prompts)
    channels = rows.shape[1]
    linear = solution[:channels].T * scale
    units = directions * scale
    model = FusedModel(
        np.ascontiguousarray(units, np.float32),
        np.asarray(offsets - units @ center, np.float32),
        np.ascontiguousarray(linear, np.float32),
        np.ascontiguousarray(solution[channels:-1].T, np.float32),
        np.asarray(solution[-1] - linear @ center, np.float32),
    )
    return model, left_out


def _ridge(
    design: NDArray[np.float64], classes: Classes, weights: Weights, prompts: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (P, K) for one-of-K targets, and the scores of the first rows, each left out.

    `design` is (n, P); left-out scores (prompts, K) come from the leverage of each row.
    """
    from napari_mrissl.segmentation import kernels

    size = design.shape[1]
    targets = np.eye(int(classes.max()) + 1)[classes]
    gram = np.empty((size, size))
    kernels.weighted_gram(design, weights, gram)
    gram[np.diag_indices(size)] += _RIDGE
    wanted = np.einsum("np,nk->pk", design, targets * weights[:, None])
    shown = design[:prompts]
    solved = np.concatenate([wanted, shown.T], axis=1)
    kernels.solve_positive(gram, solved)
    solution, influence = solved[:, : targets.shape[1]], solved[:, targets.shape[1] :]
    leverage = np.einsum("pn,np->n", influence, shown) * weights[:prompts]
    fitted = np.einsum("np,pk->nk", shown, solution)
    rest = np.maximum(1 - leverage, 1e-6)[:, None]
    return solution, (fitted - leverage[:, None] * targets[:prompts]) / rest


def _best_sharpness(scores: NDArray[np.float64], classes: Classes) -> float:
    """The factor for which the softmax of left-out scores predicts the prompts best."""
    weights, losses = _balanced(classes), []
    for sharpness in _SHARPNESSES:
        logits = sharpness * (scores - scores.max(axis=1, keepdims=True))
        wrong = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(classes)), classes]
        losses.append(float((weights * wrong).sum()))
    return _SHARPNESSES[int(np.argmin(losses))]


def _center_and_spread(
    rows: Rows, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    center = (rows * weights[:, None]).sum(axis=0)
    spread = np.sqrt((((rows - center) ** 2) * weights[:, None]).sum(axis=0)) + 1e-4
    return center, spread


def _fit_linear(make: Callable[[], Any]) -> Fit:
    """A linear scikit-learn classifier, run by the compiled kernel."""

    def fit(rows: Rows, classes: Classes, pool: Pool = None) -> FusedModel:
        center, spread = _center_and_spread(rows, _balanced(classes))
        estimator = _fitted(make(), (rows - center) / spread, classes)
        linear, bias = np.atleast_2d(estimator.coef_), np.atleast_1d(estimator.intercept_)
        if len(linear) == 1:  # two classes have one decision function between them
            linear, bias = np.concatenate([-linear / 2, linear / 2]), np.r_[-bias / 2, bias / 2]
        linear = linear / spread
        nothing = np.empty((len(bias), 0), np.float32)
        return FusedModel(
            np.empty((0, rows.shape[1]), np.float32),
            np.empty(0, np.float32),
            np.ascontiguousarray(linear, np.float32),
            nothing,
            np.asarray(bias - linear @ center, np.float32),
        )

    return fit


def _fit_estimator(make: Callable[[], Any]) -> Fit:
    def fit(rows: Rows, classes: Classes, pool: Pool = None) -> EstimatorModel:
        return EstimatorModel(_fitted(make(), rows.astype(np.float32), classes))

    return fit


def _fitted(estimator: Any, rows: NDArray[Any], classes: Classes) -> Any:
    """One BLAS thread, so that the fit does not depend on how many there are."""
    import inspect

    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        if "sample_weight" in inspect.signature(estimator.fit).parameters:
            weights = _balanced(classes) * len(classes)
            return estimator.fit(rows, classes, sample_weight=weights)
        return estimator.fit(rows, classes)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _lda() -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return _EqualPriors(LinearDiscriminantAnalysis, solver="lsqr", shrinkage=0.1)


class _EqualPriors:
    """Give a discriminant analysis equal priors once the number of classes is known."""

    def __init__(self, kind: type, **options: Any) -> None:
        self._kind, self._options = kind, options

    def fit(self, rows: NDArray[Any], classes: Classes) -> Any:
        """Fit and return the estimator itself."""
        count = int(classes.max()) + 1
        estimator = self._kind(priors=np.full(count, 1 / count), **self._options)
        # Twice each row changes no mean and no covariance, but makes those of one row defined.
        return estimator.fit(np.repeat(rows, 2, axis=0), np.repeat(classes, 2))


def _random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, random_state=_SEED)


def _extra_trees() -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(100, random_state=_SEED)


class _NearestNeighbours:
    """Five of them, or all where fewer are marked."""

    def fit(self, rows: NDArray[Any], classes: Classes) -> Any:
        """Fit and return the estimator itself."""
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        nearest = KNeighborsClassifier(min(5, len(rows)), weights="distance")
        return make_pipeline(StandardScaler(), nearest).fit(rows, classes)


def _gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100, max_depth=5, min_samples_leaf=3, random_state=_SEED, early_stopping=False
    )


DEFAULT = "fast"

CLASSIFIERS: dict[str, Classifier] = {
    DEFAULT: Classifier("fast (ridge on random units)", _fit_fast),
    "logistic": Classifier("logistic regression", _fit_linear(_logistic)),
    "lda": Classifier("linear discriminant analysis", _fit_linear(_lda)),
    "random_forest": Classifier("random forest", _fit_estimator(_random_forest)),
    "extra_trees": Classifier("extremely randomised trees", _fit_estimator(_extra_trees)),
    "knn": Classifier("five nearest neighbours", _fit_estimator(_NearestNeighbours)),
    "gradient_boosting": Classifier("gradient boosting", _fit_estimator(_gradient_boosting)),
}
"""What can be chosen by name, the default first."""
