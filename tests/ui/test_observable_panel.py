"""The Inspector's panel of the observable tasks, with real widgets and random weights."""

import itertools
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from scipy.stats import spearmanr

from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.observable import boxes, planes
from napari_mrissl.ui.inspector.observable.choice import Choice
from napari_mrissl.ui.inspector.observable.panel import (
    CHECK,
    CHUNKS,
    LAYOUT,
    MATRIX,
    ROUTES,
    SLICES,
)
from napari_mrissl.ui.inspector.observable.planes import Block
from napari_mrissl.ui.layers import add_volume
from tests.observed import (
    EDGE_MM,
    assert_same_points,
    corners_by_hand,
    corners_of,
    drawn,
    observable_run,
    turned,
)

pytestmark = pytest.mark.gui

CENTER = np.array([11.0, -7.0, 23.0])
SECONDS = 60_000
FIRST = Choice(4, 0, False, (0, 1))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("observed")
    return {
        "edge": observable_run(folder / "edge", vector_head="edge"),
        "potential": observable_run(folder / "potential", grad_views="all"),
        "gaps": observable_run(folder / "gaps", vectors=False, routes=False, chunks=False),
    }


@pytest.fixture(scope="module")
def scan(make_geometry, marker_volume):
    """Oblique, permuted and anisotropic: 0.5 x 0.7 x 5 mm."""
    return marker_volume(make_geometry((1, 2, 0), (-1, 1, 1), "anisotropic", 17.0))


def settle(inspector, qtbot):
    qtbot.waitUntil(lambda: not inspector.busy, timeout=SECONDS)


@pytest.fixture(scope="module")
def opened(qapp, scan, runs):
    """Loaded once, on a viewer without a window, for all tests that leave scan and run alone."""
    viewer = ViewerModel()
    add_volume(viewer, scan)
    inspector = Inspector(viewer)
    inspector.resize(430, 660)
    inspector.show()
    inspector.load(runs["edge"])
    until = time.monotonic() + 120
    while (inspector.busy or inspector.panel is None) and time.monotonic() < until:
        qapp.processEvents()
        time.sleep(0.005)
    assert inspector.status.message.text() == ""
    yield inspector
    inspector.shut_down()
    inspector.close()
    inspector.deleteLater()


@pytest.fixture
def loaded(opened, qtbot):
    """With four views, the first cell, and nothing to be taken back."""
    panel = opened.panel
    opened._viewer.dims.ndisplay = 3
    state = {"choice": FIRST.plain(), "tab": MATRIX, "channel": 0, "head": 0, "source": 0,
             "axis": 2, "slices": 6, "camera": True}  # fmt: skip
    assert panel.take_state(state) == []
    settle(opened, qtbot)
    assert panel.seen.choice.views == FIRST.views
    return opened


@pytest.fixture
def panel(loaded):
    return loaded.panel


def front(loaded, qtbot, tab):
    loaded.panel.tabs.setCurrentIndex(tab)
    settle(loaded, qtbot)


def check_pair(panel, degrees):
    """The boxes and arrows of the chosen cell, by the scan's affine alone."""
    turn, (i, j) = turned(degrees), panel.choice.cell
    centers = CENTER + panel.seen.views.centers_mm @ turn.T
    for name, number in ((boxes.VIEW_I, i), (boxes.VIEW_J, j)):
        assert len(drawn(panel, name)) == 12
        assert_same_points(
            corners_of(drawn(panel, name)), corners_by_hand(centers[number], EDGE_MM, turn)
        )
    start, way = drawn(panel, boxes.TRUE_GAP)[0]
    np.testing.assert_allclose(start, centers[i], atol=1e-3)
    np.testing.assert_allclose(start + way, centers[j], atol=1e-3)
    start, way = drawn(panel, boxes.PREDICTED_GAP)[0]
    np.testing.assert_allclose(start, centers[i], atol=1e-3)
    predicted = panel.seen.matrices["gaps"].predicted_mm[i, j]
    np.testing.assert_allclose(way, turn @ predicted, atol=1e-3)


