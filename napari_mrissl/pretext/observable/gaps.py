"""The gap matrix: how far one view of a scan is from another, along each axis and in all.

Gaps are differences of positions, of any unit; in training they are mm along the scan's own
axes (R, A, S) over a stored scale, see `napari_mrissl.pretext.observable.views`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Channel = Literal["R", "A", "S", "norm"]
AXES: tuple[Literal["R", "A", "S"], ...] = ("R", "A", "S")
CHANNELS: tuple[Channel, ...] = (*AXES, "norm")
"""What of a gap is looked at: one of its three components, or its length."""

Floats = NDArray[np.float64]


def gap_matrix(positions: Any) -> Any:
    """Gaps (..., V, V, 3) of positions (..., V, 3): from view i (first) to view j (second).

    Antisymmetric, with a zero diagonal (arXiv:2509.05967). Arrays, or tensors on any device.
    """
    return positions[..., None, :, :] - positions[..., :, None, :]


def norms(gaps: ArrayLike) -> Floats:
    """Lengths (..., V, V) of gaps (..., V, V, 3): symmetric where gaps are antisymmetric."""
    found: Floats = np.linalg.norm(np.asarray(gaps, np.float64), axis=-1)
    return found


def channel(gaps: ArrayLike, name: Channel) -> Floats:
    """One component (..., V, V) of gaps, or their length."""
    if name == "norm":
        return norms(gaps)
    component: Floats = np.asarray(gaps, np.float64)[..., AXES.index(name)]
    return component


def off_diagonal(count: int) -> NDArray[np.bool_]:
    """(V, V) which cells are of two different views."""
    return ~np.eye(count, dtype=bool)
