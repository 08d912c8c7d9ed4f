"""Pairs of crops of a scan that overlap, and points in them; random numbers come from outside.

Positions are scan mm, see `napari_mrissl.pretext.observable.views`: along the scan's own axes in
the order (R, A, S), from the middle of the scan. Arrays of voxels keep the order (S, A, R).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import crops
from napari_mrissl.pretext.coordinates.settings import PairSettings
from napari_mrissl.pretext.observable.sampling import Bodies
from napari_mrissl.pretext.observable.views import extent_mm
from napari_mrissl.pretext.subjects import Scan

Floats = NDArray[np.float64]

_TRIES = 16
_CANDIDATES = 3
_ABOUT_MM = 8.0
_BODY = 0.5
_BLOCKS = 4


@dataclass(frozen=True, eq=False)
class Pairs:
    """Some pairs of crops of one scan; every target is derived from it.

    Attributes
    ----------
    identity
        Of the scan.
    shape, spacing_mm
        Of the scan along (S, A, R).
    centers_mm, edges_mm
        (2, K, 3) middles and edges of the first and the second crops, in scan mm (R, A, S).
    points_mm
        (2, K, P, 3) points in each crop; the first ``shared`` are the same in both.
    shared
        How many of them.
    side
        Voxels along each side of a crop.
    """

    identity: str
    shape: tuple[int, int, int]
    spacing_mm: Floats
    centers_mm: Floats
    edges_mm: Floats
    points_mm: Floats
    shared: int
    side: int

    @property
    def places(self) -> Floats:
        """(2, K, P, 3) indices (z, y, x) of the points in their crops."""
        lower = self.centers_mm - self.edges_mm / 2
        voxels = (self.points_mm - lower[:, :, None]) / (self.edges_mm / self.side)[:, :, None]
        places: Floats = voxels[..., ::-1] - 0.5
        return places

    def boxes(self) -> tuple[Floats, Floats]:
        """(2, K, 3) lower and upper corners in the scan's index (s, a, r), faces included."""
        middle = (np.array(self.shape) - 1) / 2
        centers = self.centers_mm[..., ::-1] / self.spacing_mm + middle
        half = self.edges_mm[..., ::-1] / self.spacing_mm / 2
        return centers - half, centers + half


def draw(rng: np.random.Generator, scan: Scan, settings: PairSettings, bodies: Bodies) -> Pairs:
    """Draw pairs of crops that hold a common place of the body, and points in them.

    As in the authors' code for arXiv:2409.10291 a place is drawn, and both crops anywhere about
    it. Inferred: the place is in the body, where theirs may be in the air.
    """
    extent = extent_mm(scan.volume)
    count = settings.pairs
    # Drawn for all tries at once: what a scan holds does not change how many numbers are used.
    spacing = rng.uniform(*settings.spacing, (2, count, 3))
    edges = np.minimum(spacing * settings.side, extent)
    tries = (rng.random((count, _TRIES, 3)) - 0.5) * extent
    parts = rng.random((2, count, 3))
    within = rng.random((count, settings.points, _CANDIDATES, 3))
    anywhere = rng.random((2, count, settings.anywhere, 3))

    pins = _in_body(scan, tries, bodies)
    room = (extent - edges) / 2
    centers = np.clip(pins + (parts - 0.5) * edges, -room, room)
    lower = (centers - edges / 2).max(axis=0)
    upper = (centers + edges / 2).min(axis=0)
    candidates = lower[:, None, None] + within * (upper - lower)[:, None, None]
    flat = candidates.reshape(-1, _CANDIDATES, 3)
    shared = _in_body(scan, flat, bodies).reshape(count, settings.points, 3)
    own = (centers - edges / 2)[:, :, None] + anywhere * edges[:, :, None]
    both = np.broadcast_to(shared, (2, *shared.shape))
    return Pairs(
        scan.identity,
        scan.volume.shape,
        np.asarray(scan.volume.spacing, np.float64),
        centers,
        edges,
        np.concatenate([both, own], axis=2),
        settings.points,
        settings.side,
    )


def cut(scan: Scan, pairs: Pairs) -> NDArray[np.float32]:
    """(2, K, S, A, R) what the crops show, in [0, 1].

    Raises
    ------
    MrisslError
        If the crops are of another scan.
    """
    if pairs.identity != scan.identity or pairs.shape != scan.volume.shape:
        raise MrisslError("the crops are of another scan", where=scan.subject)
    images = np.empty((*pairs.centers_mm.shape[:2], *(pairs.side,) * 3), np.float32)
    lower, upper = pairs.boxes()
    for place in np.ndindex(images.shape[:2]):
        crops.cut_box(scan, tuple(lower[place]), tuple(upper[place]), images[place])
    return images


def masked(
    rng: np.random.Generator, images: NDArray[np.float32], settings: PairSettings
) -> NDArray[np.float32]:
    """Crops (N, S, A, R), some of them with a share of their 64 blocks painted black."""
    found = images.copy()
    block = settings.side // _BLOCKS
    for image in found:
        acts, order = rng.random() < settings.masked, rng.permutation(_BLOCKS**3)
        if not acts:
            continue
        hidden = order[: int(settings.hidden * len(order))]
        for s, a, r in np.stack(np.unravel_index(hidden, (_BLOCKS,) * 3), axis=1) * block:
            image[s : s + block, a : a + block, r : r + block] = 0
    return found


def _in_body(scan: Scan, candidates: Floats, bodies: Bodies) -> Floats:
    """(N, 3) of candidates (N, tries, 3) the first in the body, or else the best one."""
    edges = np.full(3, _ABOUT_MM)
    shares = bodies.of(scan).share(candidates.reshape(-1, 3), edges).reshape(candidates.shape[:2])
    good = shares >= _BODY
    chosen = np.where(good.any(axis=1), good.argmax(axis=1), shares.argmax(axis=1))
    found: Floats = candidates[np.arange(len(candidates)), chosen]
    return found