def test_boxes_and_arrows_are_where_the_affine_says(panel, loaded, qtbot):
    check_pair(panel, 17.0)
    panel.choose(FIRST.at(3, 2))
    settle(loaded, qtbot)
    check_pair(panel, 17.0)
    # The camera frames both: their middle is where the main view is.
    middle = (CENTER + panel.seen.views.centers_mm[[2, 3]] @ turned(17.0).T)[:, ::-1]
    drawn_there = np.array(loaded._viewer.scene.camera.center)
    assert np.abs(drawn_there - middle.mean(axis=0)).max() < EDGE_MM + 10
    there = np.array(loaded._viewer.dims.point)
    steps = np.array([one.step for one in loaded._viewer.dims.range])
    ends = np.concatenate([drawn(panel, name) for name in (boxes.VIEW_I, boxes.VIEW_J)])
    ends = np.concatenate([ends[:, 0], ends.sum(axis=1)])
    low, high = ends.min(axis=0)[::-1], ends.max(axis=0)[::-1]
    assert ((there > low - 20 - steps) & (there < high + 20 + steps)).all()


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_bad_prediction_does_not_pull_the_main_view_off_the_pair(panel, loaded, ndisplay):
    viewer = loaded._viewer
    viewer.dims.ndisplay = ndisplay
    matrix = panel.seen.matrices["gaps"]
    kept = matrix.predicted_mm[1, 2].copy()
    try:
        matrix.predicted_mm[1, 2] = (300.0, -400.0, 500.0)
        panel.choose(FIRST.at(1, 2))
    finally:
        matrix.predicted_mm[1, 2] = kept
    assert np.linalg.norm(drawn(panel, boxes.PREDICTED_GAP)[0, 1]) > 300
    centers = CENTER + panel.seen.views.centers_mm[[1, 2]] @ turned(17.0).T
    middle = centers.mean(axis=0)[::-1]
    steps = np.array([one.step for one in viewer.dims.range])
    assert (np.abs(np.array(viewer.dims.point) - middle) <= 0.51 * steps).all()
    camera = np.array(viewer.scene.camera.center)[-ndisplay:]
    assert np.abs(camera - middle[-ndisplay:]).max() < 3


def test_the_matrix_is_shown_hovered_and_walked(panel, loaded, qtbot):
    tab, matrix = panel.matrix_tab, panel.seen.matrices["gaps"]
    true, predicted = matrix.true_mm, matrix.predicted_mm
    assert np.linalg.norm(predicted, axis=-1).max() > 0.1
    np.testing.assert_allclose(tab.maps[0].values, np.linalg.norm(true, axis=-1))
    np.testing.assert_allclose(tab.maps[1].values, np.linalg.norm(predicted, axis=-1))
    np.testing.assert_allclose(tab.maps[2].values, tab.maps[1].values - tab.maps[0].values)
    # True and predicted share their scale, until each is to have its own.
    assert tab.maps[0].limits == tab.maps[1].limits
    tab.together.setChecked(False)
    assert tab.maps[1].limits[1] == pytest.approx(tab.maps[1].values.max())
    tab.together.setChecked(True)
    tab.channel.setCurrentText("along A")
    np.testing.assert_allclose(tab.maps[0].values, true[..., 1])
    low, high = tab.maps[0].limits
    assert low == -high
    place = tab.maps[1].rect_of(2, 3).center().toPoint()
    qtbot.mouseMove(tab.maps[1], place)
    tab.maps[1].hovered.emit(2, 3)
    said = tab.hover.text()
    assert f"true {true[2, 3, 1]:.1f} mm" in said
    assert f"predicted {predicted[2, 3, 1]:.1f} mm" in said
    qtbot.mouseClick(tab.maps[1], Qt.MouseButton.LeftButton, pos=place)
    assert panel.choice.cell == (2, 3)
    assert [one.cell for one in tab.maps] == [(2, 3)] * 3
    check_pair(panel, 17.0)
    for key, cell in (
        (Qt.Key.Key_Up, (1, 3)), (Qt.Key.Key_Right, (1, 3)), (Qt.Key.Key_Left, (1, 2)),
        (Qt.Key.Key_T, (2, 1)), (Qt.Key.Key_Down, (3, 1)),
    ):  # fmt: skip
        qtbot.keyClick(tab.maps[1], key)
        assert panel.choice.cell == cell
    tab.back.click()
    assert panel.choice.cell == (2, 1)
    tab.forward.click()
    assert panel.choice.cell == (3, 1)
    off = np.linalg.norm(predicted[3, 1] - true[3, 1])
    assert f"off by {off:.0f} mm" in tab.pair.text()
    # A view and itself: one box, no way.
    panel.choose(panel.choice.at(1, 1))
    assert len(panel.layers.layers[boxes.VIEW_J].data) == 0
    assert len(panel.layers.layers[boxes.TRUE_GAP].data) == 0


