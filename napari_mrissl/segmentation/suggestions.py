"""Where to label next: what a model is unsure of, where that stands for much that nobody marked.

Uncertainty times representativeness is information density (Settles and Craven 2008). Inferred:
representativeness counts only what is uncertain and looks like no prompt (as facility location
does), and likeness is a Gaussian of the distance between standardised features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack
from napari_mrissl.geometry import Pose, apply_affine
from napari_mrissl.segmentation.prompts import Prompts, labelled_voxels
from napari_mrissl.segmentation.several_scans import same_features
from napari_mrissl.volumes import Volume

Plane = Literal["axial", "coronal", "sagittal"]

ON_BY_DEFAULT = False
"""Whether places are proposed unasked.

Only if clicks at suggested places beat clicks by chance, after 10 and after 20, paired over 20
scans: ``mrissl benchmark clicks --features NAME --data DIR --out OUT`` says so in its last lines.
On hippocampus scans with the weights that ship they did not: +0.002 [-0.016, +0.020] after 20.
"""

VERSION = 1
"""Raised when the same scans give other suggestions: what was measured of earlier ones ends."""

_VOXELS = 3000
"""Looked at in all scans together; their likeness is a matrix of this side."""

_MARKED = 1000
"""Of each scan's clicks and scribbles, evenly, at most."""

_SMOOTHING_MM = 1.0
_SKIPPED_MM = 5.0
_NEAREST = 0.02
_PLANES: tuple[tuple[Plane, tuple[int, int, int], tuple[int, int, int]], ...] = (
    ("axial", (0, 0, 1), (0, 1, 0)),
    ("coronal", (0, -1, 0), (0, 0, 1)),
    ("sagittal", (1, 0, 0), (0, 0, 1)),
)
"""In the order of the canonical axes S, A, R: normal and up in world RAS."""


