"""The nine vectors of a crop: from its centre and corners to the body's axis, in mm.

Vectors are in the scan's own axis frame (S, A, R), see `napari_mrissl.pretext.crops`, or
turned by the crop's cube element; their indices stay tied to the anatomical corners, so that
a network must find out how the crop was turned. Everything is in mm, so that anisotropic
voxels change nothing (corrected: the authors' code, for arXiv:2211.08533, counts voxels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.volumes import Volume

AxisKind = Literal["image", "body"]
"""The middle of the scan's axial plane (faithful), or of the body in it (our option)."""

PLACES: NDArray[np.float64] = np.array(
    [
        (0.5, 0.5, 0.5),
        (0, 0, 0),
        (1, 1, 1),
        (0, 1, 1),
        (1, 0, 0),
        (0, 0, 1),
        (1, 1, 0),
        (0, 1, 0),
        (1, 0, 1),
    ]
)
"""(9, 3) where the points are in the box, as fractions along (S, A, R): centre, then corners.

Points 1 and 2, 3 and 4, 5 and 6, 7 and 8 are diagonal opposites (faithful).
"""
PLACES.flags.writeable = False

_NEAR_ZERO = 1e-10


@dataclass(frozen=True, eq=False)
class Axis:
    """The line along S that the vectors end at; it may bend with the body.

    Attributes
    ----------
    depths_mm
        (N,) rising S coordinates in the scan's axis frame.
    places_mm
        (N, 2) where the axis is at these depths, along (A, R); in between it is linear.
    """

    depths_mm: NDArray[np.float64]
    places_mm: NDArray[np.float64]

    def at(self, depth_mm: float) -> NDArray[np.float64]:
        """(3,) the point of the axis at a depth; beyond its ends it goes straight on."""
        across = [np.interp(depth_mm, self.depths_mm, column) for column in self.places_mm.T]
        return np.array([depth_mm, *across])


def axis_of(volume: Volume, kind: AxisKind = "image") -> Axis:
    """The axis of a scan.

    ``"body"`` takes the centroid of a coarse foreground mask at each depth, smoothed over
    about 20 mm: for scans that show the body off their middle.

    Raises
    ------
    MrisslError
        If the body is asked for and no voxel is finite.
    """
    spacing = volume.spacing
    if kind == "image":
        middle = (np.array(volume.shape[1:]) - 1) / 2 * spacing[1:]
        return Axis(np.zeros(1), middle[None])
    mask = Foreground.of(volume)
    to_frame = (volume.to_index @ mask.affine)[:3]
    weights = mask.mask.sum(axis=(1, 2)).astype(np.float64)
    along = [np.einsum("sar,a->s", mask.mask, np.arange(mask.mask.shape[1], dtype=np.float64))]
    along.append(np.einsum("sar,r->s", mask.mask, np.arange(mask.mask.shape[2], dtype=np.float64)))
    step_mm = to_frame[0, 0] * spacing[0]
    width = max(1, round(20 / step_mm))
    kernel = np.ones(2 * (width // 2) + 1)
    total = np.convolve(weights, kernel, "same") if len(weights) >= len(kernel) else None
    if total is None:
        total = np.full_like(weights, weights.sum())
        sums = [np.full_like(weights, column.sum()) for column in along]
    else:
        sums = [np.convolve(column, kernel, "same") for column in along]
    kept = np.flatnonzero(total > 0)
    index = np.stack([kept, *(column[kept] / total[kept] for column in sums)], axis=1)
    places = (index @ to_frame[:, :3].T + to_frame[:, 3]) * spacing
    return Axis(places[:, 0], places[:, 1:])


def radius_mm(record: CropRecord) -> float:
    """R: half the diagonal of the scan's axial plane, by which lengths are divided."""
    return float(np.hypot(*record.scan_edges_mm[1:])) / 2


def points_mm(record: CropRecord) -> NDArray[np.float64]:
    """(9, 3) the centre and the corners of the box, in the scan's axis frame."""
    lower, upper = record.lower_mm, record.upper_mm
    points: NDArray[np.float64] = lower + PLACES * (upper - lower)
    return points


def vectors_mm(record: CropRecord, axis: Axis, *, turned: bool = True) -> NDArray[np.float64]:
    """(9, 3) from each point to the axis at the depth of the crop's centre (faithful).

    Parameters
    ----------
    record
        Of the crop.
    axis
        Of the same scan.
    turned
        Turn the vectors with the crop, as the network sees it; else they stay in the
        scan's axis frame.
    """
    points = points_mm(record)
    vectors: NDArray[np.float64] = axis.at(points[0, 0]) - points
    return cube.act_vectors(vectors, record.element) if turned else vectors


def encode(vectors: ArrayLike, radius: float) -> NDArray[np.float32]:
    """Vectors (..., 3) as (r, theta, phi): length over R, at most 1, and two angles over pi.

    theta = arccos(v_R / |v|) / pi in [0, 1] and phi = atan2(v_A, v_S) / pi in (-1, 1]; both
    are 0 where the vector vanishes (faithful).
    """
    given = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(given, axis=-1)
    some = lengths > _NEAR_ZERO
    cosine = np.divide(given[..., 2], lengths, out=np.ones_like(lengths), where=some)
    theta = np.arccos(np.clip(cosine, -1, 1)) / np.pi
    phi = np.where(some, np.arctan2(given[..., 1], given[..., 0]) / np.pi, 0)
    coded = np.stack([np.minimum(1, lengths / _positive(radius)), theta, phi], axis=-1)
    return coded.astype(np.float32)


def decode(coded: ArrayLike, radius: float) -> NDArray[np.float64]:
    """Vectors in mm of what `encode` gave; those longer than R come back with length R."""
    r, theta, phi = np.moveaxis(np.asarray(coded, np.float64), -1, 0)
    length = r * _positive(radius)
    across = length * np.sin(np.pi * theta)
    return np.stack(
        [
            across * np.cos(np.pi * phi),
            across * np.sin(np.pi * phi),
            length * np.cos(np.pi * theta),
        ],
        axis=-1,
    )


def _positive(radius: float) -> float:
    if not 0 < radius < np.inf:
        raise MrisslError(f"a radius of {radius} mm", expected="more than 0")
    return radius