def test_other_views_more_of_them_and_back(panel, loaded, qtbot):
    tab, before = panel.matrix_tab, panel.seen.views.centers_mm
    assert not tab.back.isEnabled()
    tab.new.click()
    settle(loaded, qtbot)
    assert np.abs(panel.seen.views.centers_mm - before).max() > 1
    panel.choose(panel.choice.at(3, 3))
    tab.count.setValue(3)
    settle(loaded, qtbot)
    assert tab.maps[0].values.shape == (3, 3)
    assert panel.choice.cell == (2, 2)
    tab.lagging.setChecked(True)
    settle(loaded, qtbot)
    assert panel.seen.choice.lagging
    while tab.back.isEnabled():
        tab.back.click()
    settle(loaded, qtbot)
    assert panel.choice == FIRST
    np.testing.assert_array_equal(panel.seen.views.centers_mm, before)
    assert not tab.lagging.isChecked()


def test_slices_of_the_pair_are_linked_with_the_main_view(panel, loaded):
    pictures, viewer = panel.matrix_tab.pictures, loaded._viewer
    turn = turned(17.0)
    centers = CENTER + panel.seen.views.centers_mm @ turn.T
    steps = np.array([one.step for one in viewer.dims.range])
    for number, one in enumerate(pictures.pictures):
        assert one.caption == f"view {number}"
        pictures.plane.setCurrentIndex(0)
        one.clicked.emit(0.25, 0.9)
        # A quarter down and right of the middle, as a neurological reader sees axial slices.
        offset = np.array([0.4 * EDGE_MM, 0.25 * EDGE_MM, 0.0])
        offset[2] = pictures.depth.value() / 100 * EDGE_MM / 2
        wanted = centers[number] + turn @ offset
        there = np.array(viewer.dims.point)
        assert (np.abs(there - wanted[::-1]) <= 0.51 * steps).all()
    # The main view steps through the slices.
    wanted = centers[1] + turn @ np.array([0.0, 0.0, 0.25 * EDGE_MM])
    viewer.dims.set_point(range(3), wanted[::-1])
    within = turn.T @ (np.array(viewer.dims.point)[::-1] - centers[1])
    assert pictures.depth.value() == pytest.approx(200 * within[2] / EDGE_MM, abs=1)
    assert pictures.pictures[1].mark is not None
    # And they move the main view.
    pictures.depth.setValue(-50)
    within = turn.T @ (np.array(viewer.dims.point)[::-1] - centers[1])
    assert within[2] == pytest.approx(-0.25 * EDGE_MM, abs=np.linalg.norm(steps) / 2)
    world = pictures.blocks[0].world(np.array([2.0, -3.0, 1.0]))
    np.testing.assert_allclose(world, centers[0] + turn @ (2, -3, 1), atol=1e-6)
    letters = pictures.pictures[0].sides
    assert (letters.top[0], letters.right[0]) == ("A", "R")
    panel.slice_state.set_convention("radiological")
    assert pictures.pictures[0].sides.right[0] == "L"
    panel.slice_state.set_convention("neurological")


def phantom(world):
    """Grey values of the phantom at world points (..., 3), as it was made."""
    away = np.asarray(world) - CENTER
    values = np.where(np.linalg.norm(away, axis=-1) < 26, 40.0, 0.0)
    for value, offset in ((250, (-15, 0, 0)), (170, (0, 15, 0)), (110, (0, 0, 15))):
        values[np.linalg.norm(away - offset, axis=-1) < 7] = value
    return values


def test_slices_show_what_is_there(panel):
    """Pixel by pixel, from the place that a click on it means."""
    wanted, found = [], []
    for number, center in enumerate(CENTER + panel.seen.views.centers_mm @ turned(17.0).T):
        block = Block("", panel.seen.images[number], center, np.full(3, EDGE_MM), turned(17.0).T)
        for plane in planes.AXES:
            seen = planes.picture(block, plane, 2.0)
            for y, x in itertools.product(range(4, 160, 12), repeat=2):
                place = ((y + 0.5) / 160, (x + 0.5) / 160)
                offset = planes.offset_at(block, plane, 2.0, place)
                assert planes.place_of(block, plane, offset) == pytest.approx(place)
                wanted.append(phantom(block.world(offset)))
                found.append(seen[y, x])
    # Edges are blurred by voxels of 5 mm.
    assert np.ptp(wanted) > 50
    assert np.corrcoef(wanted, found)[0, 1] > 0.8


