"""The figures of a report on VectorPOSE: arrows over the scan, sweeps, restored crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_mrissl.evaluation import drawing
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.vectorpose.views import CropView, RestorationView, Sweep
from napari_mrissl.volumes import Volume

EDGES: tuple[tuple[int, int], ...] = (
    (1, 5), (1, 7), (1, 4), (2, 3), (2, 6), (2, 8), (3, 5), (3, 7), (4, 6), (4, 8), (5, 8), (6, 7),
)  # fmt: skip
"""Pairs of the nine points that an edge of the box joins; point 0 is the centre."""

_LONGEST = 260
# Title, rows and columns of each projection among the axes (S, A, R).
_PROJECTIONS = (("along S", 1, 2), ("along A", 0, 2), ("along R", 0, 1))


def to_frame(volume: Volume, world: NDArray[np.float64]) -> NDArray[np.float64]:
    """World points (..., 3) as mm along the scan's own axes (S, A, R)."""
    index = np.asarray(world) @ volume.to_index[:3, :3].T + volume.to_index[:3, 3]
    placed: NDArray[np.float64] = index * volume.spacing
    return placed


def arrows(scan: Scan, view: CropView) -> Image.Image:
    """A crop's arrows and boxes, true green and predicted magenta, along each axis of the scan."""
    volume = scan.volume
    pictures = [_projection(scan, view, y, x) for _, y, x in _PROJECTIONS]
    reading = view.reading
    turned = "right" if reading.orientation_right else "wrong"
    titles = [title for title, _, _ in _PROJECTIONS]
    said = (
        f"position off by {reading.position_error_mm:.1f} mm, "
        f"scale x{reading.scale_ratio:.2f}, orientation {turned}"
    )
    titles[0] += f"   {volume.shape[0]} x {volume.shape[1]} x {volume.shape[2]}"
    picture = drawing.row(pictures, titles)
    caption = Image.new("RGB", (picture.width, 18), (24, 26, 30))
    ImageDraw.Draw(caption).text((8, 3), said, (235, 235, 235))
    return drawing.column([picture, caption])


def _projection(scan: Scan, view: CropView, y: int, x: int) -> Image.Image:
    volume, record = scan.volume, view.record
    hidden = 3 - x - y
    at = int(np.clip(round(record.center_mm[hidden] / volume.spacing[hidden]), 0,
                     volume.shape[hidden] - 1))  # fmt: skip
    plane = np.take(volume.data, at, axis=hidden).astype(np.float64)
    values = (plane * volume.slope + volume.intercept - scan.low) / (scan.high - scan.low)
    extent = np.array(volume.shape) * volume.spacing
    zoom = _LONGEST / float(extent.max())
    size = max(8, round(extent[x] * zoom)), max(8, round(extent[y] * zoom))
    # Rows rise with their axis: superior and anterior are up.
    picture = drawing.grey(values[::-1] * 0.75, size)
    pen = ImageDraw.Draw(picture)

    def place(world: NDArray[np.float64]) -> NDArray[np.float64]:
        mm = to_frame(volume, world) + volume.spacing / 2
        return np.stack([mm[..., x] * zoom, size[1] - mm[..., y] * zoom], axis=-1)

    pen.line([tuple(point) for point in place(view.axis)], drawing.AXIS, 2)
    for points, color in ((view.points, drawing.TRUE), (view.fitted, drawing.PREDICTED)):
        seen = place(points)
        for a, b in EDGES:
            pen.line([*seen[a], *seen[b]], color, 1)
    for vectors, color in ((view.true, drawing.TRUE), (view.predicted, drawing.PREDICTED)):
        for start, end in zip(place(view.points), place(view.points + vectors), strict=True):
            drawing.arrow(pen, list(start), list(end), color)
    return picture


def sweep(curves: Sweep) -> Image.Image:
    """Centre vector and position error while a crop slides through the scan."""
    pictures = [
        drawing.plot(
            curves.positions_mm,
            {
                "true": (curves.true[:, number], drawing.TRUE),
                "predicted": (curves.predicted[:, number], drawing.PREDICTED),
            },
            f"{name}, along {curves.direction}",
            (-1.0, 1.0) if name == "phi" else (0.0, 1.0),
        )
        for number, name in enumerate(("r", "theta", "phi"))
    ]
    pictures.append(
        drawing.plot(
            curves.positions_mm,
            {"": (curves.position_errors_mm, drawing.PREDICTED)},
            "position error, mm",
        )
    )
    return drawing.row(pictures, ["", "", "", ""])


def strip(restored: RestorationView) -> Image.Image:
    """Middle slices of a crop: spoiled, restored, its error and its boundaries."""
    maps: dict[str, NDArray[np.floating]] = {
        "original": restored.original,
        "corrupted": restored.corrupted,
        "painted": restored.painted.astype(np.float32),
        "restored": restored.restored,
        "error": restored.error,
        "boundary, true": restored.boundary(),
    }
    if restored.predicted_boundary is not None:
        maps["boundary, predicted"] = restored.predicted_boundary
    middle = restored.record.side // 2
    return drawing.row([drawing.grey(one[middle][::-1], (128, 128)) for one in maps.values()],
                       list(maps))  # fmt: skip
