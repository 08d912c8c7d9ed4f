"""What a registration is worth, before and after: labels, landmarks, folds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.metrics import dice, surface_scores
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.landmarks import landmark_errors
from napari_mrissl.registration.transform import Transform, warped_labels
from napari_mrissl.volumes import Volume

STATES = ("before", "linear", "after")
"""The headers as they are, the linear alignment alone, and all of it."""


def label_scores(
    fixed: Volume,
    fixed_labels: NDArray[Any],
    moving: Volume,
    moving_labels: NDArray[Any],
    transform: Transform,
) -> dict[str, dict[int, dict[str, float]]]:
    """By state (`STATES`) and label: Dice, and HD95 in mm, of the moved labels.

    Labels that only one of the scans has say nothing of the alignment and are left out.

    Parameters
    ----------
    fixed, moving
        The scans.
    fixed_labels, moving_labels
        Whole numbers on their grids.
    transform
        From fixed to moving world.
    """
    shared = sorted({*np.unique(fixed_labels).tolist()} & {*np.unique(moving_labels).tolist()})
    labels = [int(label) for label in shared if label]
    grid = Grid.of(fixed)
    scores = {}
    for state, one in zip(STATES, _states(transform), strict=True):
        moved = warped_labels(moving_labels, moving, one.displacements(grid), grid)
        overlaps = dice(moved, fixed_labels, labels)
        surfaces = surface_scores(moved, fixed_labels, fixed.spacing.tolist(), labels)
        scores[state] = {
            label: {"dice": overlaps[label], "hd95_mm": surfaces[label].hd95_mm} for label in labels
        }
    return scores


def landmark_scores(
    landmarks: NDArray[np.float64], transform: Transform
) -> dict[str, dict[str, float]]:
    """By state (`STATES`): mean and largest error of landmarks (N, 2, 3) in mm."""
    scores = {}
    for state, one in zip(STATES, _states(transform), strict=True):
        errors = landmark_errors(landmarks, one)
        scores[state] = {"mean_mm": float(errors.mean()), "largest_mm": float(errors.max())}
    return scores


def fold_share(determinants: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> float:
    """Share of voxels, of those in the mask, at which space folds."""
    counted = determinants if mask is None else determinants[mask]
    return float(np.count_nonzero(counted <= 0) / max(counted.size, 1))


def _states(transform: Transform) -> tuple[Transform, Transform, Transform]:
    return Transform.of_linear(np.eye(4)), Transform.of_linear(transform.linear), transform