def test_the_slices_are_a_matrix_whose_cells_are_flown_to(panel, loaded, qtbot):
    front(loaded, qtbot, SLICES)
    tab, rows = panel.slices_tab, panel.rows_shown
    assert rows.matrices["gaps"].predicted_mm.shape == (6, 6, 3)
    centers = rows.views.centers_mm
    np.testing.assert_allclose(np.diff(centers[:, 2]), np.diff(centers[:, 2])[0])
    np.testing.assert_allclose(tab.map.values, rows.matrices["gaps"].predicted_mm[..., 2])
    tab.kind.setCurrentText("true")
    np.testing.assert_allclose(tab.map.values, centers[None, :, 2] - centers[:, None, 2])
    assert tab.map.values[0, 5] > 0
    turn = turned(17.0)

    def there(number):
        pose = panel.slice_state.pose
        wanted = CENTER + turn @ centers[number]
        return np.linalg.norm(pose.center - wanted) < 1e-3 and np.allclose(pose.rotation, turn)

    place = tab.map.rect_of(1, 4).center().toPoint()
    qtbot.mouseClick(tab.map, Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: there(1), timeout=SECONDS)
    qtbot.mouseClick(tab.map, Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: there(4), timeout=SECONDS)
    tab.to_first.click()
    qtbot.waitUntil(lambda: there(1), timeout=SECONDS)
    panel.slice_state.undo()
    assert there(4)
    assert_same_points(
        corners_of(drawn(panel, boxes.VIEW_J)),
        corners_by_hand(CENTER + turn @ centers[4], EDGE_MM, turn),
    )
    # A second look asks the network nothing.
    front(loaded, qtbot, MATRIX)
    panel.tabs.setCurrentIndex(SLICES)
    assert not loaded.busy
    assert panel.rows_shown is rows
    tab.axis.setCurrentIndex(0)
    settle(loaded, qtbot)
    assert np.ptp(panel.rows_shown.views.centers_mm[:, 0]) > 30
    tab.to_second.click()
    qtbot.waitUntil(lambda: np.allclose(panel.slice_state.pose.normal, turn[:, 0]), timeout=SECONDS)


def test_the_layout_draws_ghosts_beside_the_views(panel, loaded, qtbot):
    front(loaded, qtbot, LAYOUT)
    tab, turn = panel.layout_tab, turned(17.0)
    true = panel.seen.views.centers_mm
    predicted = panel.seen.matrices["gaps"].predicted_mm
    # Of differences of places least squares give the places, but for one shift.
    places = predicted[0] - predicted[0].mean(axis=0) + true.mean(axis=0)
    start, way = np.moveaxis(drawn(panel, boxes.SHIFTS), 1, 0)
    np.testing.assert_allclose(start, CENTER + true @ turn.T, atol=1e-3)
    np.testing.assert_allclose(start + way, CENTER + places @ turn.T, atol=1e-2)
    ghosts = drawn(panel, boxes.PREDICTED_VIEWS).reshape(4, 12, 2, 3)
    for place, ghost in zip(places, ghosts, strict=True):
        assert_same_points(corners_of(ghost), corners_by_hand(CENTER + turn @ place, EDGE_MM, turn))
    error = np.sqrt(np.mean(np.sum((places - true) ** 2, axis=1)))
    assert f"off by {error:.1f} mm" in tab.facts.text()
    assert "Stress 0 by construction" in tab.facts.text()
    assert tab.table.item(2, 3).text() == f"{np.linalg.norm(places[2] - true[2]):.1f}"
    tab.table.selectRow(2)
    assert panel.choice.cell[1] == 2
    assert_same_points(
        corners_of(drawn(panel, boxes.CHOSEN)),
        corners_by_hand(CENTER + turn @ true[2], EDGE_MM, turn),
    )
    tab.source.setCurrentIndex(1)
    assert tab.found.source == "norm"
    assert "mirrored" in tab.facts.text()
    # Four places that may be turned come nearer to the true ones than one point does.
    assert tab.found.chance_mm < np.sqrt(np.mean(np.sum((true - true.mean(axis=0)) ** 2, axis=1)))
    assert f"dealt out at random, or all in one point: {tab.found.chance_mm:.1f} mm" in (
        tab.facts.text()
    )


