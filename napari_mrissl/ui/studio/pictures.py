"""Volumes as the canvas takes them, and their slices as images."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QImage

_OVERLAY = 110


def _colors() -> NDArray[np.uint8]:
    """(256, 3): black for 0, then hues that differ from their neighbours."""
    turn = 0.61803398875
    rows = [
        colorsys.hsv_to_rgb(n * turn % 1, 0.45 + 0.25 * (n % 3), 1 - 0.2 * (n % 2))
        for n in range(256)
    ]
    table = np.round(255 * np.array(rows)).astype(np.uint8)
    table[0] = 0
    return table


COLORS = _colors()
"""(256, 3) uint8: what labels are painted in."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One volume on the canvas.

    Attributes
    ----------
    title
        E.g. ``"A"``.
    array
        (S, S, S): uint8 labels or float32 grey values.
    labels
        (S, S, S) uint8 to be laid over it, or None.
    """

    title: str
    array: NDArray[Any]
    labels: NDArray[np.uint8] | None = None

    @property
    def window(self) -> tuple[float, float]:
        """Shown from black to white: 0 to 1, or as far as the values go beyond."""
        return min(0.0, float(self.array.min())), max(1.0, float(self.array.max()))

    @property
    def is_labels(self) -> bool:
        """Whether it is painted in colours, each voxel sharp."""
        return self.array.dtype == np.uint8

    def slice_image(self, axis: int, number: int, window: tuple[float, float]) -> QImage:
        """A slice, rows from the top; grey values from black to white over the window."""
        values = _cut(self.array, axis, number)
        if self.is_labels:
            return _rgb(COLORS[values])
        low, high = window
        grey = np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
        return _rgb(np.repeat(grey[..., None], 3, axis=2))

    def overlay_image(self, axis: int, number: int) -> QImage | None:
        """The labels to be laid over the slice, half transparent; None where there are none."""
        if self.labels is None or self.is_labels:
            return None
        return _overlay(_cut(self.labels, axis, number))


def _cut(array: NDArray[Any], axis: int, number: int) -> NDArray[Any]:
    """One slice, rows from the top."""
    return np.take(array, number, axis)[::-1]


def _rgb(pixels: NDArray[np.uint8]) -> QImage:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    # Copied, because the array ends before the picture is painted.
    return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def _overlay(labels: NDArray[np.uint8]) -> QImage:
    alpha = np.where(labels > 0, _OVERLAY, 0).astype(np.uint8)
    pixels = np.ascontiguousarray(np.dstack([COLORS[labels], alpha]))
    height, width = labels.shape
    return QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
