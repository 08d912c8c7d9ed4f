"""Pairs of scans with a known displacement between them, painted by the data engine."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.synthesis.views import Painter
from napari_mrissl.volumes import Volume

SIDE, PEAK_MM = 64, 6.0
TEMPLATES = 40


@dataclass(frozen=True)
class WarpedPair:
    """Two scans of 1 mm voxels, their labels, and what takes one to the other.

    Attributes
    ----------
    fixed, moving
        The scans, of two contrasts.
    fixed_labels, moving_labels
        (S, A, R) on their grids.
    truth
        (S, A, R, 3) in RAS mm: the fixed scan at x shows what the moving one does at x + truth(x).
    """

    fixed: Volume
    moving: Volume
    fixed_labels: NDArray[np.uint8]
    moving_labels: NDArray[np.uint8]
    truth: NDArray[np.float64]

    def error(self, field: NDArray[np.floating]) -> float:
        """Mean end-point error in mm in the body."""
        apart = np.linalg.norm(field - self.truth, axis=-1)
        return float(apart[self.fixed_labels > 0].mean())


def cube_affine(side: int, spacing: float = 1.0) -> NDArray[np.float64]:
    """Index (s, a, r) of a cube about the origin to RAS mm."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = spacing
    affine[:3, 3] = -spacing * (side - 1) / 2
    affine[3, 3] = 1
    return affine


def smooth_field(side: int, peak: float, seed: int, sigma: float = 24.0) -> NDArray[np.float64]:
    """(S, A, R, 3) random displacements in RAS mm, the longest of this length."""
    noise = np.random.default_rng(seed).standard_normal((3, side, side, side))
    smooth = np.stack([ndimage.gaussian_filter(n, sigma, mode="reflect") for n in noise], -1)
    return smooth * (peak / np.linalg.norm(smooth, axis=-1).max())


def label_cube(volume: Volume, side: int = SIDE) -> NDArray[np.uint8]:
    """A label map brought to a cube around what it shows, its labels counted from 0."""
    body = np.argwhere(volume.data > 0)
    low, high = body.min(0), body.max(0) + 1
    width = 1.08 * (high - low).max()
    steps = (np.arange(side) + 0.5) * width / side - width / 2
    places = np.rint(((low + high) / 2)[:, None] + steps).astype(int)
    found = ndimage.map_coordinates(
        volume.data.astype(np.int32), np.meshgrid(*places, indexing="ij"), order=0, mode="constant"
    )
    return np.unique(found, return_inverse=True)[1].reshape(found.shape).astype(np.uint8)


def warped_pair(
    index: int, seed: int = 0, side: int = SIDE, labels: NDArray[np.uint8] | None = None
) -> WarpedPair:
    """The pair of this index: a label ensemble, warped, and painted twice."""
    if labels is None:
        settings = EngineSettings.model_validate({"ensemble": {"side": side}})
        labels = Engine(Templates.procedural(seed, TEMPLATES), settings, seed).labels(index)
    truth = smooth_field(side, PEAK_MM, seed + index)
    places = np.indices(labels.shape) + np.moveaxis(truth[..., ::-1], -1, 0)
    fixed_labels = ndimage.map_coordinates(labels, places, order=0, mode="nearest")
    painter = Painter()
    images = (
        painter.views(fixed_labels, seed, index)[0],
        painter.views(labels, seed, index)[1],
    )
    fixed, moving = (
        Volume.from_stored(np.asarray(image), cube_affine(side), name=name)
        for image, name in zip(images, ("fixed", "moving"), strict=True)
    )
    return WarpedPair(fixed, moving, fixed_labels, labels, truth)
