"""From nine predicted vectors back to a box: where, how large, which way round.

The box is fitted by orthogonal Procrustes analysis (Kabsch 1976, Umeyama 1991, mirror images
allowed), so that the nine vectors need not agree with each other. Inferred: the authors of
arXiv:2211.08533 publish no such inversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.vectorpose.vectors import PLACES, Axis, vectors_mm

_OFFSETS = PLACES - 0.5


@dataclass(frozen=True, eq=False)
class FittedBox:
    """The cube that explains nine vectors best, in the frame that they are given in.

    Attributes
    ----------
    to_axis_mm
        (3,) from its centre to the axis.
    matrix
        (3, 3) orthogonal: how the patient's axes (S, A, R) lie in this frame.
    edge_mm
        Length of its edges.
    misfit_mm
        Root mean square distance between the nine points and those of the cube.
    """

    to_axis_mm: NDArray[np.float64]
    matrix: NDArray[np.float64]
    edge_mm: float
    misfit_mm: float

    @property
    def element(self) -> int:
        """The nearest of the 48 cube elements."""
        return cube.nearest(self.matrix)

    @property
    def vectors_mm(self) -> NDArray[np.float64]:
        """(9, 3) the vectors of this cube: the given ones made consistent."""
        fitted: NDArray[np.float64] = self.to_axis_mm - self.edge_mm * _OFFSETS @ self.matrix.T
        return fitted


def fit_box(vectors: ArrayLike) -> FittedBox:
    """Fit a cube of any position, edge and orientation, mirrored or not, to vectors (9, 3) in mm.

    Raises
    ------
    MrisslError
        If they are not nine finite vectors.
    """
    given = np.asarray(vectors, np.float64)
    if given.shape != PLACES.shape or not np.isfinite(given).all():
        raise MrisslError(f"vectors of shape {given.shape}", expected="9 x 3 finite numbers in mm")
    middle = given.mean(axis=0)
    u, sizes, v = np.linalg.svd((middle - given).T @ _OFFSETS)
    box = FittedBox(middle, u @ v, float(sizes.sum() / np.sum(_OFFSETS**2)), 0.0)
    apart = np.sqrt(np.mean(np.sum((box.vectors_mm - given) ** 2, axis=1)))
    return FittedBox(middle, box.matrix, box.edge_mm, float(apart))


@dataclass(frozen=True, eq=False)
class Reading:
    """What nine predicted vectors say of a crop, beside the truth.

    Attributes
    ----------
    box
        Fitted to the prediction, in the frame of the turned crop.
    position_error_mm
        Between the predicted and the true centre. Along S both are the crop's own, since
        the vectors end at the axis at the crop's depth: the error is one within the axial
        plane unless the prediction errs by a component along S.
    scale_ratio
        Predicted edge over true edge.
    element, true_element
        Predicted and true orientation, of `cube.ELEMENTS`.
    points_mm
        (9, 3) the predicted centre and corners in the scan's axis frame, after the crop's
        true turn is undone.
    fitted_points_mm
        (9, 3) those of the fitted cube.
    angles_deg
        (9,) between the predicted and the true vectors; NaN where the truth has no length.
    lengths_mm
        (9,) predicted minus true lengths.
    """

    box: FittedBox
    position_error_mm: float
    scale_ratio: float
    element: int
    true_element: int
    points_mm: NDArray[np.float64]
    fitted_points_mm: NDArray[np.float64]
    angles_deg: NDArray[np.float64]
    lengths_mm: NDArray[np.float64]

    @property
    def orientation_right(self) -> bool:
        """Whether the nearest of the 48 orientations is the true one."""
        return self.element == self.true_element


def read_vectors(predicted: ArrayLike, record: CropRecord, axis: Axis) -> Reading:
    """Compare predicted vectors (9, 3), in mm and turned as the crop is, with the truth."""
    vectors = np.asarray(predicted, np.float64)
    true = vectors_mm(record, axis)
    box = fit_box(vectors)
    end = axis.at(record.center_mm[0])
    back = cube.inverse(record.element)
    lengths, true_lengths = np.linalg.norm(vectors, axis=1), np.linalg.norm(true, axis=1)
    product = lengths * true_lengths
    cosine = np.divide(
        np.sum(vectors * true, axis=1), product, out=np.full(9, np.nan), where=product > 1e-9
    )
    return Reading(
        box=box,
        position_error_mm=float(np.linalg.norm(box.to_axis_mm - true[0])),
        scale_ratio=box.edge_mm / record.edge_mm,
        element=box.element,
        true_element=record.element,
        points_mm=end - cube.act_vectors(vectors, back),
        fitted_points_mm=end - cube.act_vectors(box.vectors_mm, back),
        angles_deg=np.degrees(np.arccos(np.clip(cosine, -1, 1))),
        lengths_mm=lengths - true_lengths,
    )


@dataclass(frozen=True)
class Summary:
    """Readings of many crops in a few numbers.

    Attributes
    ----------
    crops
        How many.
    position_error_mm
        Median.
    scale_ratio
        Median of predicted over true edge.
    scale_error
        Median of the factor, at least 1, between predicted and true edge, minus 1.
    orientation_accuracy
        Share of crops whose orientation is right.
    mirrored_only
        Share whose orientation is wrong by an exchange of left and right alone: the
        confusion to expect in a symmetric body.
    """

    crops: int
    position_error_mm: float
    scale_ratio: float
    scale_error: float
    orientation_accuracy: float
    mirrored_only: float


_LEFT_RIGHT = cube.nearest(np.diag([1, 1, -1]))


def summary(readings: Sequence[Reading]) -> Summary:
    """Sum readings up.

    Raises
    ------
    MrisslError
        If there are none.
    """
    if not readings:
        raise MrisslError("no crops", where="readings", expected="at least one")
    ratios = np.array([max(one.scale_ratio, 1e-6) for one in readings])
    mirrored = [one.element == cube.compose(one.true_element, _LEFT_RIGHT) for one in readings]
    return Summary(
        crops=len(readings),
        position_error_mm=float(np.median([one.position_error_mm for one in readings])),
        scale_ratio=float(np.median(ratios)),
        scale_error=float(np.median(np.exp(np.abs(np.log(ratios))) - 1)),
        orientation_accuracy=float(np.mean([one.orientation_right for one in readings])),
        mirrored_only=float(np.mean(mirrored)),
    )
