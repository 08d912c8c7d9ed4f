"""What a registration came to: its transform, the moved scan and labels, and all figures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.registration import Registration, Transform
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.scores import fold_share, label_scores, landmark_scores
from napari_mrissl.registration.transform import jacobian, warped, warped_labels
from napari_mrissl.ui.registration.asked import Scans
from napari_mrissl.volumes import Volume

Scores = dict[str, dict[int, dict[str, float]]]
Errors = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class Result:
    """A registration with what it makes of the moving scan.

    Attributes
    ----------
    found, scans
        The registration, and what was registered.
    moved
        The moving scan on the fixed one's grid.
    moved_labels
        Its labels there, where it has any.
    fold_share
        Share of voxels at which space folds.
    determinants
        Least and largest Jacobian determinant.
    lengths_mm
        Median and largest displacement that the field adds to the linear part; without a
        field those of the linear part.
    scores, errors
        Of labels, and of landmarks in mm, by state; empty where there are none.
    whole
        Whether it came to its end; False where only the linear part was kept.
    """

    found: Registration
    scans: Scans
    moved: Volume
    moved_labels: NDArray[Any] | None
    fold_share: float
    determinants: tuple[float, float]
    lengths_mm: tuple[float, float]
    scores: Scores = field(default_factory=dict)
    errors: Errors = field(default_factory=dict)
    whole: bool = True

    @property
    def deformable(self) -> bool:
        """Whether a field follows the linear part."""
        return self.found.spacing_mm is not None


def field_alone(transform: Transform) -> Transform:
    """What the field adds to the linear part, in the world of the fixed scan."""
    return Transform(np.eye(4), transform.grid, transform.nodes)


def result_of(
    found: Registration,
    scans: Scans,
    *,
    whole: bool = True,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Result:
    """Move scan and labels, and measure.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    """

    def say(part: float, step: str) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(part, step)

    fixed, moving, extras = scans.fixed, scans.moving, scans.extras
    grid = Grid.of(fixed)
    say(0.0, "Moving the scan")
    displacements = found.transform.displacements(grid)
    values = warped(moving, displacements, grid)
    values.flags.writeable = False
    moved = replace(
        fixed, data=values, slope=1.0, intercept=0.0, name=f"{moving.name} moved", notes=()
    )
    labels = None
    if extras.moving_labels is not None:
        say(0.2, "Moving the labels")
        labels = warped_labels(extras.moving_labels, moving, displacements, grid)
    say(0.3, "Looking for folds")
    determinants = jacobian(displacements, grid)
    shown = found.transform
    if found.spacing_mm is not None:
        displacements = field_alone(shown).displacements(grid)
    lengths = np.linalg.norm(displacements, axis=-1)
    del displacements
    say(0.5, "Measuring labels and landmarks")
    scores: Scores = {}
    if extras.fixed_labels is not None and extras.moving_labels is not None:
        scores = label_scores(
            fixed, extras.fixed_labels, moving, extras.moving_labels, found.transform
        )
    errors: Errors = {}
    if extras.landmarks is not None:
        errors = landmark_scores(extras.landmarks, found.transform)
    say(1.0, "Measured")
    return Result(
        found,
        scans,
        moved,
        labels,
        fold_share(determinants, extras.fixed_mask),
        (float(determinants.min()), float(determinants.max())),
        (float(np.median(lengths)), float(lengths.max())),
        scores,
        errors,
        whole,
    )
