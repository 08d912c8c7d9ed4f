"""How an anatomical pane is zoomed and panned, and where planes cut each other; no Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.pictures.rasters import Raster

_MARGIN = 1.04
_ZOOM_LIMITS = (0.25, 64.0)
# Share of the picture's half width beyond which the crosshair counts as lost at the edge.
_VISIBLE = 0.97


@dataclass(eq=False)
class Camera:
    """Zoom and pan of one anatomical pane.

    Attributes
    ----------
    zoom
        1 shows the whole scan.
    center
        World mm (3,) of the middle of the picture; None: the middle of the scan.
    """

    zoom: float = 1.0
    center: NDArray[np.float64] | None = None

    def raster(
        self,
        rotation: NDArray[np.float64],
        crosshair: NDArray[np.float64],
        box: tuple[NDArray[np.float64], NDArray[np.float64]],
        size: tuple[int, int],
    ) -> Raster:
        """The picture through the crosshair.

        Parameters
        ----------
        rotation
            (3, 3) with columns right, up, normal.
        crosshair
            World mm (3,).
        box
            Centre (3,) and extent (3,) in mm of what zoom 1 shows whole.
        size
            Width and height in pixels.
        """
        right, up, normal = rotation.T
        width, height = size
        wide, high = (float(np.abs(axis) @ box[1]) for axis in (right, up))
        step = max(wide / width, high / height, 1e-6) * _MARGIN / self.zoom
        middle = box[0] if self.center is None else self.center
        center = middle + normal * float(normal @ (crosshair - middle))
        return Raster(center, right, up, step, width, height)

    def zoom_at(self, factor: float, raster: Raster, x: float, y: float) -> None:
        """Magnify by a factor; what is at the position (x, y) of the raster stays there."""
        zoom = float(np.clip(self.zoom * factor, *_ZOOM_LIMITS))
        fixed = raster.point(x, y)
        self.center = fixed + (raster.center - fixed) * (self.zoom / zoom)
        self.zoom = zoom

    def pan(self, raster: Raster, dx: float, dy: float) -> None:
        """Move the picture by (dx, dy) pixels of the raster."""
        self.center = raster.center - raster.step * (dx * raster.right - dy * raster.up)

    def keep_in_view(self, raster: Raster, point: NDArray[np.float64]) -> bool:
        """Centre on a point that is no longer seen; whether it had to."""
        x, y = raster.position(point)
        across = abs(x - raster.width / 2) > _VISIBLE * raster.width / 2
        down = abs(y - raster.height / 2) > _VISIBLE * raster.height / 2
        if self.zoom <= 1 or not (across or down):
            return False
        self.center = np.array(point, np.float64)
        return True

    def reset(self) -> None:
        """Show the whole scan again."""
        self.zoom, self.center = 1.0, None


def crossing(
    raster: Raster, normal: ArrayLike, within: Pose | None = None
) -> tuple[NDArray[np.float64], float] | None:
    """Direction and half length of the line in which another plane cuts a picture.

    Parameters
    ----------
    raster
        The picture; both planes go through the crosshair.
    normal
        (3,) of the other plane.
    within
        The square that bounds the other plane, if it is bounded.

    Returns
    -------
    tuple or None
        Unit vector (x, y) in the picture, y downwards, and half length in mm (infinite
        where nothing bounds it); None where the planes are parallel.
    """
    along = np.cross(raster.normal, np.asarray(normal, np.float64))
    length = float(np.linalg.norm(along))
    if length < 1e-3:
        return None
    along /= length
    half = np.inf
    if within is not None:
        half = within.fov / 2 / float(np.abs(within.rotation[:, :2].T @ along).max())
    return np.array([along @ raster.right, -(along @ raster.up)]), float(half)


def bar_length(step: float, pixels: float) -> float:
    """A round length in mm (1, 2 or 5 times a power of ten) of at most so many pixels."""
    longest = max(step * pixels, 1e-9)
    ten = 10.0 ** np.floor(np.log10(longest))
    return float(max(n * ten for n in (1, 2, 5) if n * ten <= longest * (1 + 1e-9)))
