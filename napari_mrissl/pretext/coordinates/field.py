"""Body coordinates of a whole scan: colours, gradients, folds, and where a coordinate lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.coordinates.body_axes import BodyAxes, fitted
from napari_mrissl.pretext.lattices import Lattice
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.slicing import render_labels
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.coordinates.inspection import Inspector, Progress

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STEP_MM = 4.0
"""Between the points of a field: a cell of a network that was trained on voxels of 1 mm."""

_MOST = 120_000
_SHOWN = (2.0, 98.0)
_FINER = 8


@dataclass(frozen=True, eq=False)
class Field:
    """What a network says of points all over a scan.

    Attributes
    ----------
    lattice
        The points.
    coordinates
        (S, A, R, 3) what the network says of them; distances are over its scale.
    body
        (S, A, R) where there is something to see.
    axes
        That turn coordinates into mm along (R, A, S).
    own_axes
        Whether these were fitted to this very scan, as the weights come without.
    """

    lattice: Lattice
    coordinates: Floats
    body: Bools
    axes: BodyAxes
    own_axes: bool

    @cached_property
    def mm(self) -> Floats:
        """(S, A, R, 3) coordinates in mm along the body's (R, A, S)."""
        return self.axes.to_mm(self.coordinates)

    @cached_property
    def jacobian(self) -> Floats:
        """(S, A, R, 3, 3) how each of `mm` (row) rises by mm along the scan's (R, A, S)."""
        steps = self.lattice.steps_mm
        rises = [np.gradient(self.mm, steps[2 - axis], axis=2 - axis) for axis in range(3)]
        found: Floats = np.stack(rises, axis=-1)
        return found

    @cached_property
    def folds(self) -> Bools:
        """(S, A, R) points of the body about which coordinates are mirrored, or flat."""
        found: Bools = self.body & (np.linalg.det(self.jacobian) <= 0)
        return found

    @property
    def folded(self) -> float:
        """Share of the body that is folded; a half where coordinates know nothing."""
        return float(self.folds.sum() / max(1, self.body.sum()))

    def at(self, points_mm: ArrayLike) -> Floats:
        """(N, 3) coordinates of points (N, 3) in scan mm (R, A, S), linear between the field's."""
        return self._between(self.coordinates, self.lattice.index_of(points_mm))

    def body_at(self, point_mm: ArrayLike) -> bool:
        """Whether there is something to see at a point (3,) in scan mm."""
        index = np.rint(self.lattice.index_of(point_mm)).astype(int)
        s, a, r = np.clip(index, 0, np.array(self.body.shape) - 1)
        return bool(self.body[s, a, r])

    def contains(self, point_mm: ArrayLike) -> bool:
        """Whether a point (3,) in scan mm is in the scan, and in its body."""
        index = self.lattice.index_of(point_mm)
        inside = (index >= -0.5) & (index <= np.array(self.body.shape) - 0.5)
        return bool(inside.all()) and self.body_at(point_mm)

    def nearest(self, coordinates: ArrayLike) -> tuple[Floats, float]:
        """Where in the body coordinates (3,) lie, in scan mm, and how far off they are there.

        The nearest point of the field, and then the nearest between its neighbours; the second
        number is the distance of coordinates, over the scale of the network.
        """
        wanted = np.asarray(coordinates, np.float64)
        places = np.argwhere(self.body)
        apart = ((self.coordinates[self.body] - wanted) ** 2).sum(axis=1)
        start = places[int(apart.argmin())]
        around = np.stack(
            np.meshgrid(*[np.linspace(-1, 1, 2 * _FINER + 1)] * 3, indexing="ij"), axis=-1
        ).reshape(-1, 3)
        index = np.clip(start + around, 0, np.array(self.body.shape) - 1)
        off = np.linalg.norm(self._between(self.coordinates, index) - wanted, axis=1)
        best = int(off.argmin())
        middle = (np.array(self.body.shape) - 1) / 2
        return ((index[best] - middle) * self.lattice.steps_mm)[::-1], float(off[best])

    def drawn(self) -> Drawn:
        """The field in finer steps, to look at."""
        lattice = self.lattice.finer(2)
        index = np.moveaxis(np.indices(lattice.shape), 0, -1) / 2 - 0.25
        mm = self._between(self.mm, index.reshape(-1, 3)).reshape(*lattice.shape, 3)
        body = np.repeat(np.repeat(np.repeat(self.body, 2, 0), 2, 1), 2, 2)
        low, high = np.percentile(self.mm[self.body], _SHOWN, axis=0)
        return Drawn(lattice, mm.astype(np.float32), body, low, high)

    @staticmethod
    def _between(values: Floats, index: Floats) -> Floats:
        from scipy.ndimage import map_coordinates

        parts = [
            map_coordinates(values[..., n], index.T, order=1, mode="nearest") for n in (0, 1, 2)
        ]
        found: Floats = np.stack(parts, axis=-1)
        return found


@dataclass(frozen=True, eq=False)
class Drawn:
    """A field as it is looked at.

    Attributes
    ----------
    lattice
        The points.
    mm
        (S, A, R, 3) coordinates in mm along the body's (R, A, S).
    body
        (S, A, R) where there is something to see.
    low, high
        (3,) what has no and all of a colour.
    """

    lattice: Lattice
    mm: NDArray[np.float32]
    body: Bools
    low: Floats
    high: Floats

    def colours(self) -> NDArray[np.uint8]:
        """(S, A, R, 3) red rises to the right, green to anterior, blue to superior; air black."""
        shares = (self.mm - self.low) / np.maximum(self.high - self.low, 1e-9)
        shown = np.rint(255 * np.clip(shares, 0, 1)) * self.body[..., None]
        found: NDArray[np.uint8] = shown.astype(np.uint8)
        return found

    def bands(self, axis: int, each_mm: float) -> NDArray[np.int32]:
        """(S, A, R) numbers of the bands between iso-lines of a coordinate, from 1; 0 in air."""
        numbers = np.floor(self.mm[..., axis] / each_mm).astype(np.int32)
        numbers -= int(numbers[self.body].min()) - 1
        found: NDArray[np.int32] = np.where(self.body, numbers, 0)
        return found


def field_of(network: Inspector, scan: Scan, progress: Progress | None = None) -> Field:
    """Ask a network about points all over a scan.

    Raises
    ------
    MrisslError
        If the scan has no body, or all coordinates are the same.
    """
    lattice = Lattice.filling(scan.volume, STEP_MM, _MOST)
    body = _body(scan.volume, lattice)
    points = lattice.points_mm
    found = network.locate(scan, points, progress=progress).coordinates
    axes = network.axes or fitted([(found[body.ravel()], points[body.ravel()])])
    return Field(lattice, found.reshape(*lattice.shape, 3), body, axes, network.axes is None)


def _body(volume: Volume, lattice: Lattice) -> Bools:
    from scipy.ndimage import binary_fill_holes

    known = Foreground.of(volume)
    body: Bools = render_labels(known.mask, known.affine, lattice.affine, lattice.shape) > 0
    # What is dark within a body, as its ventricles, has a place in it too.
    body = binary_fill_holes(body)
    if not body.any():
        raise MrisslError("has no body to be told from air", where=volume.name)
    return body
