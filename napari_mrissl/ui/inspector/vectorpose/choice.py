"""Which crop is looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import CropRecord, crop_at
from napari_mrissl.pretext.settings import CropSettings
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume

SCALES = (0.5, 1.5)
_FARTHEST = 1e5


@dataclass(frozen=True)
class CropChoice:
    """A crop of a scan; its place is kept in the world, so that it fits other scans too.

    Attributes
    ----------
    center
        World RAS mm.
    scale
        Factor on the run's edge.
    element
        Of `cube.ELEMENTS`.
    """

    center: tuple[float, float, float]
    scale: float = 1.0
    element: int = cube.IDENTITY

    @classmethod
    def of(cls, record: CropRecord) -> CropChoice:
        """The choice that gives this crop."""
        r, a, s = (float(value) for value in record.to_world(record.center_mm))
        return cls((r, a, s), round(float(np.clip(record.scale, *SCALES)), 6), record.element)

    @classmethod
    def middle(cls, volume: Volume) -> CropChoice:
        """A crop of scale 1 in the middle of a scan."""
        r, a, s = (float(value) for value in volume.center)
        return cls((r, a, s))

    @classmethod
    def from_plain(cls, plain: object) -> CropChoice | None:
        """What `plain` gave, or None if it is not usable."""
        if not isinstance(plain, dict):
            return None
        center, scale = plain.get("center"), plain.get("scale")
        element = plain.get("element")
        if not isinstance(center, list | tuple) or len(center) != 3:
            return None
        numbers = [*center, scale]
        if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
            return None
        if not all(abs(n) < _FARTHEST for n in center) or not SCALES[0] <= scale <= SCALES[1]:
            return None
        if type(element) is not int or not 0 <= element < len(cube.ELEMENTS):
            return None
        return cls(tuple(float(n) for n in center), float(scale), element)

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "center": list(self.center)}

    def record(self, scan: Scan, crop: CropSettings) -> CropRecord:
        """The crop, moved inwards where it would leave the scan."""
        frame = frame_of(scan.volume, np.array(self.center))
        return crop_at(scan, frame, crop.side, crop.edge_mm, self.scale, self.element)


def frame_of(volume: Volume, world: NDArray[np.float64]) -> NDArray[np.float64]:
    """A world point (3,) as mm along the scan's own axes (S, A, R), from its first voxel."""
    index = volume.to_index[:3, :3] @ world + volume.to_index[:3, 3]
    placed: NDArray[np.float64] = index * volume.spacing
    return placed


def offsets_of(volume: Volume, world: NDArray[np.float64]) -> NDArray[np.float64]:
    """A world point (3,) as mm along the scan's own axes, from the middle of the scan."""
    return frame_of(volume, world) - (np.array(volume.shape) - 1) / 2 * volume.spacing


def world_at(volume: Volume, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `offsets_of`."""
    index = np.asarray(offsets) / volume.spacing + (np.array(volume.shape) - 1) / 2
    world: NDArray[np.float64] = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
    return world
