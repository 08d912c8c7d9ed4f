"""Small scans with known contents for the tests of VectorPOSE."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume

# Index (s, a, r) to RAS mm of an upright grid: columns in the order of the array's axes.
_UPRIGHT = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])


def scan_of(data: NDArray[np.floating], spacing: ArrayLike = (1, 1, 1), name: str = "x") -> Scan:
    """A scan of values in [0, 1] on an upright (S, A, R) grid."""
    affine = np.eye(4)
    affine[:3, :3] = _UPRIGHT * np.asarray(spacing, np.float64)
    affine[:3, 3] = (-20.0, 7.0, 3.5)
    volume = Volume.from_stored(np.asarray(data, np.float32), affine)
    return Scan(volume, 0.0, 1.0, name, volume.identity)


class Held:
    """Scans in memory, as `Subjects`."""

    def __init__(self, scans: list[Scan]) -> None:
        self.scans = scans

    def __len__(self) -> int:
        return len(self.scans)

    def scan(self, number: int) -> Scan:
        """The scan of this number."""
        return self.scans[number]
