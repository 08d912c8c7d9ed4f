"""What a matrix is worth that knows nothing: the true gaps, dealt out to the cells by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_mrissl.pretext.observable.consistency import Consistency, consistency
from napari_mrissl.pretext.observable.observations import GapMatrix

_DEALS = 8


@dataclass(frozen=True)
class Dealt:
    """Means over some deals of what `Consistency` holds of one matrix."""

    diagonal_mm: float
    antisymmetry_mm: float
    triangle_violations: float


def dealt(matrix: GapMatrix, seed: int = 0) -> Dealt:
    """Deal the true gaps out to all cells, the diagonal too, some times; the same for a seed."""
    true = matrix.true_mm
    rng = np.random.default_rng(seed)
    found: list[Consistency] = []
    for _ in range(_DEALS):
        mixed = rng.permutation(true.reshape(-1, 3)).reshape(true.shape)
        found.append(consistency(mixed, true))
    return Dealt(
        float(np.mean([one.diagonal_mm for one in found])),
        float(np.mean([one.antisymmetry_mm for one in found])),
        float(np.mean([one.triangle_violations for one in found])),
    )
