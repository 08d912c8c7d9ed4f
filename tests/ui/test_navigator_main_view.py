"""The navigator beside the main viewer: plane, line, layers, close and reopen."""

import sys

import numpy as np
import pytest

sys.path.insert(0, __file__.rpartition("/")[0])
import navigator_actions as user

from napari_mrissl.ui.layers import add_volume, to_napari
from napari_mrissl.ui.navigator import SliceNavigator
from napari_mrissl.ui.navigator.plane import LINE_NAME, PLANE_NAME

pytestmark = pytest.mark.gui


def test_the_2d_view_and_the_slice_follow_each_other(navigator, viewer, qtbot):
    navigator.state.move([0, 0, 0.1, 0, 0, 0, 0])
    qtbot.wait(300)
    np.testing.assert_allclose(viewer.dims.point, to_napari(navigator.pose.center), atol=1e-6)
    viewer.dims.set_point(0, viewer.dims.point[0] + 6)
    qtbot.wait(300)
    assert navigator.pose.center[2] == pytest.approx(viewer.dims.point[0])
    navigator.state.move([0, 0, 0, 0.5, 0, 0, 0])
    qtbot.wait(300)
    line = user.layer(viewer, LINE_NAME)
    assert line.visible
    assert len(line.data) == 1
    assert line.data[0][0][0] == pytest.approx(viewer.dims.point[0])
    navigator.pose_panel.follow.setChecked(False)
    before = navigator.pose
    viewer.dims.set_point(0, viewer.dims.point[0] - 6)
    assert navigator.pose == before
    navigator.pose_panel.show_plane.setChecked(False)
    assert not line.visible


class Event:
    """A mouse event as napari hands it to callbacks."""

    def __init__(self, kind, position, modifiers, view=None, pos=(0, 0)):
        self.type, self.position, self.modifiers = kind, position, modifiers
        self.button, self.pos = 1, pos
        self.view_direction = view
        self.dims_displayed = [0, 1, 2] if view is not None else [1, 2]


def run(viewer, events):
    """Advance a drag callback through events that replace each other, as napari does."""
    event = events[0]
    generator = next(
        c for c in viewer.mouse_drag_callbacks if "MainViewLink" in getattr(c, "__qualname__", "")
    )(viewer, event)
    next(generator, None)
    for following in events[1:]:
        event.__dict__.update(following.__dict__)
        next(generator, None)


def test_the_plane_in_3d_is_textured_and_moves_by_ctrl_drag(navigator, viewer, qtbot):
    viewer.dims.ndisplay = 3
    navigator.state.reset()
    qtbot.wait(50)
    plane = user.layer(viewer, PLANE_NAME)
    np.testing.assert_allclose(plane.vertices, to_napari(navigator.pose.corners()))
    assert plane.texture[128, 128, 3] == 255
    start = navigator.pose
    view = np.array([0.0, 1.0, 0.0]) + 0.3 * np.array([-1.0, 0, 0])
    origin = to_napari(start.center) - 50 * view
    moves = [
        Event("mouse_press", origin, ["Control"], view),
        Event("mouse_move", origin + np.array([5, 0, 0]), ["Control"], view),
        Event("mouse_release", origin + np.array([5, 0, 0]), ["Control"], view),
    ]
    run(viewer, moves)
    assert user.moved(start, navigator.pose) == [2]
    assert navigator.pose.center[2] > start.center[2]
    assert viewer.scene.camera.mouse_pan
    start = navigator.pose
    origin = to_napari(start.center) - 50 * view
    for event in moves:
        event.modifiers = ["Control", "Shift"]
        event.position = np.asarray(event.position) + to_napari(start.center) * 0
    moves[0].type = "mouse_press"
    moves[0].position = origin
    moves[1].position = moves[2].position = origin + np.array([5, 0, 0])
    run(viewer, moves)
    np.testing.assert_allclose(navigator.pose.center, start.center)
    assert not np.allclose(navigator.pose.rotation, start.rotation)
    beside = [
        Event("mouse_press", origin + np.array([0, 500, 500]), ["Control"], np.array([1.0, 0, 0]))
    ]
    before = navigator.pose
    run(viewer, beside)
    assert navigator.pose == before


