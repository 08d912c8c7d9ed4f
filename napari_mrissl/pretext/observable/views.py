"""Views of a scan: boxes of one size along its axes, where they are, and what they show.

Positions are *scan mm*: mm along the scan's own axes, in the order (R, A, S), from the middle
of the scan. Of an upright scan these are world mm but for the origin; of an oblique one they
are turned with the scan, since nothing that a view shows says how the patient lay in the
scanner. `Views.to_world` and `Views.vectors_to_world` give world RAS mm. Arrays of voxels keep
the order (S, A, R) of volumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.pretext import crops
from napari_mrissl.pretext.observable.gaps import gap_matrix
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.volumes import Volume

Floats = NDArray[np.float64]

_CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T - 0.5


@dataclass(frozen=True, eq=False)
class Views:
    """Some views of one scan; every target and every drawing is derived from it.

    Attributes
    ----------
    identity
        Of the scan.
    shape
        Voxels of the scan along (S, A, R).
    affine
        (4, 4) from its index (s, a, r) to world RAS mm.
    centers_mm
        (V, 3) middles of the views in scan mm (R, A, S).
    edges_mm
        (3,) edges of every view along (R, A, S).
    voxels
        Voxels of every view along (S, A, R).
    scale_mm
        What is 1 to the network.
    """

    identity: str
    shape: tuple[int, int, int]
    affine: Floats
    centers_mm: Floats
    edges_mm: Floats
    voxels: tuple[int, int, int]
    scale_mm: float

    def __len__(self) -> int:
        return len(self.centers_mm)

    @property
    def positions(self) -> Floats:
        """(V, 3) middles over the scale: what the network's answers are differences of."""
        normalised: Floats = self.centers_mm / self.scale_mm
        return normalised

    @property
    def gaps_mm(self) -> Floats:
        """(V, V, 3) true gaps from view i to view j."""
        gaps: Floats = gap_matrix(self.centers_mm)
        return gaps

    @property
    def gaps_voxels(self) -> Floats:
        """(V, V, 3) true gaps in voxels of the views, along (S, A, R)."""
        gaps: Floats = self.gaps_mm[..., ::-1] / (self.edges_mm[::-1] / self.voxels)
        return gaps

    @cached_property
    def spacing_mm(self) -> Floats:
        """(3,) mm from voxel to voxel of the scan, along (R, A, S)."""
        lengths: Floats = np.linalg.norm(self.affine[:3, :3], axis=0)[::-1]
        return lengths

    @property
    def centers_world(self) -> Floats:
        """(V, 3) middles in world RAS mm."""
        return self.to_world(self.centers_mm)

    @property
    def corners_world(self) -> Floats:
        """(V, 8, 3) corners in world RAS mm; number 4 r + 2 a + s, where 1 is the upper end."""
        return self.to_world(self.centers_mm[:, None] + _CORNERS * self.edges_mm)

    def to_world(self, points_mm: ArrayLike) -> Floats:
        """Points (..., 3) in scan mm as world RAS mm."""
        middle = (np.array(self.shape) - 1) / 2
        index = (np.asarray(points_mm, np.float64) / self.spacing_mm)[..., ::-1] + middle
        return apply_affine(self.affine, index)

    def vectors_to_world(self, vectors_mm: ArrayLike) -> Floats:
        """Differences (..., 3) of points in scan mm as world RAS mm."""
        index = (np.asarray(vectors_mm, np.float64) / self.spacing_mm)[..., ::-1]
        turned: Floats = index @ self.affine[:3, :3].T
        return turned

    def boxes(self) -> tuple[Floats, Floats]:
        """(V, 3) lower and upper corners in the scan's index (s, a, r), faces included."""
        middle = (np.array(self.shape) - 1) / 2
        centers = (self.centers_mm / self.spacing_mm)[:, ::-1] + middle
        half = (self.edges_mm / self.spacing_mm)[::-1] / 2
        return centers - half, centers + half

    def plain(self) -> dict[str, Any]:
        """As plain data, for `Sample.record` and JSON; `from_plain` takes it back."""
        return {
            "identity": self.identity,
            "shape": list(self.shape),
            "affine": self.affine.tolist(),
            "centers_mm": self.centers_mm.tolist(),
            "edges_mm": self.edges_mm.tolist(),
            "voxels": list(self.voxels),
            "scale_mm": self.scale_mm,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Views:
        """The views of what `plain` gave, JSON or not.

        Raises
        ------
        MrisslError
            If fields are missing or none of its own.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list | tuple) else value
            for name, value in plain.items()
        }
        try:
            for name in ("affine", "centers_mm", "edges_mm"):
                if name in values:
                    values[name] = np.array(values[name], np.float64)
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise MrisslError("not the record of views", where="views") from error


def views_at(
    scan: Scan,
    centers_mm: ArrayLike,
    edges_mm: ArrayLike,
    voxels: tuple[int, int, int],
    scale_mm: float,
) -> Views:
    """Views of a scan about points in scan mm.

    Raises
    ------
    MrisslError
        If edges or scale are not positive, or there are no points.
    """
    centers = np.asarray(centers_mm, np.float64)
    edges = np.asarray(edges_mm, np.float64)
    if not (edges > 0).all() or not 0 < scale_mm < np.inf or min(voxels) < 1:
        raise MrisslError(
            f"views of {edges.tolist()} mm, scale {scale_mm:g} mm", expected="more than 0"
        )
    if centers.ndim != 2 or centers.shape[1] != 3 or not len(centers):
        raise MrisslError(f"points of shape {centers.shape}", where="views", expected="(V, 3)")
    volume = scan.volume
    return Views(
        scan.identity, volume.shape, volume.affine, centers, edges, voxels, float(scale_mm)
    )


def extent_mm(volume: Volume) -> Floats:
    """(3,) edges of a scan's box along (R, A, S)."""
    edges: Floats = (np.array(volume.shape) * volume.spacing)[::-1]
    return edges


def cut(scan: Scan, views: Views) -> NDArray[np.float32]:
    """(V, S, A, R) what the views show, in [0, 1]; beyond the scan its outermost voxels go on.

    Raises
    ------
    MrisslError
        If the views are of another scan.
    """
    if views.identity != scan.identity or views.shape != scan.volume.shape:
        raise MrisslError("the views are of another scan", where=scan.subject)
    images = np.empty((len(views), *views.voxels), np.float32)
    for image, lower, upper in zip(images, *views.boxes(), strict=True):
        crops.cut_box(scan, tuple(lower), tuple(upper), image)
    return images


class Body:
    """How much of any box of a scan is body: a coarse mask, summed up once.

    Parameters
    ----------
    volume
        Of the scan.
    """

    def __init__(self, volume: Volume) -> None:
        found = Foreground.of(volume)
        coarse = found.mask.astype(np.float64)
        to_index = volume.to_index @ found.affine
        steps = np.diagonal(to_index)[:3].copy()
        # A voxel of the mask stands for a box about its middle.
        lower = to_index[:3, 3] - steps / 2
        factors = [max(1, -(-side // _MOST)) for side in coarse.shape]
        for axis, factor in enumerate(factors):
            coarse = _pooled(coarse, axis, factor)
        self._lower, self._steps = lower, steps * factors
        self._spacing, self._middle = volume.spacing, (np.array(volume.shape) - 1) / 2
        sums = coarse.cumsum(0).cumsum(1).cumsum(2)
        self._sums = np.pad(sums, ((1, 0), (1, 0), (1, 0))).astype(np.float32)
        corners = np.percentile(
            (volume.to_index @ _homogeneous(found.box).T)[:3].T, (0, 100), axis=0
        )
        self.middle_mm: Floats = ((corners.mean(axis=0) - self._middle) * volume.spacing)[::-1]
        """(3,) middle of the box that holds the body, in scan mm (R, A, S)."""

    def share(self, centers_mm: ArrayLike, edges_mm: ArrayLike) -> Floats:
        """(N,) how much of boxes about points (N, 3) in scan mm is body, 0 to 1.

        Of the part of each box that lies in the scan: what is beyond, as of a slab that is wider
        than a head, shows no air of the scan. 0 where none of it does.
        """
        from scipy.ndimage import map_coordinates

        centers = np.asarray(centers_mm, np.float64)
        edges = np.asarray(edges_mm, np.float64)
        points = (centers[:, None] + _CORNERS * edges)[..., ::-1] / self._spacing + self._middle
        places = (points - self._lower) / self._steps
        places = np.clip(places, 0, np.array(self._sums.shape) - 1)
        values = map_coordinates(self._sums, places.reshape(-1, 3).T, order=1).reshape(-1, 8)
        signs = 8 * np.prod(_CORNERS, axis=1)
        # Corners of what lies in the scan: its outermost voxels end half a voxel from its middle.
        corners = points[:, [0, -1]].clip(-0.5, 2 * self._middle + 0.5)
        cells = np.prod((corners[:, 1] - corners[:, 0]) / self._steps, axis=1)
        found = np.divide(values @ signs, cells, out=np.zeros(len(cells)), where=cells > 0)
        shares: Floats = np.clip(found, 0, 1)
        return shares


_MOST = 24
"""Cells along each axis of the coarse mask that is kept: 60 kB for a scan."""


def _pooled(values: Floats, axis: int, factor: int) -> Floats:
    """Sums over ``factor`` cells over their number, so that a cell cut short counts less."""
    starts = np.arange(0, values.shape[axis], factor)
    pooled: Floats = np.add.reduceat(values, starts, axis=axis) / factor
    return pooled


def _homogeneous(points: Floats) -> Floats:
    """The eight corners of a world box (2, 3), with a fourth 1."""
    ends = points[np.indices((2, 2, 2)).reshape(3, 8).T, np.arange(3)]
    return np.concatenate([ends, np.ones((8, 1))], axis=1)
