"""Body axes for display: the one turn that brings coordinates onto right, anterior and superior.

Distances fix coordinates only up to a turn or a mirror image. One similarity, fitted to true
places in a few scans, names the axes; each scan keeps a shift of its own, as where a scanner
begins is no anatomy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError

Floats = NDArray[np.float64]


_SAME = 1e-5
"""Of their size: coordinates that differ less in the mean are one and the same."""


@dataclass(frozen=True, eq=False)
class BodyAxes:
    """From coordinates to mm along (R, A, S).

    Attributes
    ----------
    matrix
        (3, 3) mm along (R, A, S) for each unit of a coordinate: a turn, or a mirror image, times
        one factor.
    center
        (3,) coordinates that become 0 mm: their mean over the scans of the fit.
    scans
        How many these were.
    error_mm
        Mean distance between fitted and true places in them.
    """

    matrix: Floats
    center: Floats
    scans: int
    error_mm: float

    def to_mm(self, coordinates: ArrayLike) -> Floats:
        """Coordinates (..., 3) in mm along the body's axes (R, A, S)."""
        found: Floats = (np.asarray(coordinates, np.float64) - self.center) @ self.matrix.T
        return found

    def plain(self) -> dict[str, Any]:
        """As plain data, for cards and JSON; `from_plain` takes it back."""
        return {
            "matrix": self.matrix.tolist(),
            "center": self.center.tolist(),
            "scans": self.scans,
            "error_mm": self.error_mm,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> BodyAxes:
        """The axes of what `plain` gave.

        Raises
        ------
        MrisslError
            If fields are missing or of another form.
        """
        try:
            matrix = np.array(plain["matrix"], np.float64).reshape(3, 3)
            center = np.array(plain["center"], np.float64).reshape(3)
            found = cls(matrix, center, int(plain["scans"]), float(plain["error_mm"]))
        except (KeyError, TypeError, ValueError) as error:
            raise MrisslError("body axes are damaged", where="card of the weights") from error
        if not (np.isfinite(matrix).all() and np.isfinite(center).all()):
            raise MrisslError("body axes are not finite", where="card of the weights")
        return found


def fitted(groups: Sequence[tuple[ArrayLike, ArrayLike]]) -> BodyAxes:
    """Fit the axes by Procrustes' similarity, one turn and factor for all scans.

    Parameters
    ----------
    groups
        For each scan (N, 3) coordinates and (N, 3) places in mm along (R, A, S).

    Raises
    ------
    MrisslError
        If there are no points, or all coordinates are the same but for single precision.
    """
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in groups]
    if not pairs:
        raise MrisslError("no points to fit body axes to")
    found = np.concatenate([a - a.mean(axis=0) for a, _ in pairs])
    true = np.concatenate([b - b.mean(axis=0) for _, b in pairs])
    spread = float((found**2).sum())
    size = max(float(np.abs(a).max()) for a, _ in pairs)
    if not spread > len(found) * (_SAME * size) ** 2:
        raise MrisslError("all coordinates are the same", where="body axes")
    left, values, right = np.linalg.svd(found.T @ true)
    matrix = (values.sum() / spread) * (left @ right).T
    error = np.linalg.norm(found @ matrix.T - true, axis=1).mean()
    center = np.concatenate([a for a, _ in pairs]).mean(axis=0)
    return BodyAxes(matrix, center, len(pairs), float(error))
