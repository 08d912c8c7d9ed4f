"""Scans whose grey values are a ramp through the world: any voxel tells where it is."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume

RAMP = np.array([0.4, -1.0, 0.7])
"""Grey values rise by so much for each mm along world x, y and z, before they are scaled."""

SHAPE = (30, 44, 26)


def affine_of(kind: str) -> np.ndarray:
    """A stored affine: ``upright``, ``permuted`` and flipped, or ``oblique``; anisotropic."""
    matrix = np.eye(4)
    linear = np.diag([1.5, 1.0, 2.5])
    if kind == "permuted":
        # Stored along (P, I, R): columns are the stored axes.
        linear = np.array([[0.0, 0, 2.5], [-1.5, 0, 0], [0, -1.0, 0]])
    elif kind == "oblique":
        linear = Rotation.from_euler("xyz", (12, -9, 15), degrees=True).as_matrix() @ linear
    matrix[:3, :3] = linear
    matrix[:3, 3] = (-31.0, 12.0, 7.0)
    return matrix


def ramp(kind: str) -> Scan:
    """The scan of a ramp, in [0, 1]."""
    affine = affine_of(kind)
    index = np.indices(SHAPE).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    values = (RAMP @ world).reshape(SHAPE).astype(np.float32)
    volume = Volume.from_stored(values, affine)
    return Scan(volume, float(values.min()), float(values.max()), kind, volume.identity)


def grey_at(scan: Scan, world: np.ndarray) -> np.ndarray:
    """What the ramp is at world points (..., 3), in [0, 1]."""
    return (world @ RAMP - scan.low) / (scan.high - scan.low)
