"""Where views are drawn, and how each is recoloured; random numbers come from outside."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext.navigation.appearance import draw_recolouring
from napari_mrissl.pretext.observable.settings import ViewSettings
from napari_mrissl.pretext.observable.views import Body, Floats, Views, extent_mm, views_at
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.synthesis.operations import legendre_cube

_TRIES = 20
_KEPT = 512
_NOISE = 0.04


class Bodies:
    """The coarse masks of the scans that were asked for last; safe in several threads."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, Body] = OrderedDict()
        self._lock = Lock()

    def of(self, scan: Scan) -> Body:
        """The mask of a scan."""
        with self._lock:
            body = self._found.get(scan.identity)
            if body is not None:
                self._found.move_to_end(scan.identity)
                return body
        body = Body(scan.volume)
        with self._lock:
            self._found[scan.identity] = body
            if len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return body


def edges_of(scan: Scan, settings: ViewSettings) -> Floats:
    """(3,) edges in mm along (R, A, S) of the views of a scan.

    A cube is cut down to the scan's shortest side. A slab keeps its edge, so that its voxels
    are as large in every scan: it may reach beyond; only its thickness is cut down.
    """
    extent = extent_mm(scan.volume)
    if settings.kind == "cube":
        return np.full(3, min(settings.edge_mm, float(extent.min())))
    thickness = min(settings.thickness_mm, float(extent[2]))
    return np.array([settings.edge_mm, settings.edge_mm, thickness])


def draw(
    rng: np.random.Generator,
    scan: Scan,
    settings: ViewSettings,
    count: int,
    scale_mm: float,
    bodies: Bodies,
) -> Views:
    """Draw views evenly over all places in a scan, those that are mostly air again.

    Inferred: the authors' code for arXiv:2509.05967 starts views at whole voxels, and takes
    them wherever they fall. Of slabs only the height is drawn.
    """
    edges = edges_of(scan, settings)
    # Drawn for all tries at once: where views lie does not change how many numbers are used.
    parts = rng.random((count, _TRIES, 3)) - 0.5
    centers = parts * np.maximum(extent_mm(scan.volume) - edges, 0)
    if settings.kind == "slab":
        centers[..., :2] = 0
    if settings.body > 0:
        shares = bodies.of(scan).share(centers.reshape(-1, 3), edges).reshape(count, _TRIES)
        good = shares >= settings.body
        # The first that is good, or else the fullest.
        chosen = np.where(good.any(axis=1), good.argmax(axis=1), shares.argmax(axis=1))
    else:
        chosen = np.zeros(count, np.intp)
    return views_at(scan, centers[np.arange(count), chosen], edges, settings.voxels, scale_mm)


def row(
    scan: Scan,
    settings: ViewSettings,
    count: int,
    scale_mm: float,
    bodies: Bodies,
    axis: int = 2,
) -> Views:
    """Equidistant views along an axis (0 R, 1 A, 2 S), from end to end of the scan.

    Cubes go through the middle of the body, slabs through that of the scan.
    """
    edges = edges_of(scan, settings)
    room = np.maximum(extent_mm(scan.volume) - edges, 0) / 2
    middle = np.zeros(3)
    if settings.kind == "cube":
        middle = np.clip(bodies.of(scan).middle_mm, -room, room)
    centers = np.tile(middle, (count, 1))
    centers[:, axis] = np.linspace(-room[axis], room[axis], count)
    return views_at(scan, centers, edges, settings.voxels, scale_mm)


def recoloured(
    rng: np.random.Generator, images: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Views (V, S, A, R) in [0, 1], each on its own with a share's chance in another look.

    The data engine's bias field, over the view, then its gamma, see
    `napari_mrissl.pretext.navigation.appearance`, and noise. Without it how a scanner
    darkens one end of a scan would tell where a view is.
    """
    found = images.copy()
    for number, image in enumerate(images):
        drawn, acts = draw_recolouring(rng), rng.random() < share
        strength = rng.uniform(0, _NOISE)
        noise = rng.standard_normal(image.shape, np.float32)
        if not acts:
            continue
        changed = image
        if drawn.bias is not None:
            s, a, r = (np.linspace(-1, 1, side) for side in image.shape)
            field = np.polynomial.legendre.leggrid3d(s, a, r, legendre_cube(drawn.bias))
            changed = (changed * np.exp(field.astype(np.float32))).clip(0, 1)
        changed = changed**drawn.gamma + np.float32(strength) * noise
        found[number] = changed.clip(0, 1)
    return found
