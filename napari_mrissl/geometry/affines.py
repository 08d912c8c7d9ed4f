"""4x4 affines from array indices to world millimetres (RAS+)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError

_AXIS_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


def as_affine(matrix: ArrayLike) -> NDArray[np.float64]:
    """A finite, invertible 4x4 float64 matrix, or a `MrisslError` that says why not."""
    affine = np.array(matrix, dtype=np.float64)
    if affine.shape != (4, 4) or not np.allclose(affine[3], (0, 0, 0, 1)):
        raise MrisslError(f"affine of shape {affine.shape}", expected="4x4 with last row 0 0 0 1")
    if not np.isfinite(affine).all():
        raise MrisslError("affine is not finite", expected="finite numbers")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if (lengths == 0).any() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        raise MrisslError("affine is singular", expected="three independent axes")
    # -0.0 and 0.0 are the same place but not the same bytes.
    return affine + 0.0


def spacing(affine: ArrayLike) -> NDArray[np.float64]:
    """Voxel side lengths in mm along each array axis: the column norms."""
    lengths: NDArray[np.float64] = np.linalg.norm(np.asarray(affine, np.float64)[:3, :3], axis=0)
    return lengths


def apply_affine(affine: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Map points (..., 3) through a 4x4 affine."""
    matrix = np.asarray(affine, np.float64)
    moved: NDArray[np.float64] = np.asarray(points, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def closest_axes(affine: ArrayLike) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """For each array axis: the closest world axis (0=x, 1=y, 2=z) and its sign.

    The affine's rotation part is found by the polar decomposition, as nibabel's
    ``io_orientation`` does, so sheared grids get the same answer.
    """
    linear = np.asarray(affine, np.float64)[:3, :3]
    left, _, right = np.linalg.svd(linear / spacing(affine))
    rotation = left @ right
    axes, signs = [0, 0, 0], [1, 1, 1]
    # Strongest first, so that the answer does not depend on the stored order.
    for column in np.argsort(np.min(-(rotation**2), axis=0), kind="stable"):
        row = int(np.argmax(np.abs(rotation[:, column])))
        axes[column] = row
        signs[column] = -1 if rotation[row, column] < 0 else 1
        rotation[row] = 0
    return (axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2])


def axis_codes(affine: ArrayLike) -> str:
    """Letters of the directions in which the array axes run, e.g. ``"LPS"``."""
    axes, signs = closest_axes(affine)
    return "".join(_AXIS_LETTERS[a][s > 0] for a, s in zip(axes, signs, strict=True))


def is_oblique(affine: ArrayLike, tolerance_degrees: float = 0.01) -> bool:
    """Whether any array axis leaves its closest world axis by more than the tolerance."""
    linear = np.asarray(affine, np.float64)[:3, :3] / spacing(affine)
    axes, _ = closest_axes(affine)
    cosines = np.abs(linear[list(axes), range(3)])
    return bool(cosines.min() < np.cos(np.radians(tolerance_degrees)))


def lps_to_ras(affine: ArrayLike) -> NDArray[np.float64]:
    """Convert between index-to-LPS and index-to-RAS affines; its own inverse."""
    flipped: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, np.float64)
    return flipped + 0.0