def test_ctrl_click_in_2d_goes_there(navigator, viewer, qtbot):
    target = np.array([3.0, 4.0, 5.0])
    run(
        viewer,
        [
            Event("mouse_press", to_napari(target), ["Control"]),
            Event("mouse_release", to_napari(target), ["Control"], pos=(1, 1)),
        ],
    )
    np.testing.assert_allclose(navigator.pose.center, target)


def test_the_texture_is_where_the_slice_is(navigator, viewer, qtbot):
    """Seen from above in 3D, the plane looks like the slice canvas."""
    user.layer(viewer, "scan").visible = False
    viewer.dims.ndisplay = 3
    navigator.state.reset()
    qtbot.wait(50)
    viewer.scene.camera.center = to_napari(navigator.pose.center)
    # Look down onto the head with anterior up, as a neurological axial slice is seen.
    viewer.scene.camera.set_view_direction((-1, 0, 0), (0, 1, 0))
    viewer.scene.camera.zoom = 3
    qtbot.wait(50)
    picture = viewer.screenshot(canvas_only=True, flash=False).astype(float)
    height, width = picture.shape[:2]
    gray = picture[height // 2 - 30 : height // 2 + 30, width // 2 - 30 : width // 2 + 30, 0]
    assert gray[:10].mean() > gray[-10:].mean() + 5
    assert gray[:, -10:].mean() > gray[:, :10].mean() + 2


def test_layers_are_renamed_hidden_reordered_and_deleted(navigator, viewer, qtbot):
    second = add_volume(viewer, user.small_volume("other", offset=4.0))
    assert [navigator.source.itemText(k) for k in range(2)] == ["other", "scan"]
    assert navigator.source.currentText() == "scan"
    first = user.layer(viewer, "scan")
    first.name = "renamed"
    assert navigator.source.currentText() == "renamed"
    first.visible = False
    viewer.layers.move(0, len(viewer.layers))
    assert navigator.source.layer is first
    navigator.source.setCurrentText("other")
    assert navigator.volume.name == "other"
    navigator.choose_layer(first)
    assert navigator.source.currentText() == "renamed"
    viewer.layers.remove(first)
    assert navigator.source.currentText() == "other"
    assert navigator.source.layer is next(x for x in viewer.layers if x.name == "other")
    viewer.layers.remove(second)
    assert navigator.volume is None
    assert "Open a scan" in navigator.message.text()
    qtbot.wait(30)
    assert not navigator.view.valid.any()
    assert not navigator.moves.presets["axial"].isEnabled()
    add_volume(viewer, user.small_volume("third"))
    assert navigator.volume.name == "third"
    assert navigator.moves.presets["axial"].isEnabled()
    assert not navigator.message.isVisible()


def test_foreign_layers_are_cut_or_refused_in_a_sentence(navigator, viewer, qtbot):
    viewer.add_image(np.zeros((4, 8, 8, 8), np.uint8), name="series")
    navigator.source.setCurrentText("series")
    assert navigator.volume is None
    assert "4-D" in navigator.message.text()
    rng = np.random.default_rng(0)
    foreign = viewer.add_image(rng.random((9, 9, 9), np.float32), scale=(2, 2, 2), name="foreign")
    navigator.source.setCurrentText("foreign")
    assert navigator.volume is not None
    assert "mm" in navigator.message.text()
    foreign.scale = (3, 3, 3)
    np.testing.assert_allclose(navigator.volume.spacing, 3)


def test_layers_in_pixels_and_micrometres_keep_their_place(make_napari_viewer_proxy, qtbot, caplog):
    viewer = make_napari_viewer_proxy(show=True)
    values = np.random.default_rng(0).random((12, 12, 12), np.float32)
    pixels = viewer.add_image(values, scale=(2, 2, 2), name="pixels")
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator)
    qtbot.wait(80)
    assert "Inconsistent" not in caplog.text
    np.testing.assert_allclose(navigator.pose.center, 11)
    viewer.layers.remove(pixels)
    viewer.add_image(values, scale=(2000,) * 3, units=("um",) * 3, name="micrometres")
    navigator.state.reset()
    navigator.state.move([0, 0, 0.1, 0.3, 0, 0, 0])
    qtbot.wait(80)
    assert navigator.volume.spacing[0] == pytest.approx(2)
    height = navigator.pose.center[2]
    assert viewer.dims.point[0] == pytest.approx(1000 * height, abs=510)  # half a step
    assert len(user.layer(viewer, LINE_NAME).data) == 1
    viewer.dims.set_point(0, 4000)
    assert navigator.pose.center[2] == pytest.approx(4)
    assert "Inconsistent" not in caplog.text


