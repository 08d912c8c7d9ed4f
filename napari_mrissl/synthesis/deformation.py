"""Smooth random deformations: a small affine map about a centre, and elastic displacements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import Field

from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.synthesis.noise import draw_fields, nodes_of, upsampling
from napari_mrissl.synthesis.settings import Amount, NotNegative, Settings


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
        from napari_mrissl.synthesis import noise_kernels

        return self._sampled(noise_kernels.nearest, labels, labels.dtype)

    def linear(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """(S, S, S) trilinear; 0 outside the template."""
        from napari_mrissl.synthesis import noise_kernels

        return self._sampled(noise_kernels.linear, image, np.float32)

    def _sampled(
        self, kernel: Callable[..., object], source: NDArray[Any], dtype: DTypeLike
    ) -> NDArray[Any]:
        move, side = self.deformation, self.side
        middle = self.affine @ np.array([(side - 1) / 2] * 3 + [1.0])
        about = np.eye(4)
        about[:3, :3] = move.matrix
        about[:3, 3] = middle[:3] + move.shift - move.matrix @ middle[:3]
        whole = (self.to_index @ about @ self.affine)[:3]
        weights = self.to_index[:3, :3].astype(np.float32)
        up = upsampling(move.nodes, side)
        tables = (move.coarse, up.nodes, up.before, up.mix)
        # All sources alike, or kernels would be compiled for read-only ones once more.
        source = source.view()
        source.flags.writeable = False
        out = np.empty((side,) * 3, dtype)
        over_rows(lambda a, b: kernel(source, whole, weights, *tables, out, a, b), side, out.size)
        return out
