"""Which place of one scan is that of another, by features: one match, or landmarks of both scans.

A place's match is the voxel whose features have the largest cosine with its own. How far it can be
trusted is told by three numbers of the field: the cosine itself; the ratio of its distance to that
of the best voxel elsewhere (Lowe 2004; distances of features of length 1, and elsewhere is further
than so many mm away, as neighbours are always alike); and where the way back ends, as the match of
the match (mutual nearest neighbours, or cycle consistency).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.similarity import Match
from napari_mrissl.registration.described import Described
from napari_mrissl.registration.match_settings import APART_MM, MatchSettings

_CANDIDATES = 6
"""Places that are tried for each landmark that is wanted."""

_EVEN = 0.5
"""Least distance of landmarks, of what an even grid of so many would have."""

_LEAST = 1e-6


@dataclass(frozen=True)
class Correspondence:
    """The match of a place in another scan.

    Attributes
    ----------
    place
        RAS mm of the middle of the matching voxel.
    similarity
        Cosine of both places' features, -1 to 1.
    ratio
        Distance of the features, over that of the best voxel further than `apart_mm` from the
        match: 0 where it is unique, 1 where another place is as good.
    back_mm
        Distance from where it began to the match of the match.
    confidence
        1 - ratio; 0 where the way back ends further than `apart_mm` from where it began.
    """

    place: tuple[float, float, float]
    similarity: float
    ratio: float
    back_mm: float
    confidence: float


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Places of two scans that correspond, those of most confidence first.

    Attributes
    ----------
    points
        (N, 2, 3) in the one and the other scan, RAS mm.
    similarity, ratio, back_mm, confidence
        (N,), see `Correspondence`.
    """

    points: NDArray[np.float64]
    similarity: NDArray[np.float64]
    ratio: NDArray[np.float64]
    back_mm: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    def chosen(self, which: NDArray[np.intp]) -> Landmarks:
        """Some of them, in this order."""
        return Landmarks(
            self.points[which],
            self.similarity[which],
            self.ratio[which],
            self.back_mm[which],
            self.confidence[which],
        )


def corresponding(
    place: ArrayLike,
    one: Described,
    other: Described,
    apart_mm: float = APART_MM,
    cancelled: IsCancelled | None = None,
) -> Correspondence:
    """The match of a place of one scan in another, among all its voxels.

    Parameters
    ----------
    place
        RAS mm in the one scan.
    one, other
        The scans with features of the same source.
    apart_mm
        From where on another voxel is a rival of the match.
    cancelled
        Asked now and then.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If the place is outside the scan, nothing is known of it, or features differ in number.
    """
    number = one.voxel_at(place)
    if number is None:
        raise _outside(place, one)
    query = one.vectors(np.array([number]))[0]
    if not query.any():
        raise MrisslError(
            f"the features of {_words(place)} mm are all zero",
            where=one.volume.name,
            expected="a place where they say something",
        )
    _check(one, other)
    cosines, match = other.compared.whole(query, cancelled=cancelled)
    return judged(number, one, other, cosines, match, apart_mm, cancelled)


def judged(
    number: int,
    one: Described,
    other: Described,
    cosines: NDArray[np.float32],
    match: Match,
    apart_mm: float = APART_MM,
    cancelled: IsCancelled | None = None,
) -> Correspondence:
    """What a match is worth that was found already.

    Parameters
    ----------
    number
        Flat number of the voxel that was asked for.
    one, other
        The scan it is of, and the one in which the match is.
    cosines, match
        Of the voxel's features with all of the other scan, see `Compared.whole`.
    apart_mm, cancelled
        As for `corresponding`.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    """
    there = int(np.ravel_multi_index(match.voxel, other.volume.shape))
    ratio = _ratio(np.float64(match.similarity), _rival(cosines, match, other, apart_mm))
    _, back = one.compared.whole(other.vectors(np.array([there]))[0], cancelled=cancelled)
    returned = int(np.ravel_multi_index(back.voxel, one.volume.shape))
    back_mm = np.linalg.norm(one.world_of(returned) - one.world_of(number))
    x, y, z = (float(v) for v in other.world_of(there))
    return Correspondence(
        (x, y, z),
        match.similarity,
        float(ratio),
        float(back_mm),
        float(_confidence(ratio, back_mm, apart_mm)),
    )


