"""Heads whose mid-sagittal plane is known: MNI152 deformed as painted heads are, and displaced.

The plane of the template is x = 0 in its world. Which x each voxel of a head comes from is
looked up by the very deformation that made the head, and the true plane is fitted to that.
Skull and scalp are missing, and all heads share one anatomy: results do not reach further.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.navigation.standard_plane import Plane
from napari_mrissl.geometry import Pose
from napari_mrissl.geometry.rotations import matrix_from_axis_angle
from napari_mrissl.synthesis.deformation import (
    Deformation,
    DeformationSettings,
    Sampler,
    draw_deformation,
)
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.synthesis.head_templates import cubic_affine, cubic_volume
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.samples import mni152

MOST_MM, MOST_DEGREES = 30.0, 30.0
SIDE, STEP_MM = 96, 2.75
VIEW_MM = 220.0
"""Side of the square that the standard plane shows."""

_TABLE_MM = 15.0
_NEAR_MM = 10.0
_OFFSET = 1000.0
"""Added to x: where a voxel is outside the template it is looked up as 0, far from the plane."""

_GAMMA, _NOISE = (0.6, 1.6), (2.0, 8.0)
# Displacement is the only turn and shift, so that it is as large as it says.
_SHAPE = DeformationSettings(degrees=0.0, shift=0.0)


@dataclass(frozen=True, eq=False)
class DisplacedHead:
    """A head with its truth.

    Attributes
    ----------
    volume
        Grey values, uint8, on an upright cubic grid.
    plane
        The mid-sagittal one, in world mm.
    middle
        (3,) of the head, in world mm.
    target
        The standard view of the plane: superior up, the middle of the head in its middle.
    moved_mm, turned_degrees
        By how much the head is displaced.
    """

    volume: Volume
    plane: Plane
    middle: NDArray[np.float64]
    target: Pose
    moved_mm: float
    turned_degrees: float


def displaced_head(seed: int, number: int, side: int = SIDE) -> DisplacedHead:
    """The head of a number, by seed.

    Shift and turn are drawn evenly up to 30 mm and 30 degrees, in any direction; the grid lies
    up to 15 mm off in each direction, as heads do in scanners.

    Parameters
    ----------
    side
        Voxels along each side of the grid, which is 264 mm wide.
    """
    rng = generator(seed, number, "displaced head")
    way, axis = (one / np.linalg.norm(one) for one in rng.normal(size=(2, 3)))
    mm, degrees = float(rng.uniform(0, MOST_MM)), float(rng.uniform(0, MOST_DEGREES))
    turn = matrix_from_axis_angle(np.radians(degrees) * axis)
    t1, sides, center = _template()
    table = center + rng.uniform(-_TABLE_MM, _TABLE_MM, 3)
    affine = cubic_affine(table, side, SIDE * STEP_MM / side)
    shape = draw_deformation(generator(seed, number, "head deformation"), _SHAPE)
    move = _displaced(shape, affine, side, center, turn, mm * way)
    sampler = Sampler(t1.to_index, affine, side, move)
    found = sampler.linear(t1.data) / np.float32(255)
    inside = found > 0
    image = found ** np.float32(rng.uniform(*_GAMMA))
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(*_NOISE) / 255)
    data = np.rint(255 * np.clip(image + noise, 0, 1)).astype(np.uint8)
    volume = cubic_volume(data, affine, f"displaced head {number}")
    index = np.argwhere(inside)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    x_of = sampler.linear(sides)[inside] - _OFFSET
    plane = fitted_plane(places, x_of)
    middle = places.mean(axis=0)
    on_plane = middle - ((middle - plane.point) @ plane.normal) * plane.normal
    up = np.linalg.solve(move.matrix, np.array([0.0, 0.0, 1.0]))
    target = Pose.from_normal_up(on_plane, plane.normal, up, VIEW_MM)
    return DisplacedHead(volume, plane, middle, target, mm, degrees)


def fitted_plane(places: NDArray[np.float64], x: NDArray[np.floating]) -> Plane:
    """The plane x = 0 by least squares to places (n, 3) within 10 mm of it; normal towards +x."""
    near = np.abs(x) < _NEAR_MM
    rows = np.column_stack([places[near], np.ones(int(near.sum()))])
    (a, b, c, d), *_ = np.linalg.lstsq(rows, np.asarray(x, np.float64)[near], rcond=None)
    normal = np.array([a, b, c])
    return Plane.of(-d * normal / (normal @ normal), normal)


@cache
def _template() -> tuple[Volume, NDArray[np.float32], NDArray[np.float64]]:
    """MNI152 at 2 mm, on its grid the world's x plus an offset, and the middle of the head."""
    t1 = mni152(2)
    index = np.indices(t1.shape).reshape(3, -1)
    x = (t1.affine[0, :3] @ index + t1.affine[0, 3]).reshape(t1.shape)
    places = np.argwhere(t1.data > 0) @ t1.affine[:3, :3].T + t1.affine[:3, 3]
    return t1, np.ascontiguousarray(x + _OFFSET, np.float32), places.mean(axis=0)


def _displaced(
    shape: Deformation,
    affine: NDArray[np.float64],
    side: int,
    center: NDArray[np.float64],
    turn: NDArray[np.float64],
    way: NDArray[np.float64],
) -> Deformation:
    """A deformation that is about the template's centre, of a head that is displaced as well.

    A place x of the new head is looked up at center + M turn^T (x - center - way); a sampler
    says middle + shift + matrix (x - middle), with the middle of its grid.
    """
    matrix = shape.matrix @ turn.T
    middle = (affine @ np.array([(side - 1) / 2] * 3 + [1.0]))[:3]
    shift = center + matrix @ (middle - center - way) - middle
    return replace(shape, matrix=matrix, shift=shift)
