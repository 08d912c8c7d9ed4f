"""Two scans of one textured body with a known rigid map between them, on grids of any axes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_mrissl.geometry import apply_affine
from napari_mrissl.volumes import Volume

SIDE = 44


class TurnedPair(NamedTuple):
    """Two scans, and what takes places of the first to those of the second.

    Attributes
    ----------
    truth
        (4, 4), RAS mm.
    body
        (N, 3) places in the first scan, RAS mm, all of which the second shows too.
    """

    fixed: Volume
    moving: Volume
    truth: NDArray[np.float64]
    body: NDArray[np.float64]


def texture(seed: int = 0) -> NDArray[np.float32]:
    """A body of bright material with detail of two sizes, in darkness."""
    rng = np.random.default_rng(seed)
    fine, coarse = (
        ndimage.gaussian_filter(rng.standard_normal((SIDE,) * 3), sigma) for sigma in (1.5, 4)
    )
    middle = (SIDE - 1) / 2
    radius = np.linalg.norm(np.stack(np.indices((SIDE,) * 3)) - middle, axis=0)
    body = 1 / (1 + np.exp(radius - 17))
    detail = 2 + fine / fine.std() + 1.5 * coarse / coarse.std()
    return np.asarray(100 * body * np.maximum(detail + 3, 0.5), np.float32)


def turned_pair(
    axes: str = "RAS", oblique: float = 0.0, seed: int = 0, spacing: float = 1.0
) -> TurnedPair:
    """A pair whose second scan has these axes, is turned by degrees, and has a known place.

    Parameters
    ----------
    axes
        Letters of the directions of the second scan's stored axes, e.g. ``"LPS"``.
    oblique
        Degrees by which its grid is turned against the axes of world.
    seed
        Of the texture.
    spacing
        Of the second scan in mm; that of the first is 1.
    """
    values = texture(seed)
    first = np.eye(4)
    first[:3, 3] = -(SIDE - 1) / 2
    truth = np.eye(4)
    truth[:3, :3] = Rotation.from_euler("xyz", (4, -3, 5), degrees=True).as_matrix()
    truth[:3, 3] = (11, -7, 5)
    letters = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    second = np.eye(4)
    second[:3, :3] = 0
    for column, letter in enumerate(axes):
        row, sign = letters[letter]
        second[row, column] = sign * spacing
    turned = Rotation.from_euler("xyz", (oblique, -oblique / 2, oblique), degrees=True)
    second[:3, :3] = turned.as_matrix() @ second[:3, :3]
    side = int(np.ceil((SIDE + 8) / spacing))
    second[:3, 3] = truth[:3, 3] - second[:3, :3] @ np.full(3, (side - 1) / 2)
    to_first = np.linalg.inv(first) @ np.linalg.inv(truth) @ second
    moved = ndimage.affine_transform(values, to_first, output_shape=(side,) * 3, order=1)
    index = np.argwhere(values > 150)[::97]
    return TurnedPair(
        Volume.from_stored(values, first, name="fixed"),
        Volume.from_stored(np.asarray(moved, np.float32), second, name="moving"),
        truth,
        apply_affine(first, index),
    )
