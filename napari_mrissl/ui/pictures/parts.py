"""What of a layer is drawn in the panes: a volume or labels, and how they look; no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.ui.pictures.compose import Table, image_table, labels_table
from napari_mrissl.volumes.volume import Volume

_TIERS = (256, 4096, 65536)


class LabelColors:
    """Colours of labels, looked up once and kept in tables.

    Parameters
    ----------
    colors_of
        Gives the colours (K, 4) in [0, 1] of labels (K,).
    """

    def __init__(self, colors_of: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self._colors_of = colors_of
        self._kept: dict[tuple[int, str], NDArray[np.float64]] = {}

    def codes(self, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Rows (N, M) of the table of colours (K, 4) that comes with them."""
        low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
        tier = next((count for count in _TIERS if high < count), None)
        if low < 0 or tier is None:
            found, codes = np.unique(labels, return_inverse=True)
            return codes.reshape(labels.shape), np.asarray(self._colors_of(found), np.float64)
        key = (tier, labels.dtype.str)
        if key not in self._kept:
            count = min(tier, np.iinfo(labels.dtype).max + 1)
            known = np.arange(count).astype(labels.dtype)
            self._kept[key] = np.asarray(self._colors_of(known), np.float64)
        return labels.astype(np.intp, copy=False), self._kept[key]


@dataclass(eq=False)
class ImagePart:
    """A volume as an Image layer shows it.

    Attributes
    ----------
    name
        Of the layer.
    volume
        What is cut.
    limits
        Values shown as the first and the last colour.
    colors
        (SHADES, 4) in [0, 1], gamma included.
    nan_color
        (4,) in [0, 1].
    opacity, blending
        As napari names them.
    """

    name: str
    volume: Volume
    limits: tuple[float, float]
    colors: NDArray[np.float64]
    nan_color: NDArray[np.float64]
    opacity: float = 1.0
    blending: str = "translucent"
    _tables: dict[bool, Table] = field(default_factory=dict, repr=False)

    def table(self, *, first: bool) -> Table:
        """Its colours as `Composer` takes them."""
        if first not in self._tables:
            self._tables[first] = image_table(
                self.colors, self.nan_color, self.opacity, self.blending, first=first
            )
        return self._tables[first]


@dataclass(eq=False)
class LabelsPart:
    """A label map as a Labels layer shows it.

    Attributes
    ----------
    name
        Of the layer.
    labels, affine
        3-D integers in any memory layout, and (4, 4) from their index to world RAS mm.
    version
        Counts changes of the labels in place.
    colors
        Of the labels.
    opacity, blending
        As napari names them.
    contour
        Thickness in pixels of the layer's own contours; 0: it is filled.
    names
        What labels mean, where the layer says it.
    """

    name: str
    labels: NDArray[Any]
    affine: NDArray[np.float64]
    colors: LabelColors
    version: int = 0
    opacity: float = 0.7
    blending: str = "translucent"
    contour: int = 0
    names: dict[int, str] = field(default_factory=dict)
    _tables: dict[Any, tuple[NDArray[np.float64], Table]] = field(default_factory=dict, repr=False)

    def table(
        self,
        colors: NDArray[np.float64],
        *,
        first: bool,
        filled: bool,
        blending: str | None = None,
    ) -> Table:
        """Colours (K, 4) of `LabelColors.codes` as `Composer` takes them."""
        blending = blending or self.blending
        key = (len(colors), first, filled, blending)
        kept = self._tables.get(key)
        if kept is None or kept[0] is not colors:
            made = labels_table(colors, self.opacity, blending, first=first, filled=filled)
            kept = self._tables[key] = (colors, made)
        return kept[1]


class ColoursPart(LabelsPart):
    """Red, green and blue of each voxel, as `packed` numbers; drawn whole, without contours."""


Part = ImagePart | LabelsPart


def packed(colours: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Colours (S, A, R, 3 or 4) as numbers (S, A, R), 5 bits each; 0 is transparent."""
    red, green, blue = (colours[..., number].astype(np.uint16) >> 3 for number in range(3))
    numbers = (red << 10) + (green << 5) + blue + np.uint16(1)
    if colours.shape[-1] == 4:
        numbers[colours[..., 3] < 128] = 0
    return np.asarray(numbers, np.uint16)


def unpacked(numbers: NDArray[Any]) -> NDArray[np.float64]:
    """Colours (K, 4) in [0, 1] of numbers (K,) that `packed` gave."""
    bits = np.maximum(numbers.astype(np.int64) - 1, 0)
    colors = np.stack([bits >> 10 & 31, bits >> 5 & 31, bits & 31, 31 * (numbers > 0)], axis=1)
    return np.asarray(colors / 31, np.float64)


def value_at(volume: Volume, point: NDArray[np.float64]) -> float | None:
    """The value of the voxel nearest to a point (3,) in world mm, or None outside."""
    index = nearest_voxel(volume.to_index, volume.shape, point)
    return None if index is None else volume.slope * float(volume.data[index]) + volume.intercept


def label_at(part: LabelsPart, point: NDArray[np.float64]) -> int | None:
    """The label nearest to a point (3,) in world mm, or None outside."""
    shape = part.labels.shape
    index = nearest_voxel(np.linalg.inv(part.affine), shape, point)
    return None if index is None else int(part.labels[index])


def nearest_voxel(
    to_index: NDArray[np.float64], shape: tuple[int, ...], point: NDArray[np.float64]
) -> tuple[int, ...] | None:
    """Index of the voxel nearest to a point (3,) in world mm, or None outside."""
    place = to_index[:3, :3] @ point + to_index[:3, 3]
    if (place < -0.5).any() or (place > np.array(shape) - 0.5).any():
        return None
    return tuple(int(n) for n in np.clip(np.floor(place + 0.5), 0, np.array(shape) - 1))
