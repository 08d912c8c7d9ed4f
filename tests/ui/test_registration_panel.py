"""The registration panel at work: a known shift is found, shown, undone, cancelled, saved."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication
from registration_actions import (
    QUICK,
    SHIFT_MM,
    affine,
    fixed,
    labels_at,
    moving,
    settle,
    world,
)

from napari_mrissl.ui.layers import add_labels, add_volume, to_napari, volume_of
from napari_mrissl.ui.navigator.sharing import state_of
from napari_mrissl.ui.registration import RegistrationPanel
from napari_mrissl.ui.registration.pair_box import FIXED, MOVING
from napari_mrissl.ui.registration.widget import RUN
from napari_mrissl.volumes import read

pytestmark = [pytest.mark.gui, pytest.mark.timeout(900)]

POINTS = np.array([(3.0, 2.0, 1.0), (-8.0, 5.0, 4.0), (1.0, -9.0, 6.0)])


@pytest.fixture
def pair(make_napari_viewer_proxy):
    """A viewer with two scans, the second stored in another order of axes, and their labels."""
    viewer = make_napari_viewer_proxy(show=True)
    one, other = fixed(), moving(turned=True)
    add_volume(viewer, one)
    add_volume(viewer, other)
    add_labels(viewer, one, labels_at(world()), "fixed labels")
    shifted = np.ascontiguousarray(labels_at(world() - SHIFT_MM))
    add_labels(viewer, other, shifted, "moving labels")
    for name, places in (("fixed points", POINTS), ("moving points", POINTS + SHIFT_MM)):
        viewer.add_points(to_napari(places), name=name, units=("mm",) * 3)
    return viewer


@pytest.fixture
def panel(pair, qtbot):
    made = RegistrationPanel(pair)
    pair.window.add_dock_widget(made, name="Registration")
    settle(made)
    made.settings_box.show_settings(QUICK)
    return made


def choose_all(panel, viewer):
    for side in (FIXED, MOVING):
        panel.pair.choose(side, "labels", viewer.layers[f"{side} labels"])
        panel.pair.choose(side, "points", viewer.layers[f"{side} points"])


def unlike(values: np.ndarray) -> float:
    """How far an image on the fixed grid is from the fixed scan."""
    return float(np.abs(np.asarray(values, np.float64) - fixed().data).mean())


def test_a_known_shift_is_found_shown_measured_undone_and_saved(panel, pair, tmp_path):
    choose_all(panel, pair)
    chosen = panel.pair.side(FIXED), panel.pair.side(MOVING)
    assert [one.scan.name for one in chosen] == ["fixed scan", "moving scan"]
    settle(panel)
    assert "GiB" in panel.settings_box.cost.text()
    before = set(pair.layers)
    panel.start.click()
    assert panel.tabs.currentIndex() == RUN
    assert not panel.start.isEnabled()
    settle(panel)
    result = panel.result
    assert result is not None, panel.status.message.text()

    # The moved scan is the fixed one; before, on this grid, it was not.
    moved = panel.viewing.layers.moved
    # Under points and labels, over the scans.
    order = [layer.name for layer in panel.viewer.layers]
    assert order[:3] == ["fixed scan", "moving scan", "moving scan moved"]
    assert moved.name == "moving scan moved"
    np.testing.assert_allclose(volume_of(moved).affine, affine())
    was = moving().data
    assert unlike(moved.data) < 0.35 * unlike(was)
    # Right stays right: label 1 is on the right in both.
    labels = np.asarray(pair.layers["labels of moving scan moved"].data)
    truth = labels_at(world())
    assert (labels == truth).mean() > 0.97
    places = world()
    assert places[labels == 1][:, 0].mean() > 5 > -5 > places[labels == 2][:, 0].mean()
    assert len(panel.run_tab.costs) == QUICK.iterations + 1
    assert panel.run_tab.plot.canvas is not None
    assert "Folds: 0 %" in panel.run_tab.facts.text()

    rows = panel.scores_tab.rows
    landmarks = ["landmarks: mean mm", "landmarks: largest mm"]
    assert [row[0] for row in rows] == ["mean of 2", "1", "2", *landmarks]
    assert all(float(row[3]) > float(row[1]) + 0.05 for row in rows[:3])
    distance = float(np.linalg.norm(SHIFT_MM))
    assert [row[1] for row in rows[3:]] == [f"{distance:.1f}"] * 2
    assert all(float(row[3]) < float(row[1]) for row in rows[3:])
    assert not panel.scores_tab.fitted.isVisibleTo(panel.scores_tab)
    assert result.errors["after"]["mean_mm"] < 0.4 * distance
    assert panel.scores_tab.csv.count("\n") == 1 + 2 * 2 + 2

    panel.save(tmp_path / "out")
    settle(panel)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"moved.nii.gz", "labels_moved.nii.gz", "displacement.nii.gz", "linear.txt"} <= names
    np.testing.assert_allclose(read(tmp_path / "out" / "moved.nii.gz").data, moved.data, atol=1e-4)
    facts = json.loads((tmp_path / "out" / "registration.json").read_text("utf-8"))
    assert facts["settings"] == QUICK.model_dump(mode="json")
    panel.save(tmp_path / "out")
    settle(panel)
    assert "is not empty" in panel.status.message.text()

    panel.undo()
    assert set(pair.layers) == before
    assert panel.result is None
    assert not panel.scores_tab.rows
    panel.redo()
    assert panel.result is result
    again = pair.layers["moving scan moved"]
    np.testing.assert_array_equal(again.data, result.moved.data)
    assert "labels of moving scan moved" in pair.layers


def test_a_cancelled_one_changes_nothing_before_and_keeps_the_alignment_after(panel, pair):
    before = set(pair.layers)
    panel.register()
    panel.status.cancel.click()
    settle(panel)
    assert set(pair.layers) == before
    assert panel.status.message.text() == "Cancelled; nothing was changed."
    assert panel.result is None
    assert panel.start.isEnabled()

    # Of a long refinement the linear alignment is left.
    long = QUICK.model_copy(update={"iterations": 2000, "initial": "centres"})
    panel.settings_box.show_settings(long)
    panel.register()
    wait_for(lambda: panel.run_tab.costs)
    panel.status.cancel.click()
    settle(panel)
    assert panel.result is not None
    assert not panel.result.whole
    assert not panel.result.deformable
    assert "moving scan moved" in pair.layers
    assert "linear alignment alone was kept" in panel.run_tab.facts.text()
    panel.undo()
    assert set(pair.layers) == before


def test_views_go_on_and_off(panel, pair, qtbot):
    panel.register()
    settle(panel)
    before, tab = set(pair.layers), panel.views_tab
    result = panel.result
    voxels = result.moved.shape

    for name, box in tab.boxes.items():
        box.setChecked(True)
        settle(panel)
        assert panel.viewing.overlays.layer(name) is not None, name
    overlays = panel.viewing.overlays
    # Neighbouring cubes are of either scan.
    board = np.asarray(overlays.layer("checkerboard").data)
    assert board.shape == voxels
    window = result.scans.fixed.display_window()
    plain = np.clip((fixed().data - window[0]) / (window[1] - window[0]), 0, 1)
    np.testing.assert_allclose(board[:10, :10, :10], plain[:10, :10, :10], atol=1e-5)
    assert np.abs(board[10:20, :10, :10] - plain[10:20, :10, :10]).max() > 1e-3
    # Arrows are what the transform says, in mm.
    arrows = overlays.layer("displacement")
    starts = arrows.data[:, 0] * arrows.scale + arrows.translate
    steps = (arrows.data[:, 1] * arrows.scale)[:, ::-1]
    truth = result.found.transform(starts[:, ::-1]) - starts[:, ::-1]
    np.testing.assert_allclose(steps, truth, atol=1e-4)
    assert len(starts) > 20
    # The bar of colours says the same lengths.
    scale = tab.scales["displacement"]
    longest = float(np.linalg.norm(steps, axis=1).max())
    assert [mark.text() for mark in scale.marks] == [
        "0 mm",
        f"{longest / 2:.2g} mm",
        f"{longest:.2g} mm",
    ]
    assert f"Length in mm of {len(starts)} arrows, one every 8 mm" in scale.title.text()
    colours = scale.bar.pixmap().toImage()
    for column, wanted in ((0, 0.0), (colours.width() - 1, 1.0)):
        np.testing.assert_allclose(
            colours.pixelColor(column, 0).getRgbF(),
            arrows.edge_colormap.map(wanted).ravel(),
            atol=0.01,
        )
    jacobian = tab.scales["Jacobian determinant"]
    assert jacobian.isVisibleTo(tab)
    assert "1" in jacobian.marks[1].text()
    tab.measures["displacement"].setValue(16.0)
    settle(panel)
    assert len(overlays.layer("displacement").data) < len(starts)
    assert "one every 16 mm" in scale.title.text()
    grid = np.asarray(overlays.layer("deformed grid").data)
    assert 0 < grid.mean() < 0.6
    assert "Folds" in tab.folds.text()

    # Another distance and another direction of view: other lines.
    tab.measures["deformed grid"].setValue(20.0)
    settle(panel)
    coarser = np.asarray(overlays.layer("deformed grid").data)
    assert coarser.mean() < grid.mean()
    pair.dims.order = (1, 0, 2)
    settle(panel)
    turned = np.asarray(overlays.layer("deformed grid").data)
    assert not np.array_equal(turned, coarser)

    # What the user deletes is no longer ticked, and comes back when it is ticked again.
    pair.layers.remove(overlays.layer("displacement"))
    pair.layers.remove(pair.layers["checkerboard"])
    assert tab.ticked == ["deformed grid", "Jacobian determinant"]
    assert not scale.isVisibleTo(tab)
    tab.boxes["displacement"].setChecked(True)
    settle(panel)
    assert overlays.layer("displacement") is not None
    assert scale.isVisibleTo(tab)
    for box in tab.boxes.values():
        box.setChecked(False)
    settle(panel)
    assert set(pair.layers) == before
    assert not jacobian.isVisibleTo(tab)

    scan, moved = pair.layers["fixed scan"], pair.layers["moving scan moved"]
    moved.opacity = 0.8
    tab.pace.setValue(0.1)
    tab.flicker.click()
    seen = set()

    def both() -> bool:
        seen.add((scan.opacity, moved.opacity))
        return {(1.0, 0.0), (0.0, 1.0)} <= seen

    qtbot.waitUntil(both, timeout=60_000)
    assert tab.flicker.text() == "Stop"
    tab.flicker.click()
    assert (scan.opacity, moved.opacity) == (1.0, 0.8)
    assert tab.flicker.text() == "Flicker"
    assert not tab.seen.isVisibleTo(panel)


def test_the_linked_cursor_shows_the_same_anatomy_in_the_moving_scan(panel, pair, qtbot):
    panel.register()
    settle(panel)
    tab, cursor = panel.views_tab, panel.viewing.cursor
    callbacks = list(pair.mouse_move_callbacks)
    tab.cursor.setChecked(True)
    with qtbot.waitSignal(cursor.moved, timeout=60_000):
        cursor.point_at((2.0, 1.0, -3.0))
    here, there = np.asarray(cursor.layer.data)[:, ::-1]
    np.testing.assert_allclose(here, (2.0, 1.0, -3.0))
    np.testing.assert_allclose((there - here)[:2], SHIFT_MM[:2], atol=1.5)
    # It is drawn on the slice, wherever it lies before or behind it.
    assert there[2] == here[2]
    found = panel.result.found.transform(here)[0]
    assert f"{np.linalg.norm(found - here):.1f} mm apart" in tab.places.text()
    assert abs(found[2] - here[2] - SHIFT_MM[2]) < 1.5
    assert "2.0 R, 1.0 A, 3.0 I" in tab.places.text()
    # By the mouse, through napari's own callbacks.
    added = [one for one in pair.mouse_move_callbacks if one not in callbacks]
    assert len(added) == 1

    class Moved:
        position = (4.0, 3.0, 2.0)  # S, A, R
        dims_displayed = (1, 2)

    with qtbot.waitSignal(cursor.moved, timeout=60_000) as told:
        added[0](pair, Moved())
    np.testing.assert_allclose(told.args[0], (2.0, 3.0, 4.0))
    # And by the crosshair that slice views and navigator share.
    state = state_of(panel.viewer)
    state.set_volume(panel.result.scans.fixed, None)
    place = state.pose.center + np.array((1.0, 2.0, 3.0))
    with qtbot.waitSignal(cursor.moved, timeout=60_000) as told:
        state.set_pose(replace(state.pose, center=place))
    np.testing.assert_allclose(told.args[0], place)
    panel.viewer.layers.remove(cursor.layer)
    assert not tab.cursor.isChecked()
    tab.cursor.setChecked(True)
    cursor.point_at((2.0, 1.0, -3.0))
    qtbot.waitUntil(lambda: "linked cursor" in pair.layers, timeout=60_000)
    tab.cursor.setChecked(False)
    assert list(pair.mouse_move_callbacks) == callbacks
    assert "linked cursor" not in pair.layers
    assert not tab.places.isVisibleTo(panel)


def wait_for(state, seconds: float = 280.0) -> None:
    until = time.monotonic() + seconds
    while not state() and time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.002)
    assert state()
