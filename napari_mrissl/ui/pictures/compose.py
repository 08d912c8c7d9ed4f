"""From cut layers to one picture: contrast, colours, blending, contours; no Qt, no napari.

Blending is napari's: the first visible layer lies on black, whatever its blending says.
Colours are kept in planes and looked up in tables into which opacity and blending are
already worked, so that a layer costs four look-ups and three multiply-adds a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHADES = 1024
"""Entries of an image's colour table; two more stand for outside and for NaN."""

_OUTSIDE, _NAN = SHADES, SHADES + 1


class Table(NamedTuple):
    """What a layer's codes add to a picture.

    Attributes
    ----------
    planes
        (4, K) float32: red, green, blue, and the share of what lies below that is lost.
    mode
        ``"over"``, ``"add"``, ``"minimum"`` or ``"multiply"``.
    """

    planes: NDArray[np.float32]
    mode: str


def image_table(
    colors: ArrayLike, nan_color: ArrayLike, opacity: float, blending: str, *, first: bool
) -> Table:
    """The table of an image from its colours (SHADES, 4) and that of NaN (4,), in [0, 1]."""
    rows = np.concatenate([np.asarray(colors, np.float64), np.zeros((2, 4))])
    rows[_NAN] = nan_color
    return _table(rows, np.full(len(rows), float(opacity)), blending, first)


def labels_table(
    colors: ArrayLike, opacity: float, blending: str, *, first: bool, filled: bool
) -> Table:
    """The table of labels from their colours (K, 4): K for the area, then K for contours.

    A contour is drawn in the label's own colour with no transparency but the colour's own.
    """
    rows = np.asarray(colors, np.float64)
    count = len(rows)
    seen = float(opacity > 0)
    shares = np.repeat([opacity if filled else 0.0, seen], count)
    return _table(np.concatenate([rows, rows]), shares, blending, first)


def _table(
    rows: NDArray[np.float64], shares: NDArray[np.float64], blending: str, first: bool
) -> Table:
    color, alpha = 255 * rows[:, :3], rows[:, 3] * shares
    there = (rows[:, 3] > 0) & (shares > 0)
    mode, lost = "over", alpha
    if blending == "additive":
        mode, color = "add", color * alpha[:, None]
    elif blending == "minimum":
        # On black nothing would ever be seen: the lowest layer is taken as it is.
        mode = "add" if first else "minimum"
        color = np.where(there[:, None], color, 0 if first else 255)
    elif blending == "multiplicative" and not first:
        mode, color = "multiply", np.where(there[:, None], color / 255, 1)
    elif blending == "opaque" and not first:
        lost = there.astype(np.float64)
        color = color * lost[:, None]
    else:
        color = color * alpha[:, None]
    planes = np.concatenate([color, lost[:, None]], axis=1).T
    return Table(np.ascontiguousarray(planes, np.float32), mode)


def image_codes(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
    limits: tuple[float, float],
    out: NDArray[np.uint16],
    scratch: NDArray[np.float32],
) -> NDArray[np.uint16]:
    """Rows of an image's table for values (N, M) at these contrast limits, into ``out``."""
    low, high = limits
    scale = (SHADES - 1) / max(high - low, 1e-12)
    np.subtract(values, np.float32(low), out=scratch)
    scratch *= np.float32(scale)
    scratch += np.float32(0.5)
    # Comparing is false for NaN, so that NaN ends as 0 here and is overwritten below.
    np.fmax(scratch, 0, out=scratch)
    np.fmin(scratch, SHADES - 1, out=scratch)
    np.copyto(out, scratch, casting="unsafe")
    missing = np.isnan(values)
    if missing.any():
        out[missing] = _NAN
    np.copyto(out, np.uint16(_OUTSIDE), where=~valid)
    return out


def contours(labels: NDArray[np.integer], thickness: int) -> NDArray[np.bool_]:
    """Pixels (N, M) with another label within ``thickness`` steps to a side or up or down.

    The border of the picture is no contour.
    """
    edge = np.zeros(labels.shape, bool)
    if thickness < 1:
        return edge
    down = labels[1:] != labels[:-1]
    across = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    for _ in range(thickness - 1):
        before = edge.copy()
        edge[1:] |= before[:-1]
        edge[:-1] |= before[1:]
        edge[:, 1:] |= before[:, :-1]
        edge[:, :-1] |= before[:, 1:]
    return edge


class Composer:
    """Draws layers over each other into a picture, again and again into the same memory.

    Attributes
    ----------
    picture
        (N, M, 4) uint8, RGBA, opaque.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.picture = np.zeros((*shape, 4), np.uint8)
        self.picture[..., 3] = 255
        self._canvas = np.zeros((3, *shape), np.float32)
        self._found = np.empty(shape, np.float32)
        self._lost = np.empty(shape, np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the picture."""
        return self._found.shape[0], self._found.shape[1]

    def compose(self, layers: Sequence[tuple[NDArray[np.integer], Table]]) -> NDArray[np.uint8]:
        """Draw codes (N, M) with their tables, the lowest first, on black; the picture."""
        canvas, found = self._canvas, self._found
        if not layers:
            canvas.fill(0)
        for number, (codes, table) in enumerate(layers):
            *colors, lost = table.planes
            gray = np.array_equal(colors[0], colors[1]) and np.array_equal(colors[0], colors[2])
            if number == 0:
                # On black nothing is left of what lies below.
                for channel, color in zip(canvas, colors, strict=True):
                    if gray and color is not colors[0]:
                        np.copyto(channel, canvas[0])
                    else:
                        np.take(color, codes, out=channel, mode="clip")
                continue
            if table.mode == "over":
                np.take(lost, codes, out=self._lost, mode="clip")
                np.subtract(1, self._lost, out=self._lost)
            for channel, color in zip(canvas, colors, strict=True):
                if not gray or color is colors[0]:
                    np.take(color, codes, out=found, mode="clip")
                if table.mode == "over":
                    channel *= self._lost
                    channel += found
                elif table.mode == "add":
                    channel += found
                    np.minimum(channel, 255, out=channel)
                elif table.mode == "minimum":
                    np.minimum(channel, found, out=channel)
                else:
                    channel *= found
        for number, channel in enumerate(canvas):
            np.add(channel, 0.5, out=found)
            np.copyto(self.picture[..., number], found, casting="unsafe")
        return self.picture

    def overlay(self, layers: Sequence[tuple[NDArray[np.integer], Table]]) -> NDArray[np.uint8]:
        """Draw layers of mode ``"over"`` on nothing: the picture with its own transparency.

        Colours are not multiplied by their share, as napari's RGB layers take them.
        """
        canvas, found, kept = self._canvas, self._found, np.ones(self.shape, np.float32)
        canvas.fill(0)
        for codes, table in layers:
            np.take(table.planes[3], codes, out=self._lost, mode="clip")
            np.subtract(1, self._lost, out=self._lost)
            kept *= self._lost
            for channel, color in zip(canvas, table.planes, strict=False):
                np.take(color, codes, out=found, mode="clip")
                channel *= self._lost
                channel += found
        share = 1 - kept
        divisor = np.maximum(share, 1e-6)
        for number, channel in enumerate(canvas):
            np.copyto(
                self.picture[..., number],
                np.minimum(channel / divisor + 0.5, 255),
                casting="unsafe",
            )
        np.copyto(self.picture[..., 3], 255 * share + 0.5, casting="unsafe")
        return self.picture
