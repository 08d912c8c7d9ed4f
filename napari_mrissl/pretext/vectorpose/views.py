"""What an inspector shows of VectorPOSE, as plain data: world RAS mm, images, numbers; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext import edges
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.settings import EdgeSettings
from napari_mrissl.pretext.vectorpose.decode import Reading, Summary

Direction = Literal["S", "A", "R"]
DIRECTIONS: tuple[Direction, ...] = ("S", "A", "R")

Floats = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CropView:
    """One crop with its nine vectors, true and predicted.

    Attributes
    ----------
    record
        Which crop.
    image
        (S, S, S) in [0, 1] as the network saw it: turned; None where it was not kept.
    points
        (9, 3) centre and corners of the box, where the arrows start.
    true, predicted
        (9, 3) arrows, the crop's turn undone: point + arrow lies on the axis, or should.
    axis
        (2, 3) the body's axis through the depth of the crop, from its lower to its upper face.
    rebuilt, fitted
        (9, 3) the box of the predicted vectors, and of the cube that fits them best.
    coded_true, coded_predicted
        (9, 3) r, theta and phi as the network is asked for them.
    reading
        Errors in mm and degrees, scale and orientation.
    """

    record: CropRecord
    image: Image | None
    points: Floats
    true: Floats
    predicted: Floats
    axis: Floats
    rebuilt: Floats
    fitted: Floats
    coded_true: Floats
    coded_predicted: Floats
    reading: Reading


@dataclass(frozen=True, eq=False)
class Sweep:
    """The centre vector while the crop slides through the scan along one of its axes.

    Along S the true curves are flat: the vectors end at the axis at the crop's own depth,
    so that depth is not in the centre vector.

    Attributes
    ----------
    direction
        Along which axis.
    positions_mm
        (N,) of the crop's centre, from the middle of the scan.
    true, predicted
        (N, 3) r, theta and phi of the centre vector.
    position_errors_mm
        (N,) distance between predicted and true centre.
    """

    direction: Direction
    positions_mm: Floats
    true: Floats
    predicted: Floats
    position_errors_mm: Floats


@dataclass(frozen=True, eq=False)
class RestorationView:
    """One crop, spoiled and restored; thresholds can change without the network.

    Attributes
    ----------
    record
        Which crop.
    original, corrupted, restored
        (S, S, S) in [0, 1].
    painted
        (S, S, S) bool: what was painted over.
    gradient
        (S, S, S) of the median-filtered original, per voxel: what thresholds cut.
    predicted_boundary
        (S, S, S) in [0, 1], where the network predicts one.
    settings
        Of the boundary the network was trained on.
    boundary_weight
        How much more a full boundary counts, for weighted restoration; else None.
    """

    record: CropRecord
    original: Image
    corrupted: Image
    painted: NDArray[np.bool_]
    restored: Image
    gradient: Image
    predicted_boundary: Image | None
    settings: EdgeSettings
    boundary_weight: float | None = None

    @property
    def error(self) -> Image:
        """(S, S, S) absolute difference of the restored and the original crop."""
        apart: Image = np.abs(self.restored - self.original)
        return apart

    def boundary(self, settings: EdgeSettings | None = None) -> Image:
        """The boundary map under these thresholds, or those of the run; fast enough to drag.

        The side of the median filter is always the run's.
        """
        found: Image = edges.boundary(self.gradient, settings or self.settings)
        return found

    def weights(self, settings: EdgeSettings | None = None) -> Image | None:
        """1 + weight x boundary, for weighted restoration."""
        if self.boundary_weight is None:
            return None
        weighted: Image = 1 + self.boundary_weight * self.boundary(settings)
        return weighted

    def parts(self, settings: EdgeSettings | None = None) -> dict[str, NDArray[np.bool_]]:
        """Masks ``all``, ``on_boundary``, ``off_boundary``, ``painted``, ``not_painted``.

        On a boundary is where the map is above one half.
        """
        edge: NDArray[np.bool_] = self.boundary(settings) > 0.5
        return {
            "all": np.ones_like(edge),
            "on_boundary": edge,
            "off_boundary": ~edge,
            "painted": self.painted,
            "not_painted": ~self.painted,
        }

    def errors(self, settings: EdgeSettings | None = None) -> dict[str, float]:
        """Mean error of each of the `parts`; what has no voxel is NaN."""
        error = self.error
        return {
            name: float(error[mask].mean()) if mask.any() else float("nan")
            for name, mask in self.parts(settings).items()
        }


@dataclass(frozen=True)
class Measured:
    """What a predictor is worth on many crops of a scan.

    Attributes
    ----------
    terms
        Mean errors of r, theta and phi.
    summary
        Position in mm, scale, orientation.
    """

    terms: Mapping[str, float]
    summary: Summary

    def plain(self) -> dict[str, Any]:
        """As JSON-ready numbers."""
        return {**dict(self.terms), **asdict(self.summary)}


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a pretrained network knows of one scan, beside what knows nothing.

    Attributes
    ----------
    trained
        The network.
    constant
        The best constant answers to these very crops, one for r, theta and phi, one for the
        position in mm and one for the edge: no constant chosen beforehand has smaller mean
        errors of r, theta, phi, position and log edge.
    inverted
        The same network, shown the crops with black and white exchanged.
    shuffled
        A network trained on targets of other samples, where there is one.
    chance_orientation
        Share of right orientations of a guess.
    crops
        All crops that were measured; only the first four with their images.
    """

    trained: Measured
    constant: Measured
    inverted: Measured
    shuffled: Measured | None
    chance_orientation: float
    crops: tuple[CropView, ...]

    def plain(self) -> dict[str, Any]:
        """JSON-ready: every number beside its ``chance_`` value."""
        own, known = self.trained.plain(), self.constant.plain()
        numbers: dict[str, Any] = {"crops": own["crops"]}
        for name in (
            "position_error_mm",
            "scale_ratio",
            "scale_error",
            "orientation_accuracy",
            "r",
            "theta",
            "phi",
        ):
            numbers[name] = own[name]
            numbers[f"chance_{name}"] = known[name]
        numbers["chance_orientation_accuracy"] = self.chance_orientation
        numbers["mirrored_only"] = own["mirrored_only"]
        numbers["inverted"] = self.inverted.plain()
        numbers["shuffled"] = None if self.shuffled is None else self.shuffled.plain()
        return numbers