def mutual_landmarks(
    one: Described,
    other: Described,
    settings: MatchSettings | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Landmarks:
    """Places of two scans that are each other's match, spread evenly over the one scan's body.

    Of an even grid of places in the one scan the match in the other is found, and the match of
    that. Those whose way back ends within `settings.mutual_mm` are kept, and of these, the more
    confident first, as many as lie apart from each other. No more similarities than
    `settings.memory_mib` allows are there at one time.

    Parameters
    ----------
    one, other
        The scans with features of the same source.
    settings
        Defaults where left out.
    progress, cancelled
        As everywhere.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If features differ in number, or no place is kept.
    """
    settings = settings or MatchSettings()
    starts = _even(one, _CANDIDATES * settings.count)
    found = _matches(starts, one, other, settings, settings.mutual_mm, progress, cancelled)
    found = found.chosen(np.flatnonzero(found.confidence >= settings.least_confidence))
    found = found.chosen(np.argsort(-found.confidence, kind="stable"))
    body_mm3 = len(one.searched) * float(np.prod(one.volume.spacing * one.steps))
    apart = _EVEN * (body_mm3 / settings.count) ** (1 / 3)
    found = found.chosen(_spread(found.points[:, 0], apart)[: settings.count])
    if not len(found):
        raise MrisslError(
            "no place is the match of its match",
            where=f"{one.volume.name} and {other.volume.name}",
            remedy="allow a longer way back, or choose other features",
        )
    return found


def matches_of(
    places: ArrayLike,
    one: Described,
    other: Described,
    settings: MatchSettings | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Landmarks:
    """The matches of many places of one scan in the body of another, in their order.

    Parameters
    ----------
    places
        (N, 3) RAS mm in the one scan; the middle of the voxel that holds a place stands for it.
    one, other, settings, progress, cancelled
        As for `mutual_landmarks`.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If a place is outside the scan, or features differ in number.
    """
    numbers = []
    for place in np.atleast_2d(np.asarray(places, np.float64)):
        number = one.voxel_at(place)
        if number is None:
            raise _outside(place, one)
        numbers.append(number)
    starts = np.array(numbers, np.int64)
    return _matches(starts, one, other, settings or MatchSettings(), None, progress, cancelled)


def _matches(
    starts: NDArray[np.int64],
    one: Described,
    other: Described,
    settings: MatchSettings,
    mutual_mm: float | None,
    progress: Progress | None,
    cancelled: IsCancelled | None,
) -> Landmarks:
    """The matches of voxels; with `mutual_mm` only those whose way back ends within it."""
    _check(one, other)
    search = _Search(settings.memory_mib, cancelled)

    def say(part: float, step: str) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(part, step)

    say(0.0, "matching")
    there, similarity = search.best(one.vectors(starts), other)
    say(0.35, "matching back")
    back, _ = search.best(other.vectors(there), one)
    back_mm = np.linalg.norm(one.world_of(back) - one.world_of(starts), axis=-1)
    say(0.7, "looking for rivals")
    if mutual_mm is not None:
        kept = np.flatnonzero(back_mm <= mutual_mm)
        starts, there = starts[kept], there[kept]
        similarity, back_mm = similarity[kept], back_mm[kept]
    places = other.world_of(there)
    rivals = search.rivals(one.vectors(starts), places, other, settings.apart_mm)
    ratio = _ratio(similarity, rivals)
    say(1.0, "landmarks")
    return Landmarks(
        np.stack([one.world_of(starts), places], axis=1),
        similarity,
        ratio,
        back_mm,
        _confidence(ratio, back_mm, settings.apart_mm),
    )


@dataclass(frozen=True)
class _Search:
    """Best voxels for many queries, a block of voxels at a time."""

    memory_mib: float
    cancelled: IsCancelled | None

    def best(
        self, queries: NDArray[np.float32], scan: Described
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Flat numbers (N,) of the best voxels, and their cosines."""
        top = np.full(len(queries), -np.inf)
        where = np.zeros(len(queries), np.int64)
        for numbers, cosines in self._blocks(queries, scan):
            column = cosines.argmax(axis=1)
            value = cosines[np.arange(len(queries)), column]
            better = value > top
            top[better], where[better] = value[better], numbers[column[better]]
        return self._refined(queries, where, top, scan)

    def rivals(
        self,
        queries: NDArray[np.float32],
        places: NDArray[np.float64],
        scan: Described,
        apart_mm: float,
    ) -> NDArray[np.float64]:
        """The best cosines (N,) further than so much from a place of each query; -1 if none."""
        top = np.full(len(queries), -1.0)
        for numbers, cosines in self._blocks(queries, scan):
            near = cKDTree(scan.world_of(numbers)).query_ball_point(places, apart_mm)
            for line, columns in zip(cosines, near, strict=True):
                line[columns] = -1
            np.maximum(top, cosines.max(axis=1), out=top)
        return top

    def _blocks(
        self, queries: NDArray[np.float32], scan: Described
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Numbers (M,) of a block of voxels, and cosines (N, M) with them."""
        count, channels = queries.shape
        # Beside similarities: features as read and as one row a voxel, and places.
        size = max(1, int(self.memory_mib * 2**20 / (4 * (count + 2 * channels + 12))))
        for first in range(0, len(scan.searched) if count else 0, size):
            stop_if(self.cancelled)
            numbers = scan.searched[first : first + size]
            yield numbers, queries @ scan.vectors(numbers).T

    def _refined(
        self,
        queries: NDArray[np.float32],
        where: NDArray[np.int64],
        top: NDArray[np.float64],
        scan: Described,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The best among the voxels between the searched ones around each."""
        reach = scan.steps - 1
        if not reach.any():
            return where, top
        around = np.stack(
            np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1
        ).reshape(-1, 3)
        where, top = where.copy(), top.copy()
        last = np.array(scan.volume.shape) - 1
        for line, query in enumerate(queries):
            stop_if(self.cancelled)
            middle = np.array(np.unravel_index(where[line], scan.volume.shape))
            places = np.clip(middle + around, 0, last)
            numbers = np.ravel_multi_index(tuple(places.T), scan.volume.shape)
            cosines = scan.compared.voxels(query, np.asarray(numbers, np.int64))
            best = int(cosines.argmax())
            if cosines[best] > top[line]:
                where[line], top[line] = numbers[best], cosines[best]
        return where, top


def _outside(place: ArrayLike, scan: Described) -> MrisslError:
    return MrisslError(
        f"{_words(place)} mm", where=scan.volume.name, expected="a place in the scan"
    )


def _check(one: Described, other: Described) -> None:
    counts = [len(scan.compared.data) for scan in (one, other)]
    if counts[0] != counts[1]:
        raise MrisslError(
            f"{counts[1]} channels",
            where=other.volume.name,
            expected=f"features as of {one.volume.name}, of {counts[0]} channels",
        )


def _ratio(similarity: Any, rival: Any) -> Any:
    """Distance of the match over that of its rival; cosines stand for squared distances."""
    nearest, second = (
        np.maximum(1 - np.asarray(c, np.float64), _LEAST) for c in (similarity, rival)
    )
    return np.minimum(np.sqrt(nearest / second), 1.0)


def _confidence(ratio: Any, back_mm: Any, apart_mm: float) -> Any:
    return np.where(np.asarray(back_mm) <= apart_mm, 1 - np.asarray(ratio), 0.0)


def _rival(
    cosines: NDArray[np.float32], match: Match, scan: Described, apart_mm: float
) -> np.float64:
    """The largest cosine further than so much from the match; -1 where there is no such voxel."""
    spacing = scan.volume.spacing
    # Axes of a sheared grid may come closer to each other than at right angles.
    reach = np.ceil(2 * apart_mm / spacing).astype(int)
    low = np.maximum(np.array(match.voxel) - reach, 0)
    high = np.minimum(np.array(match.voxel) + reach + 1, cosines.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    best = -1.0
    for axis in range(3):
        for side in (slice(None, low[axis]), slice(high[axis], None)):
            rest = (*box[:axis], side, *(slice(None),) * (2 - axis))
            best = max(best, float(cosines[rest].max(initial=-1)))
    index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1)
    away = np.linalg.norm((index - match.voxel) @ scan.volume.affine[:3, :3].T, axis=-1)
    far = away > apart_mm
    return np.float64(max(best, float(cosines[box][far].max(initial=-1))))


def _even(scan: Described, count: int) -> NDArray[np.int64]:
    """About so many of the searched voxels, on an even grid."""
    index = np.stack(np.unravel_index(scan.searched, scan.volume.shape), axis=-1)
    volume = len(scan.searched) * float(np.prod(scan.volume.spacing * scan.steps))
    side = (volume / count) ** (1 / 3)
    steps = scan.steps * np.maximum(1, np.rint(side / (scan.volume.spacing * scan.steps)))
    offset = index.min(axis=0)
    chosen = scan.searched[((index - offset) % steps == 0).all(axis=1)]
    return chosen if len(chosen) else scan.searched[:1]


def _spread(points: NDArray[np.float64], apart: float) -> NDArray[np.intp]:
    """Numbers of points, the first ones first, that are at least so far from each other."""
    tree = cKDTree(points) if len(points) else None
    free = np.ones(len(points), bool)
    kept = []
    for number in range(len(points)):
        if tree is not None and free[number]:
            kept.append(number)
            free[tree.query_ball_point(points[number], apart)] = False
    return np.array(kept, np.intp)


def _words(place: ArrayLike) -> str:
    return ", ".join(f"{value:.1f}" for value in np.asarray(place, np.float64))
