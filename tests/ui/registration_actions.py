"""Two scans that are a known shift apart for the registration panel, and waiting for it."""

from __future__ import annotations

import time

import numpy as np
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_mrissl.registration import RegistrationSettings
from napari_mrissl.volumes import Volume

SHAPE = (24, 28, 26)
SPACING = 2.0
SHIFT_MM = np.array([4.0, -2.0, 2.0])
"""RAS mm from a place in the fixed scan to the same anatomy in the moving one."""

QUICK = RegistrationSettings(
    linear="none", features="intensity", grid=2, search=2, iterations=20, adam_grid=2
)


def affine(turned: bool = False) -> np.ndarray:
    """(S, A, R) index to RAS mm about the origin; turned, as a file with (R, P, I) axes has it."""
    made = np.zeros((4, 4))
    made[[2, 1, 0], [0, 1, 2]] = SPACING
    made[3, 3] = 1
    made[:3, 3] = -made[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    if turned:
        made = made @ TO_SAR
    return made


TO_SAR = np.array(
    [
        [0, 0, -1, SHAPE[0] - 1],
        [0, -1, 0, SHAPE[1] - 1],
        [1, 0, 0, 0],
        [0, 0, 0, 1.0],
    ]
)
"""From index (r, p, i) of a turned file to (s, a, r)."""


def blobs(places: np.ndarray) -> np.ndarray:
    """Anatomy without symmetry at RAS mm: what is bright is in the middle."""
    margin = 8
    side = int(64 / SPACING) + 2 * margin
    noise = gaussian_filter(np.random.default_rng(5).standard_normal((side,) * 3), 2.5)
    noise = noise / noise.max()
    index = places / SPACING + side / 2
    found = map_coordinates(noise, np.moveaxis(index, -1, 0), order=1, mode="nearest")
    near = np.exp(-((np.linalg.norm(places, axis=-1) / 22) ** 4))
    return ((1 + found) * near * 100).astype(np.float32)


def world(turned: bool = False) -> np.ndarray:
    """(..., 3) RAS mm of the voxels, in the order of the file."""
    shape = SHAPE[::-1] if turned else SHAPE
    index = np.moveaxis(np.indices(shape), 0, -1)
    made = affine(turned)
    return index @ made[:3, :3].T + made[:3, 3]


def fixed() -> Volume:
    return Volume.from_stored(blobs(world()), affine(), name="fixed scan")


def moving(*, turned: bool = False) -> Volume:
    """The same anatomy, shifted; turned, stored in another order of axes."""
    return Volume.from_stored(blobs(world(turned) - SHIFT_MM), affine(turned), name="moving scan")


def labels_at(places: np.ndarray) -> np.ndarray:
    """A right and a left part: 1 and 2."""
    inside = np.linalg.norm(places, axis=-1) < 16
    return (inside * np.where(places[..., 0] > 0, 1, 2)).astype(np.uint8)


def settle(panel, seconds: float = 280.0) -> None:
    """Wait until nothing goes on in the background."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        if not panel.busy:
            QApplication.processEvents()
            if not panel.busy:
                return
        time.sleep(0.002)
    raise AssertionError("still busy")