class Place(NamedTuple):
    """A place in a scan: the scan's identity and world RAS mm."""

    scan: str
    x: float
    y: float
    z: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A scan in which something could be labelled.

    Attributes
    ----------
    volume
        The scan.
    stack
        Its features.
    uncertainty
        (S, A, R), 0 for sure to 1 for a guess: entropy over that of a uniform guess, from the
        instant classifier or a network.
    prompts
        What is marked in it already.
    """

    volume: Volume
    stack: FeatureStack
    uncertainty: NDArray[np.floating]
    prompts: Prompts = field(default_factory=Prompts)

    def __post_init__(self) -> None:
        shape = self.volume.shape
        if self.stack.identity != self.volume.identity or self.stack.data.shape[1:] != shape:
            raise MrisslError("these features belong to another scan", where=self.volume.name)
        if self.uncertainty.shape != shape:
            raise MrisslError(
                f"uncertainty of shape {self.uncertainty.shape}",
                where=self.volume.name,
                expected=f"{shape}",
            )


@dataclass(frozen=True)
class Suggestion:
    """Where to label next.

    Attributes
    ----------
    place
        The scan and the place in it.
    plane
        Which of the three planes through it shows most that is uncertain.
    pose
        That plane, with the place in its middle and as wide as the scan.
    score
        Uncertainty times representativeness.
    uncertainty
        Of the place and its surroundings, 0 to 1.
    representativeness
        Which part of all that is uncertain, in all scans, looks like the place, 0 to 1.
    why
        One sentence for the user.
    """

    place: Place
    plane: Plane
    pose: Pose
    score: float
    uncertainty: float
    representativeness: float
    why: str


def suggest(candidates: Sequence[Candidate], skipped: Sequence[Place] = ()) -> Suggestion | None:
    """The place to label next; the same each time for the same input.

    Parameters
    ----------
    candidates
        All scans that may be labelled, with the same features.
    skipped
        Suggestions that the user would not follow: neither they nor their surroundings are
        suggested again, and what looks like them counts as seen.

    Returns
    -------
    Suggestion or None
        None where nothing is uncertain.

    Raises
    ------
    MrisslError
        If the scans have different features.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if not candidates:
        return None
    same_features([one.stack for one in candidates])
    parts = [_seen(one, skipped, _VOXELS // len(candidates)) for one in candidates]
    rows = np.concatenate([part.rows for part in parts])
    spread = rows.std(axis=0)
    # A channel that is the same everywhere says nothing, and must not divide by zero.
    scale = np.where(spread > 1e-6 * (1 + np.abs(rows).max(axis=0)), 1 / (spread + 1e-30), 0)
    uncertainty = np.concatenate([part.uncertainty for part in parts])
    marked = np.concatenate([part.marked for part in parts])
    # One thread, so that the sums do not depend on how many cores there are.
    with threadpool_limits(1):
        stands_for = _representativeness(rows * scale, marked * scale, uncertainty)
    free = np.concatenate([part.free for part in parts])
    score = np.where(free, uncertainty * stands_for, 0)
    best = int(score.argmax())
    if score[best] <= 0:
        return None
    number = int(np.searchsorted(np.cumsum([len(part.rows) for part in parts]), best, "right"))
    before = sum(len(part.rows) for part in parts[:number])
    voxel = parts[number].voxels[best - before]
    return _suggestion(candidates[number], voxel, float(uncertainty[best]), float(stands_for[best]))


class _Seen(NamedTuple):
    """What of a scan is looked at: (n, 3) voxels, (n, C) rows, (n,) the rest; (m, C) marked."""

    voxels: NDArray[np.intp]
    rows: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    free: NDArray[np.bool_]
    marked: NDArray[np.float32]


def _seen(candidate: Candidate, skipped: Sequence[Place], count: int) -> _Seen:
    volume, data = candidate.volume, candidate.stack.data
    smooth = _smoothed(candidate)
    voxels = _evenly(volume.shape, count)
    at = tuple(voxels.T)
    known = labelled_voxels(volume, candidate.prompts).indices
    places = [one[1:] for one in skipped if one.scan == volume.identity]
    away = _voxels_of(volume, places)
    near = np.zeros(len(voxels), bool)
    for place in places:
        distance = np.linalg.norm(apply_affine(volume.affine, voxels) - place, axis=1)
        near |= distance < _SKIPPED_MM
    near |= np.isin(_flat(voxels, volume.shape), _flat(known, volume.shape))
    kept = min(len(known), _MARKED)
    marked = np.concatenate([known[np.arange(kept) * len(known) // max(kept, 1)], away])
    return _Seen(
        voxels, data[(slice(None), *at)].T, smooth[at], ~near, data[(slice(None), *marked.T)].T
    )


def _flat(voxels: NDArray[np.intp], shape: tuple[int, int, int]) -> NDArray[np.intp]:
    found: NDArray[np.intp] = np.ravel_multi_index(tuple(voxels.T), shape)
    return found


def _smoothed(candidate: Candidate) -> NDArray[np.float32]:
    """A place is uncertain with its surroundings: a single odd voxel is not worth a click."""
    from scipy.ndimage import gaussian_filter

    finite = np.nan_to_num(np.asarray(candidate.uncertainty, np.float32), posinf=0, neginf=0)
    smooth = gaussian_filter(finite, _SMOOTHING_MM / candidate.volume.spacing, mode="nearest")
    return np.asarray(np.clip(smooth, 0, 1), np.float32)


def _evenly(shape: tuple[int, int, int], count: int) -> NDArray[np.intp]:
    """(n, 3) voxels of a regular grid, about so many, sorted in C order."""
    step = max(1.0, (np.prod(shape) / max(count, 1)) ** (1 / 3))
    axes = [np.unique((np.arange(step / 2, n, step)).astype(np.intp)) for n in shape]
    axes = [axis if len(axis) else np.array([n // 2]) for axis, n in zip(axes, shape, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _voxels_of(volume: Volume, places: Sequence[Sequence[float]]) -> NDArray[np.intp]:
    if not places:
        return np.empty((0, 3), np.intp)
    index = np.rint(apply_affine(volume.to_index, np.array(places, np.float64))).astype(np.intp)
    inside = ((index >= 0) & (index < volume.shape)).all(axis=1)
    found: NDArray[np.intp] = index[inside]
    return found


def _representativeness(
    rows: NDArray[np.floating], marked: NDArray[np.floating], uncertainty: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Which part of all uncertainty looks like each voxel and like nothing that is marked."""
    squares = _squared_distances(rows, rows)
    width = float(np.quantile(squares[:: max(1, len(rows) // 500)], _NEAREST)) or 1.0
    need = uncertainty.astype(np.float64)
    total = float(need.sum())
    if total <= 0:
        return np.zeros(len(rows))
    if len(marked):
        need = need * (1 - np.exp(-_squared_distances(rows, marked) / (2 * width)).max(axis=1))
    likeness = np.exp(squares / (-2 * width), out=squares)
    found: NDArray[np.float64] = likeness @ need / total
    return found


def _squared_distances(
    one: NDArray[np.floating], other: NDArray[np.floating]
) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    # In place: the largest of these matrices is most of what a suggestion takes in memory.
    squares = a @ b.T
    squares *= -2
    squares += (a**2).sum(axis=1)[:, None]
    squares += (b**2).sum(axis=1)
    return np.maximum(squares, 0, out=squares)


def _suggestion(
    candidate: Candidate, voxel: NDArray[np.intp], uncertainty: float, stands_for: float
) -> Suggestion:
    volume = candidate.volume
    x, y, z = (float(value) for value in apply_affine(volume.affine, voxel))
    shown = [
        float(np.nan_to_num(candidate.uncertainty.take(int(voxel[axis]), axis)).mean())
        for axis in range(3)
    ]
    plane, normal, up = _PLANES[int(np.argmax(shown))]
    pose = Pose.from_normal_up((x, y, z), normal, up, float(volume.extent.max()))
    return Suggestion(
        Place(volume.identity, x, y, z),
        plane,
        pose,
        uncertainty * stands_for,
        uncertainty,
        stands_for,
        f"{uncertainty:.0%} uncertain here, and {stands_for:.1%} of all that is uncertain looks "
        "like this and like no click.",
    )
