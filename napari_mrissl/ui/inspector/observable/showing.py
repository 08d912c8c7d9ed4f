"""What each tab of the panel shows, and what is drawn in the viewer for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.observable.observations import GapMatrix, ViewPair
from napari_mrissl.pretext.observable.routes import routes
from napari_mrissl.pretext.observable.views import Views
from napari_mrissl.ui.inspector.observable import boxes, hints
from napari_mrissl.ui.inspector.observable.planes import Block
from napari_mrissl.ui.inspector.observable.work import RowsSeen, ViewsSeen
from napari_mrissl.ui.navigator.anatomy import mirrored
from napari_mrissl.ui.navigator.units import position_of

if TYPE_CHECKING:
    from napari_mrissl.ui.inspector.observable.panel import ObservablePanel

Floats = NDArray[np.float64]

MATRIX, SLICES, LAYOUT, ROUTES, CHUNKS, CHECK = range(6)
"""The tabs."""

_HEADS = {"gaps": "gap head", "vectors": "vector head"}
_MARGIN = 0.35
# Of axes (R, A, S): what runs to the right and up in a slice that is cut along each.
_IN_SLICE = ((1, 2), (0, 2), (0, 1))


def matrix_of(panel: ObservablePanel, seen: ViewsSeen | RowsSeen) -> GapMatrix:
    """Of the chosen head, or of the gap head where vectors were not learned."""
    return seen.matrices.get(panel.matrix_tab.chosen_head, seen.matrices["gaps"])


def head_of(panel: ObservablePanel, seen: ViewsSeen | RowsSeen) -> str:
    """The head whose matrix `matrix_of` gives."""
    chosen = panel.matrix_tab.chosen_head
    return chosen if chosen in seen.matrices else "gaps"


def cell_of(panel: ObservablePanel, seen: ViewsSeen) -> tuple[int, int]:
    """The chosen cell; while others are being looked at, of the views that are shown."""
    return seen.choice.at(*panel.choice.cell).cell


def show_views(panel: ObservablePanel) -> None:
    """All tabs that need nothing but the matrices."""
    seen, loaded = panel.seen, panel.loaded
    if seen is None or loaded is None:
        return
    matrix, head = matrix_of(panel, seen), head_of(panel, seen)
    words, said = _HEADS[head], hints.view_hints(seen, head, loaded)
    found = matrix.consistency
    panel.matrix_tab.facts.setText(
        f"By the {words}: lengths off by {found.mae_mm['norm']:.1f} mm (best constant "
        f"{found.chance_mae_mm['norm']:.1f} mm), rank correlation {found.spearman['norm']:.2f} "
        "(chance 0)."
    )
    panel.matrix_tab.hints.setText("\n".join(f"• {hint}" for hint in said))
    panel.layout_tab.show_layout(matrix, matrix.layout(panel.layout_tab.chosen), words)
    panel.check_tab.show_matrix(matrix, words, said)
    show_cell(panel)


def show_routes(panel: ObservablePanel) -> None:
    """The routes over the views, by the vector head."""
    seen = panel.seen
    if seen is None:
        return
    if "vectors" not in seen.matrices:
        panel.routes_tab.clear(hints.NO_VECTORS)
        return
    matrix = seen.matrices["vectors"]
    order = routes(len(matrix))
    # A route that leads nowhere misses by the gap from its first to its last view.
    nowhere = matrix.channel("norm")[0][order[:, 0], order[:, -1]].mean()
    panel.routes_tab.show_routes(matrix.walks(order), float(nowhere))


def show_cell(panel: ObservablePanel) -> None:
    """The chosen cell in the matrices, in words and in slices."""
    seen = panel.seen
    if seen is None:
        return
    matrix, (i, j) = matrix_of(panel, seen), cell_of(panel, seen)
    panel.matrix_tab.show_matrix(matrix, (i, j))
    panel.matrix_tab.show_pair(matrix.pair(i, j))
    first, second = (
        block(f"view {number}", seen.images[number], seen.views, seen.views.centers_world[number])
        for number in (i, j)
    )
    panel.matrix_tab.pictures.present(first, second, flipped=panel.flipped)


def show_chunk_cell(panel: ObservablePanel) -> None:
    """The two chosen chunks in slices."""
    tab, seen = panel.chunks_tab, panel.seen
    chosen = tab.chosen
    if chosen is None or seen is None or tab.seen is None:
        return
    names = (f"i: view {chosen.view.i}", f"j: view {chosen.view.j}")
    first, second = (
        block(
            f"{names[which % 2]}, {'facing' if which < 2 else 'far side'}",
            chosen.images[which],
            seen.views,
            chosen.view.corners_world[which].mean(axis=0),
            tab.seen.edges_mm,
        )
        for which in tab.cell
    )
    tab.pictures.present(first, second, flipped=panel.flipped)


def pair_of(panel: ObservablePanel) -> ViewPair | None:
    """The two views that the tab in front is about; None where it is about more, or none."""
    seen, tab = panel.seen, panel.tabs.currentIndex()
    if seen is None:
        return None
    if tab == SLICES:
        rows, cell = panel.rows_shown, panel.slices_tab.cell
        return None if rows is None or cell is None else matrix_of(panel, rows).pair(*cell)
    return matrix_of(panel, seen).pair(*cell_of(panel, seen)) if tab in (MATRIX, CHECK) else None


def drawing(panel: ObservablePanel) -> boxes.Drawing:
    """What the tab in front has drawn in the viewer."""
    seen, tab = panel.seen, panel.tabs.currentIndex()
    if seen is None:
        return {}
    pair = pair_of(panel)
    if pair is not None:
        return boxes.pair(pair)
    corners = seen.views.corners_world
    if tab == LAYOUT and panel.layout_tab.found is not None:
        matrix = matrix_of(panel, seen)
        ghosts = matrix.ghosts_world(panel.layout_tab.found)
        return boxes.layout(matrix, ghosts, cell_of(panel, seen)[1])
    if tab == ROUTES and panel.routes_tab.chosen is not None:
        return boxes.route(panel.routes_tab.chosen, corners, panel.routes_tab.steps)
    if tab == CHUNKS:
        one = panel.chunks_tab.chosen
        if one is None:
            return {}
        both = corners[[one.view.i, one.view.j]]
        return boxes.chunk_boxes(one.view, panel.chunks_tab.cell, both)
    return {}


def draw(panel: ObservablePanel, *, frame: bool = False) -> None:
    """Draw for the tab in front; framed, the main view is brought there."""
    layer = panel.layer
    if layer is None or layer not in panel.viewer.layers:
        panel.layers.clear()
        return
    found = drawing(panel)
    panel.layers.draw(found, layer, tuple(found))
    if frame and found and panel.matrix_tab.camera.isChecked():
        _frame(panel, found)


def _frame(panel: ObservablePanel, found: boxes.Drawing) -> None:
    """Bring the main view to the middle of what was chosen, and zoom to it."""
    viewer, pair = panel.viewer, pair_of(panel)
    # The chosen boxes are looked at, not all that is drawn: a bad prediction leads anywhere.
    wanted = {boxes.CHOSEN} if pair is None else {boxes.VIEW_I, boxes.VIEW_J}
    names = [name for name in found if name in wanted] or list(found)
    if pair is None:
        ends = np.concatenate([found[name] for name in names])
        ends = np.concatenate([ends[:, 0], ends.sum(axis=1)])
        middle = (ends.min(axis=0) + ends.max(axis=0)) / 2
    else:
        middle = pair.midpoint_world
    dims = viewer.dims
    if dims.ndim >= 3:
        dims.set_point(range(dims.ndim - 3, dims.ndim), position_of(viewer, middle))
    drawn = [panel.layers.layers[name] for name in names]
    viewer.fit_to_view(layers=[one for one in drawn if one in viewer.layers], margin=_MARGIN)


def block(
    name: str,
    image: NDArray[np.float32],
    views: Views,
    center_world: Floats,
    edges_mm: Floats | None = None,
) -> Block:
    """A view, or a part of one, as what is cut into slices."""
    edges = views.edges_mm if edges_mm is None else edges_mm
    return Block(name, image, center_world, edges, views.vectors_to_world(np.eye(3)))


def slice_pose(views: Views, axis: int, number: int, *, flipped: bool) -> Pose:
    """The plane through the middle of a view of a row, across the axis of the row, whole."""
    directions = views.vectors_to_world(np.eye(3))
    across, upwards = _IN_SLICE[axis]
    right = directions[across] / np.linalg.norm(directions[across])
    # Scans may be sheared.
    up = directions[upwards] - directions[upwards] @ right * right
    up /= np.linalg.norm(up)
    extent = (np.array(views.shape)[::-1] * views.spacing_mm)[[across, upwards]]
    rotation = np.stack([right, up, np.cross(right, up)], axis=1)
    pose = Pose(views.centers_world[number], rotation, float(extent.max()))
    return mirrored(pose) if flipped else pose
