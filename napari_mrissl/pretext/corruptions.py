"""How a crop is spoiled, for a network to restore: shuffled, recoloured, painted over.

Written from the ideas named in arXiv:2211.08533, with its order and probabilities
(`CorruptionSettings`). Inferred, because no paper gives them: the distribution of windows
and boxes within their ranges, and what surrounds the boxes that are left. Corrected: the
mask of what is painted knows every box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext.settings import CorruptionSettings

Image = NDArray[np.float32]
Painted = Literal["inside", "outside"]

_CURVE_POINTS = 256


@dataclass(frozen=True, eq=False)
class Corrupted:
    """A spoiled crop.

    Attributes
    ----------
    image
        (Z, Y, X) float32 in [0, 1].
    mask
        (Z, Y, X) bool: where something is painted.
    record
        What was done, as plain data: ``shuffled`` (bool), ``curve`` (grey values before and
        after, or None), ``painted`` (``"inside"``, ``"outside"`` or None) and ``boxes``
        (corner and edges, in voxels).
    """

    image: Image
    mask: NDArray[np.bool_]
    record: Mapping[str, Any]


def corrupt(crop: Image, settings: CorruptionSettings, rng: np.random.Generator) -> Corrupted:
    """Spoil a crop; it is left as it is.

    Parameters
    ----------
    crop
        (Z, Y, X) float32 in [0, 1].
    settings
        What is done how often.
    rng
        All randomness; the same state gives the same result.
    """
    # One generator per stage: what one stage draws does not change what the next one draws.
    keys = rng.integers(0, 2**64, size=(3, 2), dtype=np.uint64)
    shuffling, colouring, painting = (
        np.random.Generator(np.random.Philox(key=key)) for key in keys
    )
    image = np.array(crop, np.float32, order="C")
    record: dict[str, Any] = {"shuffled": False, "curve": None, "painted": None, "boxes": []}
    if shuffling.random() < settings.shuffle:
        shuffle_windows(image, settings, shuffling)
        record["shuffled"] = True
    if colouring.random() < settings.intensity:
        before, after = bezier_curve(
            colouring, falling=bool(colouring.random() < settings.inverted)
        )
        image = np.interp(image, before, after).astype(np.float32)
        record["curve"] = [before[::15].tolist(), after[::15].tolist()]
    mask = np.zeros(image.shape, np.bool_)
    if painting.random() < settings.paint:
        painted: Painted = "inside" if painting.random() < settings.inside else "outside"
        image, mask, boxes = paint(image, painted, settings, painting)
        record |= {"painted": painted, "boxes": boxes}
    return Corrupted(image, mask, record)


def shuffle_windows(image: Image, settings: CorruptionSettings, rng: np.random.Generator) -> None:
    """Shuffle the voxels of many small windows, in place; grey values stay the same ones.

    Each edge is uniform from 1 voxel to the longest, which is at least 2.
    """
    from napari_mrissl.pretext.corruption_kernels import shuffle

    shape = np.array(image.shape)
    longest = np.minimum(np.maximum(2, (shape * settings.window).astype(np.int64)), shape)
    edges = rng.integers(1, longest + 1, size=(settings.windows, 3))
    corners = rng.integers(0, shape - edges + 1)
    shuffle(image, corners, edges, rng.integers(0, 2**64, dtype=np.uint64))


def bezier_curve(
    rng: np.random.Generator, *, falling: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw a monotonic curve from [0, 1] to [0, 1]: cubic Bezier, its inner points random.

    Parameters
    ----------
    rng
        Draws the two inner points.
    falling
        Whether it goes from (0, 1) to (1, 0), not from (0, 0) to (1, 1).

    Returns
    -------
    tuple of ndarray
        256 grey values, not falling, and what each becomes.
    """
    # Ordered control points make both coordinates monotonic.
    inner = np.sort(rng.random((2, 2)), axis=0)
    points = np.vstack([np.zeros(2), inner, np.ones(2)])
    t = np.linspace(0, 1, _CURVE_POINTS)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    before, after = (weights @ points).T
    return before, 1 - after if falling else after


def paint(
    image: Image, painted: Painted, settings: CorruptionSettings, rng: np.random.Generator
) -> tuple[Image, NDArray[np.bool_], list[list[int]]]:
    """Paint over boxes, or over everything but boxes.

    Parameters
    ----------
    image
        (Z, Y, X); left as it is.
    painted
        ``"inside"``: boxes become constants. ``"outside"``: all but the boxes becomes noise,
        uniform in [0, 1) at each voxel.
    settings
        Number and size of boxes.
    rng
        All randomness.

    Returns
    -------
    tuple
        The painted image, the mask of what is painted, and corner and edges of each box.
    """
    shape = np.array(image.shape)
    shares = settings.inside_edge if painted == "inside" else settings.outside_edge
    least, most = (np.clip(np.rint(shape * share), 1, shape).astype(np.int64) for share in shares)
    edges = rng.integers(least, most + 1, size=(int(rng.integers(1, settings.boxes + 1)), 3))
    corners = rng.integers(0, shape - edges + 1)
    ends = corners + edges
    inside = np.zeros(image.shape, np.bool_)
    result = image.copy() if painted == "inside" else rng.random(image.shape, np.float32)
    for corner, end in zip(corners, ends, strict=True):
        box = tuple(slice(low, high) for low, high in zip(corner, end, strict=True))
        inside[box] = True
        result[box] = np.float32(rng.random()) if painted == "inside" else image[box]
    mask = inside if painted == "inside" else ~inside
    return result, mask, np.hstack([corners, edges]).tolist()
