"""Lossless flips and permutations between a stored grid and the closest (S, A, R)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry.affines import closest_axes


@dataclass(frozen=True, slots=True)
class Reorientation:
    """How the axes of a stored grid become axes that run closest to S, A and R.

    Attributes
    ----------
    axes
        Canonical axis ``k`` is stored axis ``axes[k]``.
    flipped
        Whether canonical axis ``k`` runs against its stored axis.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)

    @classmethod
    def closest_sar(cls, affine: ArrayLike) -> Reorientation:
        """The reorientation that brings a stored grid closest to (S, A, R)."""
        worlds, signs = closest_axes(affine)
        axes = (worlds.index(2), worlds.index(1), worlds.index(0))
        flipped = (signs[axes[0]] < 0, signs[axes[1]] < 0, signs[axes[2]] < 0)
        return cls(axes, flipped)

    def forward(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A view of a stored array in canonical axis order."""
        return stored.transpose(self.axes)[self._steps()]

    def backward(self, canonical: NDArray[Any]) -> NDArray[Any]:
        """A view of a canonical array in stored axis order."""
        return canonical[self._steps()].transpose(np.argsort(self.axes))

    def canonical_affine(
        self, stored_affine: ArrayLike, stored_shape: tuple[int, int, int]
    ) -> NDArray[np.float64]:
        """The affine of the canonical array, given the stored affine and shape."""
        to_stored = np.zeros((4, 4))
        to_stored[3, 3] = 1
        for canonical, (stored, flip) in enumerate(zip(self.axes, self.flipped, strict=True)):
            to_stored[stored, canonical] = -1 if flip else 1
            to_stored[stored, 3] = stored_shape[stored] - 1 if flip else 0
        affine: NDArray[np.float64] = np.asarray(stored_affine, np.float64) @ to_stored
        return affine + 0.0

    def _steps(self) -> tuple[slice, slice, slice]:
        first, second, third = (slice(None, None, -1 if f else None) for f in self.flipped)
        return first, second, third
