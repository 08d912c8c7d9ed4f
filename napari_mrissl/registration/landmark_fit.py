"""A rigid or affine map from landmarks: least squares of those that agree, found by RANSAC."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine

Points = NDArray[np.float64]

FEWEST = 3
"""Landmarks from which a map can be fitted."""

_AGREE_MM = 8.0
"""Errors up to which a landmark counts as explained: what persons differ by after such a map."""

_TRIES, _SEED = 500, 20
_AFFINE_FROM = 8
"""Landmarks from which an affine map is fitted; fewer say too little of its twelve numbers."""

_LEAST = 5
"""Landmarks that must agree, at least, where not all are trusted."""

_THIN = 0.1
"""Least spread of landmarks over their largest, below which they lie in a plane, or a line."""

_STRETCH = 2.0
"""Largest change of length that an affine map between bodies may have."""


def fitted(landmarks: Points, *, rigid: bool = False) -> tuple[Points, NDArray[np.bool_]]:
    """The map from fixed to moving places that most landmarks agree with.

    Maps through random threes or fours of landmarks are tried, and the one with the most
    landmarks within 8 mm is fitted again to these by least squares (Fischler and Bolles 1981;
    Umeyama 1991 for rigid ones). With fewer than eight, all are trusted, and the map is rigid;
    so it is where landmarks lie in a plane.

    Parameters
    ----------
    landmarks
        (N, 2, 3) places in the fixed and in the moving scan, RAS mm.
    rigid
        Whether lengths are to be kept in any case.

    Returns
    -------
    tuple
        (4, 4) from fixed to moving world, RAS mm, of positive determinant: left stays left; and
        (N,) whether a landmark was counted.

    Raises
    ------
    MrisslError
        If there are fewer than three, they lie on a line, or none agree.
    """
    count = len(landmarks)
    if count < FEWEST or _thin(landmarks, 1):
        raise MrisslError(
            f"{count} landmarks" + (" on a line" if count >= FEWEST else ""),
            where="landmarks",
            expected="at least three that are not on a line",
        )
    if count < _AFFINE_FROM:
        return _rigid(landmarks), np.ones(count, bool)
    agree = _agreeing(landmarks, 3, _rigid)
    if not rigid and not _thin(landmarks, 2):
        wider = _agreeing(landmarks, 4, _affine)
        for chosen in (wider, agree) if wider.sum() >= agree.sum() else (agree,):
            if int(chosen.sum()) < max(_AFFINE_FROM, count // 4) or _thin(landmarks[chosen], 2):
                continue
            found = _affine(landmarks[chosen])
            if _usable(found):
                return found, chosen
    if np.count_nonzero(agree) < max(_LEAST, count // 4) or _thin(landmarks[agree], 1):
        # Three of them always agree, and a few more by chance.
        raise MrisslError(
            f"fewer than a quarter of {count} landmarks agree with one map",
            where="landmarks",
            remedy="check which columns are the fixed scan's, and their signs (RAS mm)",
        )
    return _rigid(landmarks[agree]), agree


def _agreeing(landmarks: Points, size: int, fit: Callable[[Points], Points]) -> NDArray[np.bool_]:
    """Landmarks that agree with the best of many maps, each through so many of them."""
    rng = np.random.default_rng(_SEED)
    best, least = np.zeros(len(landmarks), bool), np.inf
    for _ in range(_TRIES):
        chosen = landmarks[rng.choice(len(landmarks), size, replace=False)]
        if _thin(chosen, size - 2):
            continue
        found = fit(chosen)
        if not _usable(found):
            continue
        errors = np.linalg.norm(apply_affine(found, landmarks[:, 0]) - landmarks[:, 1], axis=-1)
        # Counting alone cannot tell apart two maps that explain as many (Torr and Zisserman 2000).
        cost = float(np.minimum(errors, _AGREE_MM).sum())
        if cost < least:
            best, least = errors <= _AGREE_MM, cost
    return best


def _rigid(landmarks: Points) -> Points:
    fixed, moving = landmarks[:, 0], landmarks[:, 1]
    middles = fixed.mean(axis=0), moving.mean(axis=0)
    left, _, right = np.linalg.svd((moving - middles[1]).T @ (fixed - middles[0]))
    keep = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    found = np.eye(4)
    found[:3, :3] = left @ keep @ right
    found[:3, 3] = middles[1] - found[:3, :3] @ middles[0]
    return found


def _affine(landmarks: Points) -> Points:
    fixed = np.column_stack([landmarks[:, 0], np.ones(len(landmarks))])
    solved = np.linalg.lstsq(fixed, landmarks[:, 1], rcond=None)[0]
    found = np.eye(4)
    found[:3] = solved.T
    return found


def _usable(matrix: Points) -> bool:
    lengths = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    kept = lengths.min() >= 1 / _STRETCH and lengths.max() <= _STRETCH
    return bool(kept and np.linalg.det(matrix[:3, :3]) > 0)


def _thin(landmarks: Points, dimension: int) -> bool:
    """Whether the places of either scan fill no more than so many dimensions."""
    for side in (0, 1):
        places = landmarks[:, side]
        spreads = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)
        if len(spreads) <= dimension or spreads[dimension] <= _THIN * max(spreads[0], 1e-9):
            return True
    return False
