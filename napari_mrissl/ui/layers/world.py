"""napari's world order: (S, A, R) mm, the reversed RAS of everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari.layers import Layer

AXIS_LABELS = ("S", "A", "R")
UNITS = ("mm", "mm", "mm")
_REVERSED = (2, 1, 0, 3)


def to_napari(points: ArrayLike) -> NDArray[np.float64]:
    """World RAS mm points (..., 3) in napari's world order (S, A, R)."""
    return np.ascontiguousarray(np.asarray(points, np.float64)[..., ::-1])


def to_world(points: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) of napari's world (S, A, R) as RAS mm."""
    return np.ascontiguousarray(np.asarray(points, np.float64)[..., ::-1])


def swap_world(affine: ArrayLike) -> NDArray[np.float64]:
    """An affine (4, 4) from index to RAS as one from index to (S, A, R); its own inverse."""
    return np.asarray(affine, np.float64)[list(_REVERSED)]


def layer_matrix(layer: Layer) -> NDArray[np.float64]:
    """The matrix (4, 4) of a 3-D layer from data index to its world, in the layer's units."""
    origin = np.asarray(layer.data_to_world((0.0, 0.0, 0.0)), np.float64)
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    for axis, unit in enumerate(np.eye(3)):
        matrix[:3, axis] = np.asarray(layer.data_to_world(tuple(unit)), np.float64) - origin
    return matrix
