"""The best constant predictors: what vectors and boxes cost a network that learned nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.vectorpose.decode import Summary, read_vectors, summary
from napari_mrissl.pretext.vectorpose.vectors import Axis, decode, encode, radius_mm, vectors_mm

TERMS = ("r", "theta", "phi")
_CANDIDATES = 360
_MEDIAN_STEPS = 200
_NEAR_MM = 1e-6


def differences(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """(..., 3) absolute differences of (r, theta, phi), phi the shorter way round."""
    apart = np.abs(np.asarray(predicted, np.float64) - np.asarray(true, np.float64))
    apart[..., 2] = np.minimum(apart[..., 2], 2 - apart[..., 2])
    return apart


def constant_predictor(
    coded: ArrayLike, least_r: float, *, squared: bool = False
) -> NDArray[np.float64]:
    """(V, 3) the constants with the least mean absolute error on (N, V, 3) coded vectors.

    Medians of r and theta, and the phi, to half a degree, that is nearest to all on the
    circle; for ``squared`` errors the means, on the circle for phi. Angles of vectors with an
    r up to ``least_r`` do not count.

    Raises
    ------
    MrisslError
        If there is no vector.
    """
    given = np.asarray(coded, np.float64)
    if given.ndim != 3 or given.shape[0] == 0 or given.shape[2] != len(TERMS):
        raise MrisslError(f"vectors of shape {given.shape}", expected="(N, V, 3)")
    middle, power = (np.mean, 2) if squared else (np.median, 1)
    constant: NDArray[np.float64] = middle(given, axis=0)
    around = np.linspace(-1, 1, 2 * _CANDIDATES, endpoint=False)
    for number in range(given.shape[1]):
        directed = given[given[:, number, 0] > least_r, number]
        if len(directed):
            apart = np.abs(directed[:, 2, None] - around)
            constant[number, 1] = middle(directed[:, 1])
            costs = (np.minimum(apart, 2 - apart) ** power).mean(axis=0)
            constant[number, 2] = around[costs.argmin()]
    return constant


def mean_errors(
    predicted: ArrayLike, coded: ArrayLike, least_r: float, *, squared: bool = False
) -> dict[str, float]:
    """Mean difference of each term over (N, V, 3) vectors, as the loss counts them."""
    true = np.asarray(coded, np.float64)
    apart = differences(predicted, true)
    if squared:
        apart = apart**2
    directed = true[..., 0] > least_r
    shares = directed / max(int(directed.sum()), 1)
    return {
        "r": float(apart[..., 0].mean()),
        "theta": float((apart[..., 1] * shares).sum()),
        "phi": float((apart[..., 2] * shares).sum()),
    }


def geometric_median(points: ArrayLike) -> NDArray[np.float64]:
    """(3,) the point with the least mean distance to points (N, 3): Weiszfeld's iteration."""
    given = np.asarray(points, np.float64)
    middle = np.median(given, axis=0)
    for _ in range(_MEDIAN_STEPS):
        # A point that the iteration stands on would have an infinite weight.
        near = 1 / np.maximum(np.linalg.norm(given - middle, axis=1), _NEAR_MM)
        moved = near @ given / near.sum()
        if np.linalg.norm(moved - middle) < _NEAR_MM:
            break
        middle = moved
    return middle


def constant_summary(records: Sequence[CropRecord], axis: Axis, least_r: float) -> Summary:
    """What the best constant answers to these crops of a scan are worth as boxes.

    Position and scale have each their own: the centre vector with the least mean distance in
    mm to the true ones, turned as the network answers, and the edge with the least mean
    difference in its logarithm. The constant r, theta and phi would not do: together they
    point somewhere, and are farther off than an answer of no length. Orientation is read from
    them: of that no mean can be taken.

    Raises
    ------
    MrisslError
        If there are no crops.
    """
    vectors = [vectors_mm(record, axis) for record in records]
    radii = [radius_mm(record) for record in records]
    coded = [encode(*one) for one in zip(vectors, radii, strict=True)]
    constant = constant_predictor(np.reshape(coded, (-1, 9, 3)), least_r)
    found = summary(
        [
            read_vectors(decode(constant, radius), record, axis)
            for record, radius in zip(records, radii, strict=True)
        ]
    )
    centers = np.stack([one[0] for one in vectors])
    apart = np.linalg.norm(centers - geometric_median(centers), axis=1)
    edges = np.log([record.edge_mm for record in records])
    ratios = np.median(edges) - edges
    return replace(
        found,
        position_error_mm=float(np.median(apart)),
        scale_ratio=float(np.exp(np.median(ratios))),
        scale_error=float(np.median(np.exp(np.abs(ratios)) - 1)),
    )
