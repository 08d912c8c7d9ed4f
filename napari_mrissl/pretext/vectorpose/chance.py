"""The best constant predictor: what r, theta and phi cost a network that learned nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError

TERMS = ("r", "theta", "phi")
_CANDIDATES = 360


def differences(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """(..., 3) absolute differences of (r, theta, phi), phi the shorter way round."""
    apart = np.abs(np.asarray(predicted, np.float64) - np.asarray(true, np.float64))
    apart[..., 2] = np.minimum(apart[..., 2], 2 - apart[..., 2])
    return apart


def constant_predictor(coded: ArrayLike, least_r: float) -> NDArray[np.float64]:
    """(V, 3) the constants with the least mean absolute error on (N, V, 3) coded vectors.

    Medians of r and theta, and the phi, to half a degree, that is nearest to all on the
    circle. Angles of vectors with an r up to ``least_r`` do not count.

    Raises
    ------
    MrisslError
        If there is no vector.
    """
    given = np.asarray(coded, np.float64)
    if given.ndim != 3 or given.shape[0] == 0 or given.shape[2] != len(TERMS):
        raise MrisslError(f"vectors of shape {given.shape}", expected="(N, V, 3)")
    constant = np.median(given, axis=0)
    around = np.linspace(-1, 1, 2 * _CANDIDATES, endpoint=False)
    for number in range(given.shape[1]):
        directed = given[given[:, number, 0] > least_r, number]
        if len(directed):
            apart = np.abs(directed[:, 2, None] - around)
            constant[number, 1] = np.median(directed[:, 1])
            constant[number, 2] = around[np.minimum(apart, 2 - apart).mean(axis=0).argmin()]
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
