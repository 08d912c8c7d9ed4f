"""Four chunks of a pair of views: two that face each other, and two on the far sides.

Along the gap d from view i to view j a chunk is moved as far as it stays within its view: by
o = t d, with t the least room over |d| of any coordinate. Corrected: the authors' code for
arXiv:2509.05967 takes the least over views instead of coordinates, which turns o away from d,
by 12 degrees on average with five views, by 18 with three. Pairs with t > 1/2 are dropped
(corrected): their chunks would cross.

Which chunks face each other is asked among the four pairs of chunks of different views: by
place the adjacent ones are the nearest of them, and the distant ones the farthest. Corrected:
the authors' code asks among all six pairs, of which those of one view are nearest as a rule,
so that a network that knows every place is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError

CHUNKS = ("near side of i", "near side of j", "far side of i", "far side of j")
"""Which of the four is which; the first two are adjacent, the last two distant."""

ADJACENT: tuple[int, int] = (0, 1)
DISTANT: tuple[int, int] = (2, 3)
CANDIDATES: tuple[tuple[int, int], ...] = ((0, 1), (0, 3), (1, 2), (2, 3))
"""Pairs of chunks of different views, among which the most and the least alike are looked for."""

SIX: tuple[tuple[int, int], ...] = tuple(combinations(range(4), 2))
"""All pairs of chunks, as published."""

CHANCE, CHANCE_OF_SIX = 1 / len(CANDIDATES), 1 / len(SIX)
"""How often the right one of them is guessed."""

CROSSING = 0.5

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChunkPlan:
    """Where the chunks of all pairs of some views are.

    Attributes
    ----------
    pairs
        (P, 2) numbers of the views i < j.
    starts
        (P, 4, 3) first voxel of each chunk within its view, in the order of the images' axes.
    of_view
        (P, 4) which view each chunk is of.
    kept
        (P,) whether the views are far enough apart for the chunks not to cross.
    separate
        (P,) whether no two chunks of different views share a voxel. Where adjacent ones do, as
        in two of five kept pairs of heads, they show the same grey values in part: that they
        are alike needs no sense of place.
    size
        Voxels of a chunk.
    """

    pairs: NDArray[np.intp]
    starts: NDArray[np.int64]
    of_view: NDArray[np.intp]
    kept: NDArray[np.bool_]
    separate: NDArray[np.bool_]
    size: tuple[int, int, int]


def reach(gaps: ArrayLike, room: ArrayLike) -> Floats:
    """t (...): how many gaps (..., 3) long the way is that a chunk has; inf where there is no gap.

    Parameters
    ----------
    gaps
        From view to view.
    room
        (3,) how far a chunk can be moved from the middle of its view, in the same unit.
    """
    given = np.abs(np.asarray(gaps, np.float64))
    shares = np.full(given.shape, np.inf)
    np.divide(np.broadcast_to(room, given.shape), given, out=shares, where=given > 0)
    least: Floats = shares.min(axis=-1)
    return least


def offsets(gaps: ArrayLike, room: ArrayLike) -> Floats:
    """o (..., 3): the longest ways of chunks along gaps (..., 3); 0 where there is no gap."""
    given = np.asarray(gaps, np.float64)
    share = reach(given, room)
    way: Floats = np.where(np.isfinite(share), share, 0.0)[..., None] * given
    return way


def plan(gaps: ArrayLike, view: tuple[int, int, int], size: tuple[int, int, int]) -> ChunkPlan:
    """Place the chunks of all pairs of views.

    Parameters
    ----------
    gaps
        (V, V, 3) from view to view, in voxels of the views, in the order of the images' axes.
    view, size
        Voxels of a view, and of a chunk.

    Raises
    ------
    MrisslError
        If a chunk is not smaller than a view along every axis.
    """
    given = np.asarray(gaps, np.float64)
    free = np.array(view) - size
    if (free <= 0).any():
        raise MrisslError(
            f"chunks of {size} voxels", where="chunks", expected=f"less than views of {view}"
        )
    first, second = np.triu_indices(len(given), k=1)
    direction = given[first, second]
    room = free / 2
    way = offsets(direction, room)
    moved = np.stack([way, -way, -way, way], axis=1)
    starts = np.clip(np.rint(room + moved), 0, free).astype(np.int64)
    # From the chunk of one view to that of the other: they overlap if they do along all axes.
    corners = starts.astype(np.float64)
    corners[:, 1::2] += direction[:, None]
    apart = np.stack([np.abs(corners[:, a] - corners[:, b]) for a, b in CANDIDATES])
    clear = (apart >= np.array(size) - 1e-6).any(axis=-1)
    separate: NDArray[np.bool_] = np.logical_and.reduce(clear, axis=0)
    return ChunkPlan(
        pairs=np.stack([first, second], axis=1),
        starts=starts,
        of_view=np.stack([first, second, first, second], axis=1),
        kept=reach(direction, room) <= CROSSING,
        separate=separate,
        size=size,
    )


def verdicts(
    similarity: ArrayLike, pairs: Sequence[tuple[int, int]] = CANDIDATES
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of similarities (..., 4, 4): whether the adjacent chunks are the most alike of some pairs,
    and the distant ones the least alike; a tie is no right answer.
    """
    given = np.asarray(similarity, np.float64)
    values = np.stack([given[..., a, b] for a, b in pairs], axis=-1)
    near, far = pairs.index(ADJACENT), pairs.index(DISTANT)
    others = np.delete(values, near, axis=-1), np.delete(values, far, axis=-1)
    return values[..., near] > others[0].max(-1), values[..., far] < others[1].min(-1)
