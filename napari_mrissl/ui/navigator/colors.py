"""Slice values to colours, for the textured plane: contrast and colormap applied by us."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def color_table(colors: ArrayLike) -> NDArray[np.uint32]:
    """256 packed RGBA entries of colours (256, 4) in [0, 1]; opaque."""
    table = np.ascontiguousarray(np.round(np.asarray(colors, np.float64) * 255), np.uint8)
    table[:, 3] = 255
    return table.view(np.uint32).reshape(256)


class PlaneTexture:
    """A texture that is filled again and again without new memory.

    Parameters
    ----------
    size
        Pixels along each side.
    border
        RGB of the outline, in [0, 1].
    """

    def __init__(self, size: int, border: tuple[float, float, float] = (1.0, 0.83, 0.2)) -> None:
        self.size = size
        self._scaled = np.empty((size, size), np.float32)
        self._index = np.empty((size, size), np.uint8)
        self._packed = np.empty((size, size), np.uint32)
        red, green, blue = (round(255 * c) for c in border)
        self._border = np.array([red, green, blue, 255], np.uint8).view(np.uint32)[0]
        self._width = max(1, size // 128)

    def fill(
        self,
        values: NDArray[np.float32],
        valid: NDArray[np.bool_],
        limits: tuple[float, float],
        table: NDArray[np.uint32],
    ) -> NDArray[np.uint8]:
        """RGBA (N, N, 4) of values (N, N): transparent outside the scan, with an outline.

        The array is the same one every time.
        """
        low, high = limits
        np.subtract(values, np.float32(low), out=self._scaled)
        self._scaled *= np.float32(255 / max(high - low, 1e-12))
        np.clip(self._scaled, 0, 255, out=self._scaled)
        # NaN has no place in a colour table; it is shown as the lowest colour.
        np.nan_to_num(self._scaled, copy=False, nan=0)
        np.copyto(self._index, self._scaled, casting="unsafe")
        np.take(table, self._index, out=self._packed, mode="clip")
        self._packed *= valid
        w = self._width
        for edge in (np.s_[:w], np.s_[-w:], np.s_[:, :w], np.s_[:, -w:]):
            self._packed[edge] = self._border
        return self._packed.view(np.uint8).reshape(self.size, self.size, 4)
