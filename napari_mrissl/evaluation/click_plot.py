"""Dice by number of clicks, with intervals, as a picture; drawn with Pillow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from napari_mrissl.evaluation.drawing import LINE_COLORS, Color

_INK: Color = (30, 30, 30)
_GRID: Color = (222, 222, 222)
_WANTED: Color = (170, 110, 110)
_SIZE = 820, 480
_LEFT, _TOP, _BOTTOM, _LEGEND = 60, 34, 48, 290
_BAND = 0.18

Line = Sequence[tuple[float, float, float]]
"""Mean, low and high after the first click, the second, and so on."""


def draw(lines: Mapping[str, Line], wanted: Sequence[float] = ()) -> Image.Image:
    """A line with a band for each name, over numbers of clicks.

    Parameters
    ----------
    lines
        By name, in the order of the legend; all of one length.
    wanted
        Values of Dice that are marked.
    """
    height = max(_SIZE[1], _TOP + _BOTTOM + 20 * len(lines))
    picture = Image.new("RGB", (_SIZE[0], height), (255, 255, 255))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    if not lines:
        pen.text((_LEFT, _TOP), "nothing yet", _INK, font)
        return picture
    right, bottom = _SIZE[0] - _LEGEND, height - _BOTTOM
    clicks = max(len(line) for line in lines.values())

    def place(number: int, value: float) -> tuple[float, float]:
        x = _LEFT + (right - _LEFT) * (number - 1) / max(clicks - 1, 1)
        return x, bottom - (bottom - _TOP) * min(max(value, 0.0), 1.0)

    for tenth in range(11):
        level = place(1, tenth / 10)[1]
        pen.line([_LEFT, level, right, level], _GRID)
        pen.text((_LEFT - 8, level), f"{tenth / 10:.1f}", _INK, font, anchor="rm")
    for value in wanted:
        level = place(1, value)[1]
        for start in range(_LEFT, right, 8):
            pen.line([start, level, start + 3, level], _WANTED)
    step = max(1, round(clicks / 10))
    for number in {1, *range(step, clicks + 1, step)}:
        x = place(number, 0)[0]
        pen.line([x, bottom, x, bottom + 4], _INK)
        pen.text((x, bottom + 8), str(number), _INK, font, anchor="ma")
    pen.text((_LEFT, 10), "mean Dice over labels, 95 % interval over scans", _INK, font)
    pen.text(((_LEFT + right) / 2, bottom + 28), "clicks", _INK, font, anchor="ma")
    for number, line in enumerate(lines.values()):
        low = [place(at, one[1]) for at, one in enumerate(line, 1)]
        high = [place(at, one[2]) for at, one in enumerate(line, 1)]
        picture = _banded(picture, [*low, *reversed(high)], LINE_COLORS[number % len(LINE_COLORS)])
    pen = ImageDraw.Draw(picture)
    for number, (name, line) in enumerate(lines.items()):
        color = LINE_COLORS[number % len(LINE_COLORS)]
        points = [place(at, mean) for at, (mean, _, _) in enumerate(line, 1)]
        if len(points) > 1:
            pen.line(points, color, 2)
        for x, y in points:
            pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=color)
        top = _TOP + 20 * number
        pen.rectangle([right + 16, top + 2, right + 28, top + 14], fill=color)
        pen.text((right + 36, top), _shortened(name), _INK, font)
    return picture


def _banded(
    picture: Image.Image, outline: Sequence[tuple[float, float]], color: Color
) -> Image.Image:
    if len(outline) < 4:
        return picture
    over = picture.copy()
    ImageDraw.Draw(over).polygon(list(outline), fill=color)
    return Image.blend(picture, over, _BAND)


def _shortened(name: str, most: int = 38) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
