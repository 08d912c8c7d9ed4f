"""Smooth random deformations: a small affine map about a centre, and elastic displacements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from napari_mrissl.synthesis.noise import Upsampling, draw_fields, nodes_of, upsampling
from napari_mrissl.synthesis.settings import Amount, NotNegative, Settings

_SLAB = 16
"""Planes worked on at a time, so that coordinates never take more than the volume."""


class DeformationSettings(Settings):
    """How far a head may differ in shape from its template; all else follows by chance."""

    degrees: NotNegative = Field(
        default=8.0, le=45, title="Rotation (degrees)", description="Largest, about each axis."
    )
    scale: NotNegative = Field(
        default=0.08, le=0.3, title="Scale", description="Largest change of size along each axis."
    )
    shear: NotNegative = Field(
        default=0.04, le=0.3, title="Shear", description="Largest shear factor, per pair of axes."
    )
    shift: NotNegative = Field(
        default=4.0, le=50, title="Shift (mm)", description="Largest translation along each axis."
    )
    elastic_scales: tuple[int, ...] = Field(
        default=(16, 32, 64),
        title="Elastic scales (128ths of the side)",
        description="Distances between the nodes of the displacement fields.",
    )
    elastic_std: Amount = Field(
        default=(0.5, 2.5),
        title="Elastic strength (mm)",
        description="Standard deviation of each displacement field at its nodes.",
    )


@dataclass(frozen=True, eq=False)
class Deformation:
    """Where each place of the new head is looked up in the template.

    Attributes
    ----------
    matrix, shift
        Offset from the centre in RAS mm, (3, 3); translation in RAS mm, (3,).
    nodes, coarse
        Sides of the displacement fields; their values (3, nodes) in RAS mm.
    stds
        Standard deviation of each field in mm.
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    nodes: tuple[int, ...]
    coarse: NDArray[np.float32]
    stds: tuple[float, ...]

    def record(self) -> dict[str, object]:
        """The drawn numbers, as plain data."""
        return {
            "matrix": self.matrix.tolist(),
            "shift": self.shift.tolist(),
            "elastic_stds": list(self.stds),
        }


def draw_deformation(rng: np.random.Generator, settings: DeformationSettings) -> Deformation:
    """Draw a deformation; it never mirrors."""
    angles = np.radians(rng.uniform(-settings.degrees, settings.degrees, 3))
    matrix = np.diag(1 + rng.uniform(-settings.scale, settings.scale, 3))
    sheared = np.eye(3)
    sheared[[0, 0, 1], [1, 2, 2]] = rng.uniform(-settings.shear, settings.shear, 3)
    matrix = matrix @ sheared
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[second, first], turn[first, second] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    shift = rng.uniform(-settings.shift, settings.shift, 3)
    stds, coarse = draw_fields(rng, settings.elastic_scales, settings.elastic_std, 3)
    return Deformation(matrix, shift, nodes_of(settings.elastic_scales), coarse, stds)


@dataclass(frozen=True, eq=False)
class Sampler:
    """Looks up an array in template space at the voxels of a cubic grid.

    Attributes
    ----------
    to_index
        (4, 4) from RAS mm to index in the template's arrays.
    affine
        (4, 4) from index (s, a, r) of the grid to RAS mm.
    side
        Voxels along each side of the grid.
    deformation
        About the middle of the grid.
    """

    to_index: NDArray[np.float64]
    affine: NDArray[np.float64]
    side: int
    deformation: Deformation

    def nearest(self, labels: NDArray[Any]) -> NDArray[Any]:
        """(S, S, S) the nearest voxel; 0 outside the template."""
        out = np.zeros((self.side,) * 3, labels.dtype)
        for rows, places in self._slabs():
            within = np.ones(places[0].shape, bool)
            flat = np.zeros(places[0].shape, np.intp)
            for place, extent in zip(places, labels.shape, strict=True):
                near = np.floor(place + np.float32(0.5)).astype(np.intp)
                within &= (near >= 0) & (near < extent)
                flat *= extent
                flat += near
            out[rows][within] = labels.reshape(-1)[flat[within]]
        return out

    def linear(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """(S, S, S) trilinear; 0 outside the template."""
        out = np.empty((self.side,) * 3, np.float32)
        for rows, places in self._slabs():
            ndimage.map_coordinates(image, places, out[rows], order=1, prefilter=False)
        return out

    def _slabs(self) -> Iterator[tuple[slice, list[NDArray[np.float32]]]]:
        """Index in the template of every voxel, some planes at a time."""
        move = self.deformation
        middle = self.affine @ np.array([(self.side - 1) / 2] * 3 + [1.0])
        about = np.eye(4)
        about[:3, :3] = move.matrix
        about[:3, 3] = middle[:3] + move.shift - move.matrix @ middle[:3]
        whole = self.to_index @ about @ self.affine
        up = upsampling(move.nodes, self.side)
        line = np.arange(self.side, dtype=np.float64)
        for start in range(0, self.side, _SLAB):
            rows = slice(start, min(start + _SLAB, self.side))
            fields = [self._displacement(up, component, rows) for component in range(3)]
            places = []
            for axis in range(3):
                s, a, r, offset = whole[axis]
                plane = (offset + s * line[rows, None] + a * line).astype(np.float32)
                place = plane[:, :, None] + (r * line).astype(np.float32)
                for component, field in enumerate(fields):
                    if weight := float(self.to_index[axis, component]):
                        place += np.float32(weight) * field
                places.append(place)
            yield rows, places

    def _displacement(self, up: Upsampling, component: int, rows: slice) -> NDArray[np.float32]:
        """One component in mm for some planes; no matrix products, whose sums vary with threads."""
        values = self.deformation.coarse[component]
        total = np.zeros((rows.stop - rows.start, self.side, self.side), np.float32)
        start = 0
        for field, n in enumerate(self.deformation.nodes):
            grid = values[start : start + n**3].reshape(n, n, n)
            before, mix = up.before[field], up.mix[field]
            after = np.minimum(before + 1, n - 1)
            for axis, part in enumerate((rows, slice(None), slice(None))):
                shape = [1, 1, 1]
                shape[axis] = -1
                weight = mix[part].reshape(shape)
                low, high = (np.take(grid, places[part], axis) for places in (before, after))
                high -= low
                high *= weight
                high += low
                grid = high
            total += grid
            start += n**3
        return total