def test_contrast_and_colours_follow_the_layer(navigator, viewer, qtbot):
    scan = user.layer(viewer, "scan")
    scan.contrast_limits = (10, 50)
    scan.colormap = "viridis"
    scan.gamma = 0.5
    qtbot.wait(30)
    shown = navigator.view.layer
    assert tuple(shown.contrast_limits) == (10, 50)
    assert shown.colormap.name == "viridis"
    assert shown.gamma == 0.5


def test_moving_adds_no_layers_and_keeps_the_selection(navigator, viewer, qtbot):
    names = [found.name for found in viewer.layers]
    assert viewer.layers.selection.active.name == "scan"
    for _ in range(5):
        navigator.state.move([0.01, 0, 0, 0.05, 0, 0, 0])
        qtbot.wait(5)
    assert [found.name for found in viewer.layers] == names
    assert viewer.layers.selection.active.name == "scan"


def test_a_deleted_plane_comes_back_when_it_is_asked_for(navigator, viewer, qtbot):
    viewer.layers.remove(user.layer(viewer, PLANE_NAME))
    viewer.layers.remove(user.layer(viewer, LINE_NAME))
    navigator.state.move([0.01, 0, 0, 0, 0, 0, 0])
    qtbot.wait(30)
    assert PLANE_NAME not in [found.name for found in viewer.layers]
    navigator.pose_panel.show_plane.setChecked(False)
    navigator.pose_panel.show_plane.setChecked(True)
    assert PLANE_NAME in [found.name for found in viewer.layers]


def test_many_events_are_shown_once(navigator, monkeypatch, qtbot):
    shown = []
    monkeypatch.setattr(navigator.view, "show_pose", shown.append)
    for _ in range(20):
        navigator.state.move([0.001, 0, 0, 0, 0, 0, 0])
    qtbot.wait(50)
    assert shown == [navigator.pose]


def test_closing_cleans_up_and_it_can_be_opened_again(navigator, viewer, qtbot):
    callbacks = len(viewer.mouse_drag_callbacks)
    viewer.window.remove_dock_widget(navigator)
    assert [found.name for found in viewer.layers] == ["scan"]
    assert len(viewer.mouse_drag_callbacks) == callbacks - 1
    viewer.dims.set_point(0, 0)
    again = SliceNavigator(viewer)
    viewer.window.add_dock_widget(again, name="Slice navigator")
    qtbot.waitUntil(lambda: again.view.valid.any())
    assert {PLANE_NAME, LINE_NAME} < {found.name for found in viewer.layers}


def test_a_second_navigator_shares_the_pose(navigator, viewer, qtbot):
    navigator.state.move([0.1, 0, 0, 0, 0, 0, 0])
    second = SliceNavigator(viewer)
    viewer.window.add_dock_widget(second, name="Second")
    assert second.pose == navigator.pose
    second.state.move([0.1, 0, 0, 0.2, 0, 0, 0])
    assert second.pose == navigator.pose
    add_volume(viewer, user.small_volume("other"))
    second.source.setCurrentText("other")
    assert navigator.source.currentText() == "other"
    assert [found.name for found in viewer.layers].count(PLANE_NAME) == 1
    viewer.window.remove_dock_widget(second)
    navigator.state.reset()
    qtbot.wait(30)
    assert PLANE_NAME in [found.name for found in viewer.layers]
