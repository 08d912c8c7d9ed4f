"""Two scans of one anatomy for the feature explorer, and waiting for it."""

from __future__ import annotations

import time

import numpy as np
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter

from napari_mrissl.volumes import Volume

SHAPE = (20, 24, 28)
SPACING = np.array([3.0, 2.0, 1.5])
"""Of (S, A, R), in mm."""


def affine(degrees: float = 0.0) -> np.ndarray:
    """(S, A, R) index to RAS mm, its middle at (11, -7, 23)."""
    linear = np.zeros((3, 3))
    linear[[2, 1, 0], [0, 1, 2]] = SPACING
    turn = np.radians(degrees)
    rotation = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    linear = rotation @ linear
    made = np.eye(4)
    made[:3, :3] = linear
    made[:3, 3] = np.array([11, -7, 23]) - linear @ ((np.array(SHAPE) - 1) / 2)
    return made


def anatomy(name: str, *, inverted: bool = False, degrees: float = 0.0, seed: int = 0) -> Volume:
    """Smooth blobs without symmetry in a dark surround; inverted, the same with other contrast."""
    noise = np.random.default_rng(seed).standard_normal(SHAPE)
    smooth = gaussian_filter(noise, 1.5)
    values = 100 + 60 * smooth / np.abs(smooth).max()
    if inverted:
        values = 200 - values
    values[:2] = values[-2:] = values[:, :2] = values[:, -2:] = 0
    return Volume.from_stored(values.astype(np.float32), affine(degrees), name=name)


def settle(explorer, seconds: float = 240.0) -> None:
    """Wait until nothing goes on in the background."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        if not explorer.busy:
            QApplication.processEvents()
            if not explorer.busy:
                return
        time.sleep(0.002)
    raise AssertionError("still busy")


def explored(explorer, *names: str, source: str = "filter bank"):
    """Compute the features of these scans."""
    explorer.scans.choose_source(source)
    assert explorer.scans.choose_scans(names) == []
    explorer.compute()
    settle(explorer)
    assert [one.volume.name for one in explorer.exploration.explored]
    return explorer.exploration


def cosines(data: np.ndarray, voxel: tuple[int, int, int], query_of: np.ndarray | None = None):
    """(S, A, R) cosines of vectors (C, S, A, R) with that of one voxel, in double precision."""
    source = (data if query_of is None else query_of).astype(np.float64)
    query = source[(slice(None), *voxel)]
    flat = data.astype(np.float64)
    lengths = np.linalg.norm(flat, axis=0) * np.linalg.norm(query)
    return np.tensordot(query, flat, 1) / np.where(lengths > 0, lengths, np.inf)
