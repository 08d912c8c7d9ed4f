"""Distances between surfaces in mm, by the surface-distance library, and what empty masks count.

The policy for empty masks is here and nowhere else; Dice (`metrics.overlap`) follows it too:

==============================  ====  ==================  ===
mask of a label                 Dice  HD95                NSD
==============================  ====  ==================  ===
empty in both                   1     0 mm                1
empty in one of them            0     the image diagonal  0
==============================  ====  ==================  ===

The diagonal is that of the whole grid, voxels times spacing. Whoever averages such numbers says
how many of them there were (`SurfaceScore.empty`); none is left out and none is NaN.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError

Empty = Literal["neither", "both", "predicted", "truth"]

PERCENT = 95.0


@dataclass(frozen=True)
class SurfaceScore:
    """How far two surfaces of one label lie apart.

    Attributes
    ----------
    hd95_mm
        95th percentile of the distance from each surface to the other, weighted by area; the
        larger of the two directions.
    nsd
        Normalised surface Dice, 0 to 1: the part of both surfaces within the tolerance of the
        other.
    empty
        In which mask the label does not occur at all.
    """

    hd95_mm: float
    nsd: float
    empty: Empty = "neither"


def library() -> str:
    """Name and version of what measures: other implementations differ (arXiv:2410.02630)."""
    return f"surface-distance {importlib.metadata.version('surface-distance')}"


def surface_scores(
    predicted: NDArray[Any],
    truth: NDArray[Any],
    spacing_mm: Sequence[float],
    labels: Iterable[int] | None = None,
    tolerance_mm: float = 1.0,
) -> dict[int, SurfaceScore]:
    """HD95 and NSD of each label.

    Surfaces are the elements between voxels of a mask and its outside, with their areas in mm²
    (Nikolov et al. 2018, arXiv:1809.04430; faithful: their code does it).

    Parameters
    ----------
    predicted, truth
        Label maps of one shape (S, A, R), any integer or boolean dtype.
    spacing_mm
        Of the voxels along the three axes.
    labels
        Which labels; by default every label but 0 in either map.
    tolerance_mm
        Up to which distance surfaces count as the same.

    Raises
    ------
    MrisslError
        If shapes, types, spacing or tolerance make no sense.
    """
    _check(predicted, truth, spacing_mm, tolerance_mm)
    boxes = _boxes(predicted), _boxes(truth)
    if labels is None:
        labels = sorted({*boxes[0], *boxes[1]} - {0})
    spacing = tuple(float(side) for side in spacing_mm)
    diagonal = float(np.linalg.norm(np.multiply(predicted.shape, spacing)))
    scores = {}
    for label in labels:
        one, other = boxes[0].get(int(label)), boxes[1].get(int(label))
        if one is None and other is None:
            scores[int(label)] = SurfaceScore(0.0, 1.0, "both")
        elif one is None or other is None:
            scores[int(label)] = SurfaceScore(
                diagonal, 0.0, "predicted" if one is None else "truth"
            )
        else:
            # Distances do not change when what is empty in both masks is cut away.
            box = tuple(
                slice(min(a.start, b.start), max(a.stop, b.stop))
                for a, b in zip(one, other, strict=True)
            )
            scores[int(label)] = _measured(
                truth[box] == label, predicted[box] == label, spacing, tolerance_mm
            )
    return scores


def _measured(
    truth: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    spacing: tuple[float, ...],
    tolerance_mm: float,
) -> SurfaceScore:
    import surface_distance  # type: ignore[import-untyped]

    distances = surface_distance.compute_surface_distances(truth, predicted, spacing)
    return SurfaceScore(
        float(surface_distance.compute_robust_hausdorff(distances, PERCENT)),
        float(surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm)),
    )


def _boxes(labels: NDArray[Any]) -> dict[int, tuple[slice, ...]]:
    """The bounding box of each label that occurs, 0 left out."""
    from scipy import ndimage

    values, ranks = np.unique(labels, return_inverse=True)
    found = ndimage.find_objects(ranks.reshape(labels.shape).astype(np.int32) + 1)
    return {
        int(value): box
        for value, box in zip(values, found, strict=True)
        if value != 0 and box is not None
    }


def _check(
    predicted: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float], tolerance_mm: float
) -> None:
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise MrisslError(
            f"label maps of shapes {predicted.shape} and {truth.shape}",
            expected="one shape of three axes",
        )
    for array in (predicted, truth):
        if array.dtype.kind not in "bui":
            raise MrisslError(f"label map of type {array.dtype}", expected="integers")
    sides = np.asarray(spacing_mm, np.float64)
    if sides.shape != (3,) or not (np.isfinite(sides).all() and (sides > 0).all()):
        raise MrisslError(f"a spacing of {sides.tolist()} mm", expected="three positive lengths")
    if not (np.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise MrisslError(f"a tolerance of {tolerance_mm} mm", expected="0 or more")
