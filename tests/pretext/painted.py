"""Subjects made on the spot: bright blobs in a dark surrounding, anisotropic and oblique."""

from functools import cache

import numpy as np
from scipy import ndimage

from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume


class Blobs:
    """Scans of smooth blobs, stored as whole numbers with a slope."""

    def __init__(self, count: int = 3) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def scan(self, number: int) -> Scan:
        return blob(range(self._count)[number])


@cache
def blob(who: int) -> Scan:
    """The scan of one person, about 100 mm along each axis."""
    rng = np.random.default_rng(who)
    smooth = ndimage.gaussian_filter(rng.random((50, 44, 60)), 5)
    smooth = np.clip((smooth - smooth.min()) / np.ptp(smooth) * 2 - 0.7, 0, 1)
    affine = np.diag([2.0, 2.3, 1.7, 1.0])
    affine[:3, 3] = 10 * rng.standard_normal(3)
    volume = Volume.from_stored((smooth * 900).astype(np.int16), affine)
    return Scan(volume, 0.0, 900.0, f"subject-{who:03d}", volume.identity)