def test_routes_are_walked_by_the_predicted_vectors(panel, loaded, qtbot):
    front(loaded, qtbot, ROUTES)
    tab, turn = panel.routes_tab, turned(17.0)
    vectors = panel.seen.matrices["vectors"].predicted_mm
    true = panel.seen.views.centers_mm
    assert len(tab.routes) == tab.table.rowCount() == 24
    tab.choose(7)
    order = tab.chosen.order
    ways = [vectors[a, b] for a, b in itertools.pairwise(order)]
    ends = true[order[0]] + np.cumsum(ways, axis=0)
    off = np.linalg.norm(ends[-1] - true[order[-1]])
    assert tab.table.item(7, 1).text() == f"{off:.1f}"
    drift = np.linalg.norm(sum(ways) + vectors[order[-1], order[0]])
    assert tab.table.item(7, 2).text() == f"{drift:.1f}"
    line = drawn(panel, boxes.TRUE_ROUTE)
    np.testing.assert_allclose(line[:, 0], CENTER + true[list(order[:-1])] @ turn.T, atol=1e-3)
    dashes = drawn(panel, boxes.PREDICTED_ROUTE)
    length = np.linalg.norm(ways, axis=1).sum()
    assert np.linalg.norm(dashes[:, 1], axis=1).sum() == pytest.approx(length / 2, rel=1e-3)
    np.testing.assert_allclose(dashes[0, 0], CENTER + turn @ true[order[0]], atol=1e-3)
    tab.step.setValue(1)
    assert len(drawn(panel, boxes.TRUE_ROUTE)) == 1
    away = np.linalg.norm(ends[0] - true[order[1]])
    assert f"{away:.1f} mm off" in tab.here.text()
    tab._timer.setInterval(1)
    tab.step.setValue(3)
    tab.play.setChecked(True)
    assert tab.steps == 0
    qtbot.waitUntil(lambda: tab.steps == 3 and not tab.play.isChecked(), timeout=SECONDS)
    assert "Closed" in tab.here.text()
    # More views than all routes are listed of.
    panel.choose(panel.choice.of(6))
    settle(loaded, qtbot)
    assert tab.facts.text().startswith("Some 120 routes over 6 views")
    assert "Loop drift" in tab.facts.text()


