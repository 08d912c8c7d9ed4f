"""A pose: a square plane in world millimetres, the single truth for slice and recorder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix

POSE_COLUMNS = ("cx", "cy", "cz", "qw", "qx", "qy", "qz", "fov")

_IDENTITY = np.eye(3)
_TOLERANCE = 2e-5


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A square plane in world RAS+ mm.

    Attributes
    ----------
    center
        Centre of the plane, (3,) float64, mm.
    rotation
        (3, 3) with columns right, up, normal; determinant +1. Image columns run
        along ``right``, image rows along ``-up``; ``normal`` points to the observer.
    fov
        Full side length of the square, mm.
    """

    center: NDArray[np.float64]
    rotation: NDArray[np.float64]
    fov: float

    def __post_init__(self) -> None:
        center = np.array(self.center, np.float64)
        rotation = np.array(self.rotation, np.float64)
        fov = float(self.fov)
        if center.shape != (3,) or not np.isfinite(center).all():
            raise MrisslError("pose centre is not three finite numbers", expected="RAS mm")
        if (
            rotation.shape != (3, 3)
            # A flight has thousands of poses: cheaper than allclose, and NaN is refused too.
            or not np.abs(rotation.T @ rotation - _IDENTITY).max() <= _TOLERANCE
            or _determinant(rotation) < 0
        ):
            raise MrisslError(
                "pose rotation is not a rotation matrix",
                expected="orthonormal columns right, up, normal with determinant +1",
            )
        if not np.isfinite(fov) or fov <= 0:
            raise MrisslError(f"pose fov is {fov}", expected="a side length > 0 in mm")
        center.flags.writeable = False
        rotation.flags.writeable = False
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "fov", fov)

    @classmethod
    def from_normal_up(
        cls, center: ArrayLike, normal: ArrayLike, up: ArrayLike, fov: float
    ) -> Pose:
        """The plane with this normal whose rows run along ``-up``; right = up x normal.

        ``normal`` and ``up`` (3,) need not be unit length; the part of ``up`` along
        the normal is dropped.

        Raises
        ------
        MrisslError
            If the normal is zero or ``up`` is parallel to it.
        """
        n = _direction(normal, "normal")
        u = _direction(up, "up")
        u = u - n * float(u @ n)
        if np.linalg.norm(u) < 1e-6:
            raise MrisslError("up is parallel to the normal", expected="two different directions")
        u /= np.linalg.norm(u)
        return cls(np.asarray(center, np.float64), np.stack([np.cross(u, n), u, n], axis=1), fov)

    @classmethod
    def from_row(cls, row: ArrayLike) -> Pose:
        """The pose of eight numbers in the order of `POSE_COLUMNS`."""
        numbers = np.asarray(row, np.float64)
        if numbers.shape != (8,) or not np.isfinite(numbers).all():
            raise MrisslError(
                f"pose row of shape {numbers.shape} or not finite",
                expected=f"eight finite numbers {', '.join(POSE_COLUMNS)}",
            )
        if abs(float(np.linalg.norm(numbers[3:7])) - 1) > 1e-3:
            raise MrisslError("pose quaternion is not of unit length", expected="|q| = 1")
        return cls(numbers[:3], matrix_from_quaternion(numbers[3:7]), float(numbers[7]))

    def to_row(self) -> NDArray[np.float64]:
        """Eight numbers in the order of `POSE_COLUMNS`; quaternion with qw >= 0."""
        return np.concatenate([self.center, quaternion_from_matrix(self.rotation), [self.fov]])

    @property
    def right(self) -> NDArray[np.float64]:
        """Unit vector along image columns."""
        return self.rotation[:, 0]

    @property
    def up(self) -> NDArray[np.float64]:
        """Unit vector against image rows."""
        return self.rotation[:, 1]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector out of the image, towards the observer."""
        return self.rotation[:, 2]

    def grid(self, size: int) -> NDArray[np.float64]:
        """Affine (4, 4) from (plane, row, column) of a ``size`` x ``size`` raster to mm.

        Pixel (i, j) lies at center + ((j + .5)/N - .5) fov right - ((i + .5)/N - .5)
        fov up; the plane axis steps one pixel along the normal.
        """
        step = self.fov / size
        affine = np.eye(4)
        affine[:3, 0] = step * self.normal
        affine[:3, 1] = -step * self.up
        affine[:3, 2] = step * self.right
        corner = (0.5 / size - 0.5) * self.fov
        affine[:3, 3] = self.center + corner * (self.right - self.up)
        return affine

    def corners(self) -> NDArray[np.float64]:
        """The plane's corners (4, 3) in mm: top left, top right, bottom right, bottom left."""
        half = self.fov / 2
        signs = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]])
        placed: NDArray[np.float64] = self.center + half * signs @ self.rotation[:, :2].T
        return placed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pose) and bool(np.array_equal(self.to_row(), other.to_row()))

    def __hash__(self) -> int:
        return hash(self.to_row().tobytes())

    def __reduce__(self) -> tuple[Any, ...]:
        return Pose, (self.center, self.rotation, self.fov)


def _determinant(matrix: NDArray[np.float64]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def _direction(vector: ArrayLike, name: str) -> NDArray[np.float64]:
    direction = np.array(vector, np.float64)
    length = float(np.linalg.norm(direction))
    if direction.shape != (3,) or not np.isfinite(length) or length == 0:
        raise MrisslError(f"{name} is not a direction", expected="three numbers, not all zero")
    unit: NDArray[np.float64] = direction / length
    return unit
