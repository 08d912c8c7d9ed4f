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
_SIZE = 720, 460
_LEFT, _TOP, _BOTTOM, _LEGEND = 60, 34, 48, 230


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
    """The mean Dice over labels of each source: a line over numbers of training scans."""
    picked = [row for row in rows if row.measure == DICE and row.label == MEAN]
    lines: dict[str, list[Row]] = {}
    for row in picked:
        lines.setdefault(f"{row.source}, {row.mode}" if row.mode else row.source, []).append(row)
    shots = sorted({row.shots for row in picked})
    height = max(_SIZE[1], _TOP + _BOTTOM + 20 * len(lines))
    picture = Image.new("RGB", (_SIZE[0], height), (255, 255, 255))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    if not picked:
        pen.text((_LEFT, _TOP), "nothing yet", _INK, font)
        return picture
    low = min(0.1 * int(10 * max(0.0, min(row.low for row in picked))), 0.9)
    right, bottom = _SIZE[0] - _LEGEND, height - _BOTTOM

    def across(number: int, count: int, of: int) -> float:
        step = (right - _LEFT) / len(shots)
        # Lines of one number of scans stand beside each other, so that intervals can be read.
        return _LEFT + step * (number + 0.5) + step * 0.5 * (count - (of - 1) / 2) / max(of, 1)

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
    for place, (title, of_line) in enumerate(lines.items()):
        color = LINE_COLORS[place % len(LINE_COLORS)]
        points = []
        for row in sorted(of_line, key=lambda row: row.shots):
            x = across(shots.index(row.shots), place, len(lines))
            points.append((x, up(row.mean)))
            pen.line([x, up(row.low), x, up(row.high)], color, 2)
            for end in (row.low, row.high):
                pen.line([x - 3, up(end), x + 3, up(end)], color, 2)
        if len(points) > 1:
            pen.line(points, color, 2)
        for x, y in points:
            pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=color)
        top = _TOP + 20 * place
        pen.rectangle([right + 16, top + 2, right + 28, top + 14], fill=color)
        pen.text((right + 36, top), _shortened(title), _INK, font)
    return picture


def _shortened(title: str, most: int = 27) -> str:
    return title if len(title) <= most else title[: most - 1] + "…"
