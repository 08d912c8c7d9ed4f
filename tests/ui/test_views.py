"""The slice views with real widgets: gestures, contrast, comparing, arrangement, session."""

import json
import sys

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import Notification
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox

sys.path.insert(0, __file__.rpartition("/")[0])
import navigator_actions
import views_actions as user

from napari_mrissl.geometry import relative_action
from napari_mrissl.ui.layers import add_labels, add_volume, volume_of
from napari_mrissl.ui.views.bars import ViewsSheet
from napari_mrissl.ui.views.pane import PANE_KINDS

pytestmark = pytest.mark.gui
AXES = {"axial": 2, "coronal": 1, "sagittal": 0}


@pytest.fixture
def viewer(scan_model):
    return scan_model


@pytest.fixture
def two(views, viewer, qtbot):
    """Two scans of different grids."""
    other = navigator_actions.small_volume("other", offset=6.0)
    add_volume(viewer, other, colormap="magma", blending="additive", opacity=0.5)
    user.settle(views, qtbot)
    return views


def test_each_pane_shows_its_plane_upright(views, qtbot):
    """Values of the ramp rise with S by 3, with A by 2, with R by 1 a voxel."""
    rising = {"axial": (1, 1), "coronal": (1, 1), "sagittal": (1, 1)}
    for kind, (across, up) in rising.items():
        picture = user.gray(views.panes[kind])
        height, width = picture.shape
        part = picture[height // 3 : -height // 3, width // 3 : -width // 3]
        assert np.sign(np.diff(part.mean(axis=0)).sum()) == across
        assert np.sign(-np.diff(part.mean(axis=1)).sum()) == up
    assert views.panes["axial"].letters == {"up": "A", "down": "P", "left": "L", "right": "R"}
    assert views.panes["sagittal"].letters == {"up": "S", "down": "I", "left": "P", "right": "A"}
    views.state.set_convention("radiological")
    user.settle(views, qtbot)
    views.grab()
    assert views.panes["coronal"].letters == {"up": "S", "down": "I", "left": "R", "right": "L"}
    assert np.diff(user.gray(views.panes["axial"]).mean(axis=0)[100:-100]).sum() < 0


def test_a_click_moves_the_crosshair_in_all_panes_and_a_drag_is_one_step(views, qtbot):
    pane = views.panes["axial"]
    start = views.state.pose
    x, y = user.middle(pane)
    expected = pane.point_at(x + 20, y - 30)
    before = {kind: views.panes[kind].images[0].copy() for kind in PANE_KINDS}
    user.click(pane, (x + 20, y - 30))
    np.testing.assert_allclose(views.crosshair, expected)
    assert views.crosshair[2] == start.center[2]
    user.settle(views, qtbot)
    changed = {k for k in PANE_KINDS if (views.panes[k].images[0] != before[k]).any()}
    assert changed == {"coronal", "sagittal", "free"}
    user.drag(pane, (x, y), (x - 15, y + 25))
    qtbot.wait(20)
    user.drag(views.panes["sagittal"], user.middle(views.panes["sagittal"]), (50, 60))
    for _ in range(3):
        views.bar.undo.click()
    assert views.state.pose == start
    assert not views.bar.undo.isEnabled()
    views.bar.redo.click()
    np.testing.assert_allclose(views.crosshair, expected)


def test_the_wheel_steps_along_the_normal_and_with_ctrl_zooms_the_pane(views, qtbot):
    for kind, axis in AXES.items():
        pane, start = views.panes[kind], views.state.pose
        step = views.state.step_along(pane.rotation[:, 2])
        user.wheel(pane, user.middle(pane), 1)
        moved = views.crosshair - start.center
        np.testing.assert_allclose(moved, step * pane.rotation[:, 2], atol=1e-9)
        assert np.flatnonzero(np.abs(moved) > 1e-9).tolist() == [axis]
        user.wheel(pane, user.middle(pane), -1, user.SHIFT)
        np.testing.assert_allclose(
            views.crosshair, start.center - 4 * step * pane.rotation[:, 2], atol=1e-9
        )
    pane, pose = views.panes["coronal"], views.state.pose
    place = (40.0, 70.0)
    user.settle(views, qtbot)
    fixed, step = pane.point_at(*place), pane.raster.step
    user.wheel(pane, place, 5, user.CTRL)
    user.settle(views, qtbot)
    np.testing.assert_allclose(pane.point_at(*place), fixed)
    assert pane.raster.step < step / 1.5
    assert views.state.pose == pose
    seen = pane.point_at(*user.middle(pane))
    user.drag(pane, user.middle(pane), (user.middle(pane)[0] + 30, 90), user.MIDDLE)
    user.settle(views, qtbot)
    x, y = pane.screen_position(seen)
    assert (x, y) == pytest.approx((user.middle(pane)[0] + 30, 90))
    assert views.state.pose == pose
    user.key(pane, "Home")
    user.settle(views, qtbot)
    assert pane.raster.step == pytest.approx(step)


def test_the_crosshair_never_leaves_a_zoomed_pane(views, qtbot):
    pane = views.panes["axial"]
    user.wheel(pane, (5.0, 5.0), 12, user.CTRL)
    user.settle(views, qtbot)
    views.state.go_to(views.state.volume.center + np.array([15.0, -12.0, 0.0]))
    user.settle(views, qtbot)
    x, y = pane.screen_position(views.crosshair)
    assert 0 < x < pane.width()
    assert 0 < y < pane.height()


def test_the_free_pane_has_the_navigators_gestures(views):
    pane = views.panes["free"]
    x, y = user.middle(pane)
    scale = views.state.pose.fov / min(pane.width(), pane.height())
    start = views.state.pose
    user.drag(pane, (x, y), (x + 24, y + 12))
    action = relative_action(start, views.state.pose)
    np.testing.assert_allclose(action[:2] * start.fov, [-24 * scale, 12 * scale], rtol=0.01)
    views.state.undo()
    assert views.state.pose == start
    user.click(pane, (x + 20, y - 10))
    expected = start.center + scale * (20 * start.right + 10 * start.up)
    np.testing.assert_allclose(views.crosshair, expected, atol=0.1 * scale)
    for modifiers, end, dimension in (
        (user.SHIFT, (x + 25, y), 4),
        (user.SHIFT, (x, y + 25), 3),
    ):
        before = views.state.pose
        user.drag(pane, (x, y), end, modifiers=modifiers)
        assert navigator_actions.moved(before, views.state.pose) == [dimension]
    before = views.state.pose
    user.drag(pane, (x + 40, y), (x, y - 40), modifiers=user.CTRL)
    assert navigator_actions.moved(before, views.state.pose) == [5]
    before = views.state.pose
    user.wheel(pane, (x, y), 1, user.CTRL)
    assert navigator_actions.moved(before, views.state.pose) == [6]


def test_keys_step_by_voxels_in_the_pane_with_the_focus(views):
    pane = views.panes["sagittal"]
    right, up, normal = pane.rotation.T
    for name, axis, sign in (
        ("Right", right, 1),
        ("Left", right, -1),
        ("Up", up, 1),
        ("Down", up, -1),
        ("PageUp", normal, 1),
        ("PageDown", normal, -1),
    ):
        start = views.crosshair
        user.key(pane, name)
        moved = sign * views.state.step_along(axis) * axis
        np.testing.assert_allclose(views.crosshair - start, moved, atol=1e-9)
    start = views.crosshair
    user.key(pane, "PageUp", user.SHIFT)
    assert (views.crosshair - start) @ normal == pytest.approx(5 * views.state.step_along(normal))
    user.key(pane, "U")
    np.testing.assert_allclose(views.crosshair, start)


def test_a_right_drag_is_window_and_level_and_one_step(views, viewer, qtbot):
    layer = viewer.layers[0]
    low, high = layer.contrast_limits
    pane = views.panes["coronal"]
    start, before = views.state.pose, pane.images[0].copy()
    rendered = pane.pictures.rendered
    user.drag(pane, (60, 60), (60, 20), user.RIGHT)
    assert np.diff(layer.contrast_limits) == pytest.approx(high - low)
    assert layer.contrast_limits[0] < low
    user.settle(views, qtbot)
    assert user.gray(pane).mean() > before[..., :3].mean()
    assert pane.pictures.rendered == rendered
    user.drag(pane, (60, 60), (90, 60), user.RIGHT)
    assert np.diff(layer.contrast_limits) > 1.1 * (high - low)
    assert views.state.pose == start
    wide = list(layer.contrast_limits)
    user.key(pane, "U")
    user.key(pane, "U")
    assert list(layer.contrast_limits) == [low, high]
    user.key(pane, "U", user.SHIFT)
    user.key(pane, "U", user.SHIFT)
    assert list(layer.contrast_limits) == wide
    user.double_click(pane, (60, 60), user.RIGHT)
    assert tuple(layer.contrast_limits) == pytest.approx(volume_of(layer).display_window())
    views.bar.undo.click()
    assert list(layer.contrast_limits) == wide
    views.bar.auto.click()
    assert tuple(layer.contrast_limits) == pytest.approx(volume_of(layer).display_window())


def test_each_scan_has_its_own_contrast(two, viewer, qtbot):
    views, (one, other) = two, viewer.layers[:2]
    pane = views.panes["axial"]

    def dragged(place):
        before = [list(layer.contrast_limits) for layer in (one, other)]
        user.drag(pane, place, (place[0], place[1] - 20), user.RIGHT)
        return [
            list(layer.contrast_limits) != was
            for layer, was in zip((one, other), before, strict=True)
        ]

    viewer.layers.selection.active = one
    assert dragged((80, 80)) == [True, False]
    user.settle(views, qtbot)
    views.bar.contrast_box.setCurrentIndex(0)
    assert viewer.layers.selection.active is other
    assert dragged((80, 80)) == [False, True]
    # A layer that is no image leaves the choice as it was.
    add_labels(viewer, volume_of(one), np.zeros(volume_of(one).shape, np.uint8))
    user.settle(views, qtbot)
    assert dragged((80, 80)) == [False, True]
    views.bar.choose(views.bar.mode_box, "side by side")
    user.settle(views, qtbot)
    assert dragged((40, 80)) == [True, False]
    assert dragged((pane.width() - 40, 80)) == [False, True]


def test_scans_are_compared_over_each_other_side_by_side_and_in_turns(two, viewer, qtbot):
    views, pane = two, two.panes["axial"]
    one, other = viewer.layers[:2]
    assert [len(tile.parts) for tile in pane.tiles] == [2]
    point = views.crosshair
    both = user.pixel(pane, point)
    views.bar.choose(views.bar.mode_box, "side by side")
    user.settle(views, qtbot)
    assert [tile.title for tile in pane.tiles] == [one.name, other.name]
    assert pane.raster.width == pytest.approx(pane.width() / 2, abs=1)
    first, second = (user.pixel(pane, point, tile) for tile in (0, 1))
    assert len(set(first)) == 1
    assert len(set(second)) > 1
    assert np.abs(np.minimum(first + second, 255) - both).max() <= 1
    # The same point lies at the same place of both pictures.
    x0, y0 = pane.screen_position(point, 0)
    x1, y1 = pane.screen_position(point, 1)
    assert (x1 - x0, y1) == pytest.approx((pane.width() / 2, y0))
    views.bar.choose(views.bar.mode_box, "flicker")
    views.bar.rate.setValue(10.0)
    seen = set()

    def both_seen():
        seen.add(pane.tiles[0].title)
        return seen == {one.name, other.name}

    qtbot.waitUntil(both_seen)
    cut = pane.pictures.rendered
    seen.clear()
    qtbot.waitUntil(both_seen)
    # Taking turns cuts nothing again.
    assert pane.pictures.rendered == cut
    assert views.presenter.flickering
    views.hide()
    assert not views.presenter.flickering
    views.show()
    qtbot.waitUntil(lambda: views.presenter.flickering)
    other.visible = False
    qtbot.waitUntil(lambda: not views.presenter.flickering)
    assert views.bar.rate.isVisible()


def test_a_double_click_shows_one_pane_alone_and_leaves_the_crosshair(views, qtbot):
    pane = views.panes["coronal"]
    start = views.state.pose
    user.double_click(pane, (40, 50))
    user.settle(views, qtbot)
    assert views.state.pose == start
    assert [kind for kind in PANE_KINDS if views.panes[kind].isVisible()] == ["coronal"]
    assert pane.width() > 0.9 * views.width()
    assert views.bar.layout_box.currentData() == "coronal"
    user.double_click(pane, (40, 50))
    user.settle(views, qtbot)
    assert all(views.panes[kind].isVisible() for kind in PANE_KINDS)
    views.bar.choose(views.bar.layout_box, "free")
    assert views.grid.alone == "free"
    user.key(views.panes["free"], "Return")
    assert views.grid.alone is None


def test_nothing_is_drawn_while_hidden_and_many_moves_are_one_drawing(views, qtbot):
    count = views.presenter.presentations
    for _ in range(20):
        views.state.move([0.001, 0, 0.001, 0, 0, 0, 0])
    user.settle(views, qtbot)
    assert views.presenter.presentations == count + 1
    views.hide()
    views.state.move([0, 0, 0.05, 0, 0, 0, 0])
    qtbot.wait(30)
    assert views.presenter.presentations == count + 1
    assert all(not pane.images for pane in views.panes.values())
    views.show()
    qtbot.waitUntil(lambda: views.presenter.presentations > count + 1)
    assert all(pane.images for pane in views.panes.values())
    views.maximise("axial")
    user.settle(views, qtbot)
    composed = views.panes["free"].pictures.composed
    views.state.move([0, 0, 0.05, 0, 0, 0, 0])
    user.settle(views, qtbot)
    assert views.panes["free"].pictures.composed == composed


def test_the_free_slices_line_and_the_other_planes_are_drawn(views, qtbot):
    views.state.move([0, 0, 0, 0.4, 0.3, 0, 0])
    user.settle(views, qtbot)
    for kind in AXES:
        lines = views.panes[kind].lines()
        assert [line.dashed for line in lines] == [False, False, True]
        pose, raster = views.state.pose, views.panes[kind].raster
        dx, dy = lines[-1].direction
        assert (dx * raster.right - dy * raster.up) @ pose.normal == pytest.approx(0, abs=1e-9)
    assert len(views.panes["free"].lines()) == 3
    picture = views.panes["axial"].grab().toImage()
    x, y = views.panes["axial"].screen_position(views.crosshair)
    # Open in the middle, coloured beyond.
    inner, outer = (picture.pixelColor(round(x + d), int(y)) for d in (4, 40))
    assert inner.saturation() == 0
    assert outer.saturation() > 0


def test_what_is_under_the_mouse_is_said_for_every_layer(two, viewer, qtbot):
    views, volume = two, volume_of(viewer.layers[0])
    labels = np.zeros(volume.shape, np.uint8)
    labels[:, :18] = 2
    add_labels(
        viewer, volume, labels, "tissue",
        features={"index": [0, 2], "name": ["background", "white matter"]},
    )  # fmt: skip
    user.settle(views, qtbot)
    pane = views.panes["axial"]
    # Posterior, where the labels are.
    place = pane.screen_position(views.crosshair - [0.0, 8.0, 0.0])
    user.hover(pane, place)
    point = pane.point_at(*place)
    index = np.rint(np.linalg.inv(volume.affine)[:3] @ [*point, 1]).astype(int)
    said = views.values.whole
    assert f"scan: {volume.data[tuple(index)]:.5g}" in said
    assert "tissue: 2 white matter" in said
    assert f"R {point[0]:+.1f}" in said
    assert "other: " in said


def test_the_session_comes_back_and_bad_ones_are_said(two, viewer, qtbot):
    views = two
    views.bar.choose(views.bar.mode_box, "flicker")
    views.bar.choose(views.bar.style_box, "contours")
    views.bar.rate.setValue(4.0)
    user.wheel(views.panes["axial"], (50, 60), 4, user.CTRL)
    views.maximise("sagittal")
    kept = json.loads(json.dumps(views.session_state()))
    again = user.open_views(viewer, qtbot)
    again.restore_session(kept | {"unknown": 3})
    user.settle(again, qtbot)
    assert again.session_state() == kept
    assert again.values.whole == ""
    assert again.panes["sagittal"].isVisible()
    assert not again.panes["axial"].isVisible()
    for wrong in (
        None,
        [1],
        {"mode": "cinema"},
        {"labels": 4},
        {"hertz": "fast"},
        {"hertz": float("nan")},
        {"alone": "oblique"},
        {"cameras": 7},
        {"cameras": {"axial": {"zoom": -1}}},
        {"cameras": {"axial": {"zoom": 2, "center": [1, 2]}}},
        {"cameras": {"axial": None}},
    ):
        again.values.say("")
        again.restore_session(wrong)
        assert again.values.whole
        assert again.session_state() == kept
    again.shut_down()


def test_every_control_says_what_it_does_and_is_whole(views, qtbot):
    for kind in (QAbstractButton, QComboBox, QAbstractSpinBox):
        for control in views.bar.findChildren(kind):
            if control.objectName().startswith("qt_"):
                continue
            assert control.toolTip(), control
    views.bar.choose(views.bar.mode_box, "flicker")
    for width in (300, 520, 900):
        views.resize(width, 640)
        qtbot.wait(30)
        assert views.width() == width
        for control in views.bar.findChildren(QAbstractButton):
            if control.isVisible():
                right = control.mapTo(views.bar, control.rect().topRight()).x()
                assert right <= views.bar.width()
                below = control.mapTo(views, control.rect().bottomLeft()).y()
                assert below <= views.grid.y()
    views.show_keys()
    (sheet,) = views.findChildren(ViewsSheet)
    sheet.close()


def test_no_scan_is_no_error(qtbot, monkeypatch):
    said = []
    monkeypatch.setattr(Notification, "__init__", lambda self, *a, **k: said.append(a))
    viewer = ViewerModel()
    views = user.open_views(viewer, qtbot)
    pane = views.panes["axial"]
    for act in (
        lambda: user.drag(pane, (50, 50), (70, 80)),
        lambda: user.drag(pane, (50, 50), (70, 80), user.RIGHT),
        lambda: user.wheel(pane, (50, 50), 2),
        lambda: user.key(pane, "PageUp"),
        lambda: user.double_click(pane, (50, 50), user.RIGHT),
        views.bar.auto.click,
        views.fit,
    ):
        act()
    assert not said
    assert not views.bar.auto.isEnabled()
    add_volume(viewer, navigator_actions.small_volume())
    user.settle(views, qtbot)
    assert views.state.volume is not None
    assert pane.images
    views.shut_down()
