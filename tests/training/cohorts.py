"""Tiny scans on disk for tests of cohorts."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

SHAPE = (7, 6, 5)


def voxels(seed: int, dtype: str = "i2", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 120, shape).astype(dtype)


def write_scan(
    path: Path, values: np.ndarray | int, affine: np.ndarray | None = None, **changes: object
) -> Path:
    """Save voxels, or those of a seed, as NIfTI; folders are made."""
    values = voxels(values) if isinstance(values, int) else values
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, np.diag([1.0, 1.5, 2.0, 1]) if affine is None else affine)
    if changes:
        image.header.set_slope_inter(**changes)
    nibabel.save(image, path)
    return path
