"""Dice by number of training scans, with intervals, as a picture; drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from napari_mrissl.evaluation.cells import DICE
from napari_mrissl.evaluation.drawing import LINE_COLORS, Color
from napari_mrissl.evaluation.score_rows import MEAN, Row
from napari_mrissl.volumes.atomic import write_atomically

_INK: Color = (30, 30, 30)
_GRID: Color = (222, 222, 222)
_GROUND: Color = (255, 255, 255)
_SIZE = 490, 460
"""Of the picture without its legend."""

_LEFT, _TOP, _BOTTOM = 60, 34, 48
_MODES = {"nonlinear": "square", "full": "diamond"}


def write(path: Path, rows: Sequence[Row]) -> None:
    """Draw the means over labels; an earlier picture is replaced.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    picture = draw(rows)
    write_atomically(path, lambda file: picture.save(file, "PNG"))


def draw(rows: Sequence[Row]) -> Image.Image:
    """The mean Dice over labels of each source: a line over numbers of training scans.

    A source has one colour, hollow once colours begin anew; heads and whole networks have
    markers of their own.
    """
    picked = [row for row in rows if row.measure == DICE and row.label == MEAN]
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in picked:
        lines.setdefault((row.source, row.mode), []).append(row)
    looks = _looks([source for source, _ in lines])
    titles = [f"{source}, {mode}" if mode else source for source, mode in lines]
    shots = sorted({row.shots for row in picked})
    font = ImageFont.load_default(13)
    legend = 48 + max((int(font.getlength(title)) for title in titles), default=0)
    height = max(_SIZE[1], _TOP + _BOTTOM + 20 * len(lines))
    picture = Image.new("RGB", (_SIZE[0] + legend, height), _GROUND)
    pen = ImageDraw.Draw(picture)
    if not picked:
        pen.text((_LEFT, _TOP), "nothing yet", _INK, font)
        return picture
    low = min(0.1 * int(10 * max(0.0, min(row.low for row in picked))), 0.9)
    right, bottom = _SIZE[0], height - _BOTTOM

    def across(number: int, count: int, of: int) -> float:
        step = (right - _LEFT) / len(shots)
        # Lines of one number of scans stand beside each other, so that intervals can be read.
        return _LEFT + step * (number + 0.5) + step * 0.7 * (count - (of - 1) / 2) / max(of, 1)

    def up(value: float) -> float:
        return bottom - (bottom - _TOP) * (min(max(value, low), 1.0) - low) / (1 - low)

    for tenth in range(round(10 * low), 11):
        pen.line([_LEFT, up(tenth / 10), right, up(tenth / 10)], _GRID)
        pen.text((_LEFT - 8, up(tenth / 10)), f"{tenth / 10:.1f}", _INK, font, anchor="rm")
    pen.text((_LEFT, 10), "mean Dice over labels, 95 % interval over subjects", _INK, font)
    for number, count in enumerate(shots):
        middle = _LEFT + (right - _LEFT) / len(shots) * (number + 0.5)
        pen.text((middle, bottom + 8), str(count) if count else "", _INK, font, anchor="ma")
    if any(shots):
        pen.text(((_LEFT + right) / 2, bottom + 28), "training scans", _INK, font, anchor="ma")
    for place, ((source, mode), of_line) in enumerate(lines.items()):
        color, hollow = looks[source]
        points = []
        for row in sorted(of_line, key=lambda row: row.shots):
            x = across(shots.index(row.shots), place, len(lines))
            points.append((x, up(row.mean)))
            pen.line([x, up(row.low), x, up(row.high)], color, 2)
            for end in (row.low, row.high):
                pen.line([x - 3, up(end), x + 3, up(end)], color, 2)
        if len(points) > 1:
            pen.line(points, color, 1)
        top = _TOP + 20 * place
        for point in (*points, (right + 22, top + 8)):
            _mark(pen, point, _MODES.get(mode, "circle"), color, hollow)
        pen.text((right + 36, top), titles[place], _INK, font)
    return picture


def _looks(sources: Sequence[str]) -> dict[str, tuple[Color, bool]]:
    """The colour of each source, and whether its markers are hollow."""
    return {
        source: (LINE_COLORS[number % len(LINE_COLORS)], number >= len(LINE_COLORS))
        for number, source in enumerate(dict.fromkeys(sources))
    }


def _mark(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], shape: str, color: Color, hollow: bool
) -> None:
    x, y = at
    fill = _GROUND if hollow else color
    if shape == "circle":
        pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill, color, 2)
    elif shape == "square":
        pen.rectangle([x - 4, y - 4, x + 4, y + 4], fill, color, 2)
    else:
        corners = [(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)]
        pen.polygon(corners, fill, color, 2)
