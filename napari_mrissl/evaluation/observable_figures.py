"""The figures of a report on the observable tasks: matrices, routes and chunks over the scan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_mrissl.evaluation import drawing
from napari_mrissl.pretext.observable.gaps import CHANNELS, Channel
from napari_mrissl.pretext.observable.observations import ChunkView, GapMatrix, RouteView
from napari_mrissl.pretext.subjects import Scan

Floats = NDArray[np.float64]

ADJACENT: drawing.Color = (0, 190, 220)
DISTANT: drawing.Color = drawing.PREDICTED
_MATRIX = 240
_LONGEST = 260
# Title, and rows and columns of each projection among the axes (S, A, R).
_PROJECTIONS = (("along S", 1, 2), ("along A", 0, 2), ("along R", 0, 1))
_BOX = tuple((a, b) for a in range(8) for b in range(a) if (a ^ b) in (1, 2, 4))


def matrices(matrix: GapMatrix) -> Image.Image:
    """True, predicted and signed error, in a row for each axis and one for lengths."""
    return drawing.column([_channel(matrix, name) for name in CHANNELS])


def scatter(matrix: GapMatrix) -> Image.Image:
    """Predicted over true gaps, of each axis and of lengths; the line is where they agree."""
    apart = ~np.eye(len(matrix), dtype=bool)
    pictures = []
    for name in CHANNELS:
        true, predicted, _ = matrix.channel(name)
        pictures.append(_dots(true[apart], predicted[apart]))
    return drawing.row(pictures, [f"{name}: predicted over true, mm" for name in CHANNELS])


def routes(scan: Scan, walked: Sequence[RouteView]) -> Image.Image:
    """Routes over the scan: the true path green, the predicted one magenta and broken."""
    lines = []
    for one in walked:
        pictures, titles = [], []
        for title, y, x in _PROJECTIONS:
            picture, place = _plane(scan, y, x, one.true_world[0])
            pen = ImageDraw.Draw(picture)
            _broken(pen, place(one.predicted_world), drawing.PREDICTED)
            _path(pen, place(one.true_world), drawing.TRUE)
            pictures.append(picture)
            titles.append(title)
        order = "-".join(map(str, one.order))
        drift = "" if one.drift_mm is None else f", loop drifts {one.drift_mm:.1f} mm"
        titles[0] = f"{order}: end off by {one.end_error_mm:.1f} mm{drift}"
        lines.append(drawing.row(pictures, titles))
    return drawing.column(lines)


def chunk_boxes(scan: Scan, seen: Sequence[ChunkView]) -> Image.Image:
    """Chunks of pairs over the scan, adjacent cyan and distant magenta, and how alike they are."""
    lines = []
    for one in seen:
        pictures, titles = [], []
        for title, y, x in _PROJECTIONS:
            picture, place = _plane(scan, y, x, one.corners_world.mean(axis=(0, 1)))
            pen = ImageDraw.Draw(picture)
            for number, corners in enumerate(place(one.corners_world)):
                color = ADJACENT if number < 2 else DISTANT
                for a, b in _BOX:
                    pen.line([*corners[a], *corners[b]], color, 1)
            pictures.append(picture)
            titles.append(title)
        right = ["right" if ok else "wrong" for ok in (one.adjacent_right, one.distant_right)]
        titles[0] = f"views {one.i} and {one.j}: adjacent {right[0]}, distant {right[1]}"
        pictures.append(heat(one.similarity, -1, 1, 160))
        lines.append(drawing.row(pictures, [*titles, "cosines"]))
    return drawing.column(lines)


def heat(values: NDArray[np.floating], low: float, high: float, size: int) -> Image.Image:
    """A matrix from blue over white to red where ``low`` is below 0, else from black to white."""
    given = np.asarray(values, np.float64)
    if low < 0:
        part = np.clip(given / max(abs(low), abs(high), 1e-9), -1, 1)[..., None]
        cold, hot = np.array([30, 90, 200.0]), np.array([210, 40, 40.0])
        colors = 255 + np.where(part < 0, -part * (cold - 255), part * (hot - 255))
    else:
        colors = np.clip((given - low) / max(high - low, 1e-9), 0, 1)[..., None] * np.full(3, 255.0)
    picture = Image.fromarray(np.rint(colors).astype(np.uint8))
    return picture.resize((size, size), Image.Resampling.NEAREST)


def _channel(matrix: GapMatrix, name: Channel) -> Image.Image:
    true, predicted, error = matrix.channel(name)
    reach = float(max(np.abs(true).max(), np.abs(predicted).max(), 1e-6))
    low = 0.0 if name == "norm" else -reach
    worst = max(float(np.abs(error).max()), 1e-6)
    pictures = [heat(one, low, reach, _MATRIX) for one in (true, predicted)]
    pictures.append(heat(error, -worst, worst, _MATRIX))
    titles = [f"{name}, true, to {reach:.0f} mm", "predicted", f"error, to {worst:.0f} mm"]
    return drawing.row(pictures, titles)


def _dots(true: Floats, predicted: Floats) -> Image.Image:
    picture = Image.new("RGB", (_MATRIX, _MATRIX), (24, 26, 30))
    pen = ImageDraw.Draw(picture)
    values = np.concatenate([true, predicted])
    low, high = float(values.min()), float(values.max())
    span = max(high - low, 1e-6)
    pen.line([0, _MATRIX, _MATRIX, 0], drawing.TRUE, 1)
    for a, b in zip(true, predicted, strict=True):
        x = (a - low) / span * (_MATRIX - 1)
        y = (high - b) / span * (_MATRIX - 1)
        pen.ellipse([x - 2, y - 2, x + 2, y + 2], outline=drawing.PREDICTED)
    return picture


class _Placed:
    """World points on a picture of a plane of the scan."""

    def __init__(self, scan: Scan, y: int, x: int, zoom: float, height: int) -> None:
        self._volume, self._y, self._x = scan.volume, y, x
        self._zoom, self._height = zoom, height

    def __call__(self, world: Floats) -> Floats:
        volume = self._volume
        index = np.asarray(world) @ volume.to_index[:3, :3].T + volume.to_index[:3, 3]
        mm = index * volume.spacing + volume.spacing / 2
        placed: Floats = np.stack(
            [mm[..., self._x] * self._zoom, self._height - mm[..., self._y] * self._zoom], axis=-1
        )
        return placed


def _plane(scan: Scan, y: int, x: int, world: Floats) -> tuple[Image.Image, _Placed]:
    """The plane of the scan through a point, and where world points are on it."""
    volume = scan.volume
    hidden = 3 - x - y
    depth = (volume.to_index[:3, :3] @ world + volume.to_index[:3, 3])[hidden]
    at = int(np.clip(round(float(depth)), 0, volume.shape[hidden] - 1))
    plane = np.take(volume.data, at, axis=hidden).astype(np.float64)
    values = (plane * volume.slope + volume.intercept - scan.low) / (scan.high - scan.low)
    extent = np.array(volume.shape) * volume.spacing
    zoom = _LONGEST / float(extent.max())
    size = max(8, round(extent[x] * zoom)), max(8, round(extent[y] * zoom))
    # Rows rise with their axis: superior and anterior are up.
    picture = drawing.grey(values[::-1] * 0.75, size)
    return picture, _Placed(scan, y, x, zoom, size[1])


def _path(pen: ImageDraw.ImageDraw, points: Floats, color: drawing.Color) -> None:
    for start, end in pairwise(points):
        drawing.arrow(pen, list(start), list(end), color)


def _broken(pen: ImageDraw.ImageDraw, points: Floats, color: drawing.Color) -> None:
    for start, end in pairwise(points):
        count = max(2, int(np.linalg.norm(end - start) / 6))
        dashes = start + np.linspace(0, 1, 2 * count)[:, None] * (end - start)
        for a, b in zip(dashes[::2], dashes[1::2], strict=True):
            pen.line([*a, *b], color, 2)
        pen.ellipse([*(end - 3), *(end + 3)], outline=color)
