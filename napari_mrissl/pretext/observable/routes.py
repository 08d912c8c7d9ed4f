"""Routes: every way to visit all views once, and where predicted vectors lead along it.

Faithful to arXiv:2509.05967 up to `MOST_VIEWS` views; above them routes are drawn, as there
are (V - 1)! for each start.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError

MOST_VIEWS = 5
"""Up to so many views all routes are taken: 120."""

DRAWN = 120
"""How many are drawn above."""

Routes = NDArray[np.int64]


@cache
def _orders(views: int) -> tuple[tuple[int, ...], ...]:
    return tuple(permutations(range(views)))


def all_routes(views: int) -> Routes:
    """(V!, V) every order of the views: each start with each order of the others.

    Raises
    ------
    MrisslError
        If there are fewer than two views, or too many for a list.
    """
    if not 2 <= views <= MOST_VIEWS:
        raise MrisslError(
            f"all routes among {views} views", expected=f"2 to {MOST_VIEWS}", remedy="draw some"
        )
    return np.array(_orders(views), np.int64)


def drawn_routes(views: int, count: int = DRAWN, seed: int = 0) -> Routes:
    """(count, V) routes drawn evenly, each start as often as the others; the same for a seed."""
    if views < 2:
        raise MrisslError(f"routes among {views} views", expected="2 or more")
    rng = np.random.default_rng([seed, views])
    found = np.empty((count, views), np.int64)
    for number, route in enumerate(found):
        start = number % views
        route[0] = start
        route[1:] = rng.permutation(np.delete(np.arange(views), start))
    return found


def routes(views: int, seed: int = 0) -> Routes:
    """All routes of few views; of many some, drawn from a seed."""
    return all_routes(views) if views <= MOST_VIEWS else drawn_routes(views, seed=seed)


def walk(vectors: Any, route: Routes) -> Any:
    """(..., R, V - 1, 3) the vectors along routes (R, V) of matrices (..., V, V, 3).

    Arrays, or tensors on any device.
    """
    return vectors[..., route[:, :-1], route[:, 1:], :]


def ends(vectors: Any, route: Routes) -> Any:
    """(..., R, 3) from the first view of each route to where its vectors lead."""
    return walk(vectors, route).sum(-2)


def loops(vectors: Any, route: Routes) -> Any:
    """(..., R, 3) where each route, closed by the vector back to its first view, leads.

    0 for vectors that are differences of positions; else what a round trip drifts by.
    """
    return ends(vectors, route) + vectors[..., route[:, -1], route[:, 0], :]
