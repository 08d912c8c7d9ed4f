"""Where the pixels of a picture lie in the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Pixels of one picture in world RAS mm.

    Positions (x, y) count pixels from the top left corner of the picture, so the centre of
    pixel (row i, column j) is at ``(j + 0.5, i + 0.5)``.

    Attributes
    ----------
    center
        World mm (3,) of the middle of the picture.
    right, up
        Unit vectors (3,) along the columns and against the rows.
    step
        Side length of a pixel, mm.
    width, height
        Pixels along columns and rows.
    """

    center: NDArray[np.float64]
    right: NDArray[np.float64]
    up: NDArray[np.float64]
    step: float
    width: int
    height: int

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector towards the observer."""
        return np.cross(self.right, self.up)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal rasters."""
        vectors = np.concatenate([self.center, self.right, self.up])
        return (vectors.tobytes(), self.step, self.width, self.height)

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) from (plane, row, column) to world RAS mm."""
        affine = np.eye(4)
        affine[:3, 0] = self.step * self.normal
        affine[:3, 1] = -self.step * self.up
        affine[:3, 2] = self.step * self.right
        affine[:3, 3] = self.point(0.5, 0.5)
        return affine

    def point(self, x: float, y: float) -> NDArray[np.float64]:
        """World RAS mm (3,) of a position."""
        across = (x - self.width / 2) * self.step
        down = (y - self.height / 2) * self.step
        return self.center + across * self.right - down * self.up

    def position(self, point: ArrayLike) -> tuple[float, float]:
        """Position (x, y) of a point (3,) in world mm, seen along the normal."""
        away = (np.asarray(point, np.float64) - self.center) / self.step
        return (
            float(away @ self.right) + self.width / 2,
            self.height / 2 - float(away @ self.up),
        )


def raster_of_pose(pose: Pose, width: int, height: int) -> Raster:
    """The picture in which a pose's square is just seen whole."""
    return Raster(pose.center, pose.right, pose.up, pose.fov / min(width, height), width, height)
