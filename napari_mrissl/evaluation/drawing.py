"""Small pictures of a report: lines over grey images, curves, rows of images; drawn with Pillow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
Grey = NDArray[np.floating]

TRUE: Color = (60, 190, 90)
PREDICTED: Color = (225, 70, 200)
AXIS: Color = (240, 200, 60)
LINE_COLORS: tuple[Color, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0),
    (0, 0, 0), (150, 150, 150),
)  # fmt: skip
"""Okabe and Ito's, which colour-blind readers can tell apart."""

_INK: Color = (235, 235, 235)
_GROUND: Color = (24, 26, 30)
_FRAME: Color = (110, 114, 120)
_PAD = 8
_LINE = 14


def grey(image: Grey, size: tuple[int, int]) -> Image.Image:
    """Values in [0, 1] as a picture of (width, height) pixels."""
    bytes_ = np.rint(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    return Image.fromarray(bytes_).convert("RGB").resize(size, Image.Resampling.BILINEAR)


def with_sides(picture: Image.Image, sides: tuple[str, str, str, str]) -> Image.Image:
    """A picture with letters at the middle of its top, bottom, left and right."""
    lettered = picture.copy()
    pen, font = ImageDraw.Draw(lettered), ImageFont.load_default()
    width, height = lettered.size
    places = (
        (width / 2, 2, "ma"), (width / 2, height - 2, "md"),
        (3, height / 2, "lm"), (width - 3, height / 2, "rm"),
    )  # fmt: skip
    for text, (x, y, anchor) in zip(sides, places, strict=True):
        pen.text((x, y), text, AXIS, font, anchor=anchor)
    return lettered


def row(pictures: Sequence[Image.Image], titles: Sequence[str]) -> Image.Image:
    """Pictures side by side, each under its title."""
    width = sum(one.width for one in pictures) + _PAD * (len(pictures) + 1)
    height = max(one.height for one in pictures) + _LINE + 2 * _PAD
    canvas = Image.new("RGB", (width, height), _GROUND)
    pen = ImageDraw.Draw(canvas)
    left = _PAD
    for picture, title in zip(pictures, titles, strict=True):
        pen.text((left, _PAD // 2), title, _INK, ImageFont.load_default())
        canvas.paste(picture, (left, _LINE + _PAD))
        left += picture.width + _PAD
    return canvas


def column(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures below each other."""
    canvas = Image.new(
        "RGB", (max(one.width for one in pictures), sum(one.height for one in pictures)), _GROUND
    )
    top = 0
    for picture in pictures:
        canvas.paste(picture, (0, top))
        top += picture.height
    return canvas


def arrow(
    pen: ImageDraw.ImageDraw, start: Sequence[float], end: Sequence[float], color: Color
) -> None:
    """A line with a head at its end."""
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    pen.line([*a, *b], color, 2)
    length = float(np.linalg.norm(b - a))
    if length < 1:
        return
    along = (b - a) / length
    across = np.array([-along[1], along[0]])
    back = b - min(8.0, length) * along
    pen.polygon([tuple(b), tuple(back + 3 * across), tuple(back - 3 * across)], fill=color)


def plot(
    x: NDArray[np.floating],
    curves: Mapping[str, tuple[NDArray[np.floating], Color]],
    title: str,
    limits: tuple[float, float] | None = None,
    size: tuple[int, int] = (300, 160),
    unit: str = "mm",
) -> Image.Image:
    """Curves over x, with their names, and the ends of both axes in numbers."""
    canvas = Image.new("RGB", size, _GROUND)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default()
    left, top, right, bottom = 44, _LINE + 6, size[0] - 8, size[1] - _LINE - 4
    values = np.concatenate([np.asarray(y, np.float64) for y, _ in curves.values()])
    finite = values[np.isfinite(values)]
    low, high = limits or (float(finite.min(initial=0)), float(finite.max(initial=1)))
    span = (high - low) or 1.0
    reach = float(np.ptp(x)) or 1.0
    pen.rectangle([left, top, right, bottom], outline=_FRAME)
    pen.text((left, 2), title, _INK, font)
    for value, place in ((high, top), (low, bottom - _LINE)):
        pen.text((2, place), f"{value:.3g}", _INK, font)
    pen.text((left, bottom + 2), f"{float(x.min()):.0f} {unit}", _INK, font)
    pen.text((right - 44, bottom + 2), f"{float(x.max()):.0f} {unit}", _INK, font)
    for number, (name, (y, color)) in enumerate(curves.items()):
        points = [
            (
                left + (right - left) * float(a - x.min()) / reach,
                bottom - (bottom - top) * float(np.clip((b - low) / span, 0, 1)),
            )
            for a, b in zip(x, y, strict=True)
            if np.isfinite(b)
        ]
        if len(points) > 1:
            pen.line(points, color, 2)
        pen.text((right - 62 * (len(curves) - number), 2), name, color, font)
    return canvas
