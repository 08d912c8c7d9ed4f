"""Where a network thinks that views are: positions that fit a predicted matrix best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist, squareform

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.observable.gaps import norms, off_diagonal

Floats = NDArray[np.float64]

_DEALS = 64
Source = Literal["norm", "vectors"]
"""Distances alone, which leave turn and mirror image open; or vectors, which do not."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions rebuilt from a predicted matrix, laid over the true ones.

    Attributes
    ----------
    source
        What they were rebuilt from.
    points_mm
        (V, 3) along the scan's axes (R, A, S), laid over the true positions: moved, and where
        they come from distances also turned and mirrored. Never scaled.
    errors_mm
        (V,) distance from each true position.
    stress
        How badly any positions in space can explain the matrix: root of the squared misfits
        over the squared predictions; 0 where they explain it wholly. Kruskal's stress 1 is over
        the squared distances of the positions, which may all be 0.
    chance_mm
        What `error_mm` is worth without a network: of all views in one point, or where that is
        less and positions may be turned, the mean over true positions dealt out to the views at
        random and laid over the true ones alike.
    """

    source: Source
    points_mm: Floats
    errors_mm: Floats
    stress: float
    chance_mm: float

    @property
    def error_mm(self) -> float:
        """Root mean square distance from the true positions."""
        return _size(self.errors_mm)


def by_distances(distances: ArrayLike) -> Floats:
    """(V, 3) points whose distances are nearest to (V, V) ones: classical scaling.

    Torgerson 1952; the matrix is made symmetric first, and its diagonal 0.

    Raises
    ------
    MrisslError
        If it is not a square of finite numbers.
    """
    given = _square(distances)
    symmetric = (given + given.T) / 2
    np.fill_diagonal(symmetric, 0)
    centring = np.eye(len(given)) - 1 / len(given)
    values, axes = np.linalg.eigh(-centring @ symmetric**2 @ centring / 2)
    order = np.argsort(values)[::-1][:3]
    points = np.zeros((len(given), 3))
    points[:, : len(order)] = axes[:, order] * np.sqrt(np.maximum(values[order], 0))
    return points


def by_vectors(vectors: ArrayLike) -> Floats:
    """(V, 3) points about 0 whose differences are nearest to vectors (V, V, 3), by least squares.

    In closed form, as every pair is there: the mean of what all others say of a view.

    Raises
    ------
    MrisslError
        If it is not a square of finite vectors.
    """
    given = _square(vectors)
    points: Floats = (given.mean(axis=0) - given.mean(axis=1)) / 2
    return points


def laid_over(points: ArrayLike, true: ArrayLike, *, turn: bool) -> Floats:
    """Points (V, 3) moved onto true ones; with ``turn`` also turned and mirrored, never scaled."""
    given, wanted = np.asarray(points, np.float64), np.asarray(true, np.float64)
    middle = wanted.mean(axis=0)
    centred = given - given.mean(axis=0)
    if turn:
        centred = centred @ orthogonal_procrustes(centred, wanted - middle)[0]
    placed: Floats = centred + middle
    return placed


def layout(vectors_mm: ArrayLike, true_mm: ArrayLike, source: Source = "vectors") -> Layout:
    """Rebuild positions from predicted vectors (V, V, 3), or from their lengths alone.

    Parameters
    ----------
    vectors_mm
        From view i to view j.
    true_mm
        (V, 3) the true positions.
    source
        What is looked at.

    Raises
    ------
    MrisslError
        If the matrix is not a square of finite vectors.
    """
    given = _square(vectors_mm)
    true = np.asarray(true_mm, np.float64)
    others = off_diagonal(len(given))
    if source == "norm":
        lengths = norms(given)
        points = by_distances(lengths)
        misfit = (squareform(pdist(points)) - lengths)[others]
        size = lengths[others]
    else:
        points = by_vectors(given)
        misfit = (points[None, :] - points[:, None] - given)[others]
        size = given[others]
    total = float(np.sum(size**2))
    placed = laid_over(points, true, turn=source == "norm")
    return Layout(
        source,
        placed,
        np.linalg.norm(placed - true, axis=1),
        float(np.sqrt(np.sum(misfit**2) / total)) if total else 0.0,
        _chance(true, turn=source == "norm"),
    )


def _chance(true: Floats, *, turn: bool) -> float:
    """Root mean square error of who knows nothing, see `Layout.chance_mm`."""
    one_point = _size(np.linalg.norm(true - true.mean(axis=0), axis=1))
    if not turn:
        return one_point
    # Turned onto the true ones, any few points come near them.
    if math.factorial(len(true)) <= _DEALS:
        orders = [list(order) for order in permutations(range(len(true)))]
    else:
        rng = np.random.default_rng(0)
        orders = [rng.permutation(len(true)).tolist() for _ in range(_DEALS)]
    dealt = [
        _size(np.linalg.norm(laid_over(true[order], true, turn=True) - true, axis=1))
        for order in orders
    ]
    return min(one_point, float(np.mean(dealt)))


def _size(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _square(matrix: ArrayLike) -> Floats:
    given = np.array(matrix, np.float64)
    if given.ndim < 2 or given.shape[0] != given.shape[1] or not np.isfinite(given).all():
        raise MrisslError(
            f"a matrix of shape {given.shape}", expected="a square of finite numbers in mm"
        )
    return given
