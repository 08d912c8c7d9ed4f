"""What is drawn in the viewer: boxes of views and chunks, gaps as arrows, routes as lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext.observable.observations import ChunkView, GapMatrix, RouteView, ViewPair
from napari_mrissl.ui.inspector.drawn import Kind, lines

Floats = NDArray[np.float64]
Drawing = dict[str, Floats]
"""Vectors (N, 2, 3) in world RAS mm, by the names of their layers."""

VIEW_I, VIEW_J = "view i", "view j"
TRUE_GAP, PREDICTED_GAP = "true gap", "predicted gap"
TRUE_VIEWS, PREDICTED_VIEWS, SHIFTS = "true views", "predicted views", "shifts of views"
TRUE_ROUTE, PREDICTED_ROUTE = "true route", "predicted route"
VISITED = "views of route"
ADJACENT, DISTANT, CHOSEN = "adjacent chunks", "distant chunks", "chosen boxes"

COLORS = {
    VIEW_I: "#ff922b",
    VIEW_J: "#4dabf7",
    TRUE_GAP: "#3dc75c",
    PREDICTED_GAP: "#eb4ad1",
    TRUE_VIEWS: "#3dc75c",
    PREDICTED_VIEWS: "#eb4ad1",
    SHIFTS: "#f5cc40",
    VISITED: "#adb5bd",
    TRUE_ROUTE: "#3dc75c",
    PREDICTED_ROUTE: "#eb4ad1",
    ADJACENT: "#22d3ee",
    DISTANT: "#e879f9",
    CHOSEN: "#fa5252",
}
_ARROWS = {TRUE_GAP, PREDICTED_GAP}
_WIDTHS = {TRUE_GAP: 2.0, PREDICTED_GAP: 2.0, TRUE_ROUTE: 1.6, PREDICTED_ROUTE: 1.6, CHOSEN: 1.8}
_BOX_WIDTH = 0.9


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[n : n + 2], 16) / 255 for n in (1, 3, 5))
    return red, green, blue


KINDS = tuple(
    Kind(name, _rgb(color), "arrow" if name in _ARROWS else "line", _WIDTHS.get(name, _BOX_WIDTH))
    for name, color in COLORS.items()
)
"""Of all layers; they come into the viewer when they are first drawn."""

EDGES = tuple((a, b) for b in range(8) for a in range(b) if (a ^ b) in (1, 2, 4))
"""Pairs of corners of a box, in the order of `Views.corners_world`, that an edge joins."""

_DASH_MM = 3.0
_LEAST_MM = 1e-3
_SMALLER = 0.92


def box(corners: Floats) -> Floats:
    """(12, 2, 3) edges of a box of corners (8, 3)."""
    return lines(corners, EDGES)


def boxes(corners: Floats) -> Floats:
    """(12 N, 2, 3) edges of boxes (N, 8, 3)."""
    return np.concatenate([box(one) for one in corners])


def pair(one: ViewPair) -> Drawing:
    """Both views, and the gap between them as it is and as it is predicted."""
    start = one.centers_world[0]
    drawing = {
        VIEW_I: box(one.corners_world[0]),
        VIEW_J: box(one.corners_world[1]),
        TRUE_GAP: np.array([[start, one.true_world]]),
        PREDICTED_GAP: np.array([[start, one.predicted_world]]),
    }
    # Of a view and itself there is one box and no way; an arrow without length has no direction.
    if one.i == one.j:
        del drawing[VIEW_J]
    for name in (TRUE_GAP, PREDICTED_GAP):
        if np.linalg.norm(drawing[name][0, 1]) < _LEAST_MM:
            del drawing[name]
    return drawing


def layout(matrix: GapMatrix, ghosts: Floats, chosen: int) -> Drawing:
    """The views where they are, and boxes (V, 8, 3) where the network has them; one is chosen."""
    true = matrix.views.corners_world
    away = np.stack([true.mean(axis=1), ghosts.mean(axis=1) - true.mean(axis=1)], axis=1)
    return {
        TRUE_VIEWS: boxes(true),
        PREDICTED_VIEWS: boxes(ghosts),
        SHIFTS: away,
        CHOSEN: box(true[chosen]),
    }


def route(one: RouteView, corners: Floats, steps: int) -> Drawing:
    """A route after so many steps, its views (V, 8, 3) as boxes; the predicted one is dashed."""
    true, predicted = one.steps_world(steps)
    drawing = {VISITED: boxes(corners)}
    if steps:
        drawing |= {TRUE_ROUTE: path(true), PREDICTED_ROUTE: dashed(predicted)}
    return drawing


def chunk_boxes(one: ChunkView, chosen: Sequence[int], views: Floats) -> Drawing:
    """Four chunks, some of which are chosen, within their two views (2, 8, 3)."""
    drawing = {
        VIEW_I: box(views[0]),
        VIEW_J: box(views[1]),
        ADJACENT: boxes(one.corners_world[:2]),
        DISTANT: boxes(one.corners_world[2:]),
    }
    if chosen:
        corners = one.corners_world[sorted(set(chosen))]
        middles = corners.mean(axis=1, keepdims=True)
        # A little smaller, so that the colour of the chunk itself stays in sight.
        drawing[CHOSEN] = boxes(middles + _SMALLER * (corners - middles))
    return drawing


def path(points: Floats) -> Floats:
    """(N - 1, 2, 3) lines from point to point."""
    return lines(points, tuple(pairwise(range(len(points)))))


def dashed(points: Floats, dash_mm: float = _DASH_MM) -> Floats:
    """(M, 2, 3) dashes along a path (N, 3), with gaps as long as they are."""
    found = []
    for start, end in pairwise(points):
        count = max(1, round(float(np.linalg.norm(end - start)) / (2 * dash_mm)))
        way = (end - start) / count
        found += [[start + number * way, way / 2] for number in range(count)]
    return np.array(found).reshape(-1, 2, 3)