def test_chunks_have_four_boxes_and_verdicts_beside_controls(panel, loaded, qtbot):
    panel.choose(panel.choice.of(8))
    front(loaded, qtbot, CHUNKS)
    tab, turn = panel.chunks_tab, turned(17.0)
    assert tab.pair.count() >= 2
    tab.pair.setCurrentIndex(1)
    one = tab.chosen.view
    np.testing.assert_allclose(tab.maps[0].values, one.similarity)
    np.testing.assert_allclose(np.diagonal(one.similarity), 1, atol=1e-5)
    centers = CENTER + panel.seen.views.centers_mm @ turn.T
    facing = drawn(panel, boxes.ADJACENT).reshape(2, 12, 2, 3)
    far = drawn(panel, boxes.DISTANT).reshape(2, 12, 2, 3)
    middles = np.array([corners_of(box).mean(axis=0) for box in (*facing, *far)])
    # Three quarters of a view, within its own view, moved along the gap.
    for number, (box, view) in enumerate(zip((*facing, *far), (one.i, one.j) * 2, strict=True)):
        assert_same_points(corners_of(box), corners_by_hand(middles[number], 0.75 * EDGE_MM, turn))
        moved = turn.T @ (middles[number] - centers[view])
        assert np.abs(moved).max() <= EDGE_MM / 8 + 1e-3
    gap = centers[one.j] - centers[one.i]
    assert (middles[0] - middles[2]) @ gap > 0 > (middles[1] - middles[3]) @ gap
    # What the chunks show is of the views, so what the grey values say can be said by hand.
    rows = tab.chosen.images.reshape(4, -1)
    np.testing.assert_allclose(one.raw, np.corrcoef(rows), atol=1e-4)
    others = [one.similarity[a, b] for a, b in ((0, 3), (1, 2), (2, 3))]
    right = one.similarity[0, 1] > max(others)
    assert tab.verdict.text().startswith(f"Facing chunks most alike: {'✔' if right else '✘'}")
    shares = [pair.view.adjacent_right for pair in tab.seen.pairs]
    assert f"network {100 * np.mean(shares):.0f} %" in tab.facts.text()
    whos = ("untrained (mean of 5 draws)", "best of them", "grey values", "a guess 25 %")
    for who in whos:
        assert who in tab.facts.text()
    place = tab.maps[0].rect_of(1, 2).center().toPoint()
    qtbot.mouseClick(tab.maps[0], Qt.MouseButton.LeftButton, pos=place)
    chosen = drawn(panel, boxes.CHOSEN).reshape(2, 12, 2, 3)
    found = [corners_of(box).mean(axis=0) for box in chosen]
    np.testing.assert_allclose(found, middles[[1, 2]], atol=1e-2)
    # The main view goes to these two, not to all that is drawn.
    there = np.array(loaded._viewer.dims.point)[::-1]
    steps = np.array([one.step for one in loaded._viewer.dims.range])[::-1]
    assert (np.abs(there - middles[[1, 2]].mean(axis=0)) <= 0.51 * steps + 0.1).all()
    assert np.linalg.norm(middles[[1, 2]].mean(axis=0) - middles.mean(axis=0)) > 2
    assert tab.pictures.pictures[0].caption == f"j: view {one.j}, facing"
    np.testing.assert_allclose(tab.pictures.blocks[1].center_world, middles[2], atol=1e-2)
    tab.maps[0].cell_chosen.emit(0, 0)
    there = np.array(loaded._viewer.dims.point)[::-1]
    assert (np.abs(there - middles[0]) <= 0.51 * steps + 0.1).all()


def test_checks_are_beside_chance(panel, loaded, qtbot):
    panel.choose(panel.choice.of(6))
    front(loaded, qtbot, CHECK)
    tab, matrix = panel.check_tab, panel.seen.matrices["gaps"]
    others = ~np.eye(6, dtype=bool)
    true, predicted = matrix.true_mm[others], matrix.predicted_mm[others]
    for axis in range(3):
        error = np.abs(predicted[:, axis] - true[:, axis]).mean()
        assert tab.truth.item(0, axis).text() == f"{error:.1f}"
        chance = np.abs(true[:, axis] - np.median(true[:, axis])).mean()
        assert tab.truth.item(1, axis).text() == f"{chance:.1f}"
        rank = spearmanr(true[:, axis], predicted[:, axis]).statistic
        assert float(tab.truth.item(2, axis).text()) == pytest.approx(rank, abs=0.006)
    # What cannot be anything but 0 is beside no chance.
    assert tab.itself.rowCount() == 1
    for place in range(3):
        assert tab.itself.item(0, place).text() == "0"
        assert tab.itself.item(0, place).toolTip().startswith("0 by construction")
    assert "0 by construction" in tab.facts.text()
    x, y = tab.plot.items["pairs"].getData()
    np.testing.assert_allclose(x, np.linalg.norm(true, axis=1))
    np.testing.assert_allclose(y, np.linalg.norm(predicted, axis=1))
    assert "Voxels of" in tab.hints.text()
    # The edge head's vectors need not agree there and back.
    panel.matrix_tab.head.setCurrentIndex(1)
    vectors = panel.seen.matrices["vectors"].predicted_mm
    both = np.linalg.norm(vectors + vectors.swapaxes(0, 1), axis=-1)[others].mean()
    assert both > 0
    assert tab.itself.item(0, 1).text() == f"{both:.1f} mm"
    assert "by construction" not in tab.facts.text()
    # Dealt out by chance a diagonal is as long as any gap.
    dealt = float(tab.itself.item(1, 0).text().split()[0])
    assert dealt == pytest.approx(np.linalg.norm(matrix.true_mm, axis=-1).mean(), rel=0.35)
    front(loaded, qtbot, LAYOUT)
    assert "by construction" not in panel.layout_tab.facts.text()
    assert "Stress" in panel.layout_tab.facts.text()
    assert "vector head" in tab.facts.text()
