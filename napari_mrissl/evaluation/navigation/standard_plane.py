"""The mid-sagittal plane: how far a found plane is from it, and answers that learned nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.volumes import Volume

FIXED, CENTRED, AXES, MIRROR = "fixed_world", "volume_centre", "principal_axes", "mirror_symmetry"

_POINTS = 4000
_RIGHT = np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in world mm.

    Attributes
    ----------
    point
        (3,) on it.
    normal
        (3,) of length 1; its sign says nothing.
    """

    point: NDArray[np.float64]
    normal: NDArray[np.float64]

    @classmethod
    def of(cls, point: ArrayLike, normal: ArrayLike) -> Plane:
        """From a normal of any length but 0."""
        direction = np.asarray(normal, np.float64)
        return cls(np.asarray(point, np.float64), direction / np.linalg.norm(direction))

    @classmethod
    def of_pose(cls, pose: Pose) -> Plane:
        """The plane that a pose lies in."""
        return cls.of(pose.center, pose.normal)

    def distance_mm(self, point: ArrayLike) -> float:
        """Of a point, without sign."""
        away = np.asarray(point, np.float64) - self.point
        return float(abs(away @ self.normal))


def apart(found: Plane, true: Plane, middle: NDArray[np.float64]) -> tuple[float, float]:
    """How far a found plane is from the true one: mm at the middle of the head, and degrees.

    Parameters
    ----------
    found, true
        The planes.
    middle
        (3,) middle of the head; the distance is that of the point of the true plane next to it
        from the found plane. Angles are those between normals without sign, 0 to 90.
    """
    on_true = middle - ((middle - true.point) @ true.normal) * true.normal
    cosine = float(np.clip(abs(found.normal @ true.normal), 0, 1))
    return found.distance_mm(on_true), float(np.degrees(np.arccos(cosine)))


def fixed_world(volume: Volume) -> Plane:
    """x = 0 in world mm, as if every head lay as the template does."""
    return Plane.of(np.zeros(3), _RIGHT)


def volume_centre(volume: Volume) -> Plane:
    """Through the middle of the grid, across the world's right-left axis."""
    middle = np.append((np.array(volume.shape) - 1) / 2, 1.0)
    return Plane.of((volume.affine @ middle)[:3], _RIGHT)


def principal_axes(volume: Volume) -> Plane:
    """Through the centre of mass, across that principal axis about which the head is most alike."""
    points, values = _sample(volume)
    center, axes = _moments(points, values)
    planes = [Plane.of(center, axis) for axis in axes]
    return max(planes, key=lambda plane: _alike(volume, plane, points, values))


def mirror_symmetry(volume: Volume) -> Plane:
    """The plane whose two sides correlate best, sought from each of the principal axes.

    Nelder and Mead's simplex in two angles and a shift, three times.
    """
    points, values = _sample(volume)
    center, axes = _moments(points, values)
    found = [_best_near(volume, Plane.of(center, axis), points, values) for axis in axes]
    return max(found, key=lambda plane: _alike(volume, plane, points, values))


def _best_near(
    volume: Volume, first: Plane, points: NDArray[np.float64], values: NDArray[np.float64]
) -> Plane:
    from scipy.optimize import minimize

    across = np.linalg.svd(first.normal[None])[2][1:]

    def plane(move: NDArray[np.float64]) -> Plane:
        normal = first.normal + move[:2] @ across
        return Plane.of(first.point + 10 * move[2] * first.normal, normal)

    steps = np.vstack([np.zeros(3), 0.2 * np.eye(3)])
    found = minimize(
        lambda move: -_alike(volume, plane(move), points, values),
        np.zeros(3),
        method="Nelder-Mead",
        options={"initial_simplex": steps, "xatol": 1e-3, "fatol": 1e-5, "maxiter": 200},
    )
    return plane(found.x)


PLAIN: Mapping[str, Callable[[Volume], Plane]] = {
    FIXED: fixed_world,
    CENTRED: volume_centre,
    AXES: principal_axes,
    MIRROR: mirror_symmetry,
}
"""Answers that nobody had to learn, by name."""


def _sample(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """World places (n, 3) of foreground voxels and their values above the darkest."""
    foreground = Foreground.of(volume)
    index = np.argwhere(foreground.mask)
    rng = generator(0, len(index), "points of symmetry")
    chosen = index[rng.permutation(len(index))[:_POINTS]]
    points = chosen @ foreground.affine[:3, :3].T + foreground.affine[:3, 3]
    values = _values(volume, points)
    return points, values - float(volume.value_range()[0])


def _values(volume: Volume, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) trilinear values at world places, 0 outside."""
    from scipy.ndimage import map_coordinates

    index = volume.to_index[:3, :3] @ points.T + volume.to_index[:3, 3:]
    found = map_coordinates(volume.data.astype(np.float32, copy=False), index, order=1)
    values: NDArray[np.float64] = volume.slope * found.astype(np.float64) + volume.intercept
    return values


def _moments(
    points: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre of mass (3,) and principal axes, one a row (3, 3)."""
    weights = np.maximum(values, 0)
    weights = weights / weights.sum()
    center = weights @ points
    offsets = points - center
    return center, np.linalg.eigh((weights[:, None] * offsets).T @ offsets)[1].T


def _alike(
    volume: Volume, plane: Plane, points: NDArray[np.float64], values: NDArray[np.float64]
) -> float:
    """Correlation of values with those on the other side."""
    away = (points - plane.point) @ plane.normal
    other = _values(volume, points - 2 * away[:, None] * plane.normal)
    if np.ptp(other) == 0 or np.ptp(values) == 0:
        return -1.0
    return float(np.corrcoef(values, other)[0, 1])
