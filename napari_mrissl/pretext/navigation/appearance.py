"""Another look for a whole flight: the data engine's gamma and bias field, on its slices.

Both are functions of a grey value and of a place in the volume, so that they can be had at the
pixels of a slice without ever being made for the volume. Faithful to `synthesis.augmentation`
but for one thing: grey values are clipped after the bias field, where the engine scales the
volume anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_mrissl.geometry import Pose
from napari_mrissl.slicing.planes import planes_of_poses
from napari_mrissl.synthesis.augmentation import draw_augmentation
from napari_mrissl.synthesis.operations import legendre_cube
from napari_mrissl.synthesis.settings import AugmentationSettings
from napari_mrissl.volumes import Volume


@dataclass(frozen=True)
class Recolouring:
    """What was drawn for a flight.

    Attributes
    ----------
    gamma
        Exponent of a grey value in [0, 1].
    bias
        Coefficients of the field's logarithm, a polynomial over the volume; or None.
    """

    gamma: float
    bias: tuple[float, ...] | None


def draw_recolouring(rng: np.random.Generator) -> Recolouring:
    """By the ranges and probabilities of the data engine."""
    drawn = draw_augmentation(int(rng.integers(1 << 62)), 0, 0, AugmentationSettings(), side=2)
    return Recolouring(1.0 if drawn.contrast is None else drawn.contrast, drawn.bias)


def recolour(
    grey: Any, drawn: Recolouring, volume: Volume, poses: Sequence[Pose], size: int
) -> Any:
    """Grey values (T, size, size) in [0, 1] of slices in their other look.

    Arrays, or tensors on any device; the same arithmetic, step by step, for both.
    """
    if drawn.bias is not None:
        field = _polynomial(drawn.bias, *_places(grey, volume, poses, size))
        if isinstance(grey, np.ndarray):
            grey = (grey * np.exp(field)).clip(0, 1)
        else:
            grey = (grey * field.exp()).clip(0, 1)
    return grey if drawn.gamma == 1 else grey**drawn.gamma


def _places(like: Any, volume: Volume, poses: Sequence[Pose], size: int) -> tuple[Any, Any, Any]:
    """Places of all pixels along the volume's axes, -1 at its first voxel and 1 at its last."""
    planes = planes_of_poses(volume.to_index, list(poses), size)
    half = (np.array(volume.shape) - 1) / 2
    half = np.maximum(half, 0.5)
    planes[:, 0] -= half
    planes = (planes / half).astype(np.float32)
    steps: Any = np.arange(size, dtype=np.float32)
    corners: Any = planes
    if not isinstance(like, np.ndarray):
        corners, steps = like.new_tensor(planes), like.new_tensor(steps)
    origin, down, across = (corners[:, k, None, None] for k in range(3))
    places = origin + down * steps[:, None, None] + across * steps[:, None]
    places = places.clip(-1, 1)
    return places[..., 0], places[..., 1], places[..., 2]


def _polynomial(coefficients: tuple[float, ...], s: Any, a: Any, r: Any) -> Any:
    """The engine's sum of products of Legendre polynomials up to degree 3."""
    cube = legendre_cube(coefficients)
    rows = [_legendre(x) for x in (s, a, r)]
    total: Any = 0.0
    for i, j, k in np.argwhere(cube):
        total = total + float(cube[i, j, k]) * rows[0][i] * rows[1][j] * rows[2][k]
    return total


def _legendre(x: Any) -> tuple[Any, ...]:
    return x * 0 + 1, x, (3 * x * x - 1) / 2, (5 * x * x - 3) * x / 2
