"""The navigator with real widgets: mouse, keys, fields, go to, layers, close and reopen."""

import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox

sys.path.insert(0, __file__.rpartition("/")[0])
import navigator_actions as user

from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.slicing import render
from napari_mrissl.ui.layers import add_volume, to_napari
from napari_mrissl.ui.navigator import SliceNavigator
from napari_mrissl.ui.navigator.keys import KeySheet, all_keys
from napari_mrissl.ui.navigator.plane import LINE_NAME, PLANE_NAME
from napari_mrissl.volumes.volume import Volume

pytestmark = pytest.mark.gui


def small_volume(name="scan", offset=0.0):
    index = np.indices((32, 36, 40), np.float32)
    voxels = 3 * index[0] + 2 * index[1] + index[2]
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    affine[:3, 3] = (-30 + offset, -20, -25)
    return Volume.from_stored(voxels, affine, name=name)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    add_volume(viewer, small_volume())
    return viewer


@pytest.fixture
def navigator(viewer, qtbot):
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator")
    qtbot.waitUntil(lambda: navigator.view.valid.any())
    qtbot.wait(50)
    return navigator


@pytest.fixture
def canvas(navigator):
    return navigator.view.canvas


def moved(before, after):
    return np.flatnonzero(np.abs(relative_action(before, after)) > 1e-9).tolist()


def layer(viewer, name):
    return next(found for found in viewer.layers if found.name == name)


def test_the_canvas_shows_what_the_renderer_gives(navigator, viewer, qtbot):
    navigator.state.move([0.05, 0, 0, 0.3, 0.2, 0, -0.3])
    qtbot.wait(30)
    expected = render(navigator.volume, navigator.pose, 256)
    np.testing.assert_array_equal(navigator.view.layer.data, expected.values)
    corners = layer(viewer, PLANE_NAME).vertices if viewer.dims.ndisplay == 3 else None
    assert corners is None
    for found in (*viewer.layers, *navigator.slice_viewer.layers):
        assert [str(unit) for unit in found.units] == ["millimeter"] * found.ndim
        assert found.axis_labels[0] in ("S", "down")


def test_the_slice_lies_where_its_world_says(navigator, canvas, qtbot):
    """The brightest shown corner is where the volume is brightest."""
    navigator.state.reset()
    qtbot.wait(50)
    picture = navigator.view.qt_viewer.screenshot(flash=False)[..., 0].astype(float)
    height, width = picture.shape
    side = min(height, width)
    rows = (np.arange(32) + 0.5) / 32 * side * 0.5 + height / 2 - side / 4
    columns = (np.arange(32) + 0.5) / 32 * side * 0.5 + width / 2 - side / 4
    shown = picture[np.ix_(rows.astype(int), columns.astype(int))]
    # Values rise with R (columns) and A (rows upwards).
    assert (np.diff(shown.mean(axis=0)) > -2).all()
    assert shown[:, -1].mean() > shown[:, 0].mean() + 10
    assert shown[0].mean() > shown[-1].mean() + 10


def test_dragging_pans_and_is_one_undo_step(navigator, canvas, qtbot):
    start = navigator.pose
    x, y = user.middle(canvas)
    user.drag(qtbot, canvas, (x, y), (x + 24, y + 12))
    scale = start.fov / min(canvas.width(), canvas.height())
    action = relative_action(start, navigator.pose)
    np.testing.assert_allclose(action[:2] * start.fov, [-24 * scale, 12 * scale], rtol=0.02)
    assert moved(start, navigator.pose) == [0, 1]
    navigator.moves.undo.click()
    assert navigator.pose == start
    assert not navigator.moves.undo.isEnabled()
    navigator.moves.redo.click()
    assert navigator.pose != start


def test_the_wheel_goes_through_and_with_ctrl_zooms(navigator, canvas, qtbot):
    start = navigator.pose
    user.wheel(qtbot, canvas, user.middle(canvas), 1)
    np.testing.assert_allclose(navigator.pose.center - start.center, 2.0 * start.normal)
    user.wheel(qtbot, canvas, user.middle(canvas), -1, user.SHIFT)
    np.testing.assert_allclose(navigator.pose.center - start.center, -8.0 * start.normal)
    before = navigator.pose
    user.wheel(qtbot, canvas, user.middle(canvas), 1, user.CTRL)
    assert navigator.pose.fov < before.fov
    assert moved(before, navigator.pose) == [6]
    qtbot.wait(30)
    camera = navigator.slice_viewer.scene.camera
    side = min(canvas.width(), canvas.height())
    assert camera.zoom * navigator.pose.fov == pytest.approx(side)


def test_modified_drags_rotate(navigator, canvas, qtbot):
    x, y = user.middle(canvas)
    start = navigator.pose
    user.drag(qtbot, canvas, (x, y), (x + 25, y), user.SHIFT)
    assert moved(start, navigator.pose) == [4]
    start = navigator.pose
    user.drag(qtbot, canvas, (x, y), (x, y + 25), user.SHIFT)
    assert moved(start, navigator.pose) == [3]
    start = navigator.pose
    user.drag(qtbot, canvas, (x + 40, y), (x, y - 40), user.CTRL)
    action = relative_action(start, navigator.pose)
    assert moved(start, navigator.pose) == [5]
    assert action[5] == pytest.approx(-np.pi / 2, abs=0.05)


def test_double_click_and_go_to_click_centre_the_point(navigator, canvas, qtbot):
    x, y = user.middle(canvas)
    for go in (user.double_click, None):
        start = navigator.pose
        scale = start.fov / min(canvas.width(), canvas.height())
        if go is None:
            navigator.moves.go_to.setChecked(True)
            user.click(qtbot, canvas, (x + 20, y - 10))
            assert not navigator.moves.go_to.isChecked()
        else:
            go(qtbot, canvas, (x + 20, y - 10))
        expected = start.center + scale * (20 * start.right + 10 * start.up)
        np.testing.assert_allclose(navigator.pose.center, expected, atol=1.5 * scale)
    before = navigator.pose
    user.click(qtbot, canvas, (x + 20, y))
    assert navigator.pose == before


def test_the_read_out_names_place_and_value(navigator, canvas, qtbot):
    x, y = user.middle(canvas)
    user.mouse(canvas, user.QEvent.Type.MouseMove, (x + 10, y), Qt.MouseButton.NoButton)
    qtbot.wait(30)
    pose = navigator.pose
    scale = pose.fov / min(canvas.width(), canvas.height())
    text = navigator.read_out.cursor_text.text()
    assert text.startswith("R ")
    words = text.replace("mm:", "").split()
    place = [float(words[k]) for k in (1, 3, 5)]
    np.testing.assert_allclose(place, pose.center + 10 * scale * pose.right, atol=1)
    value = np.asarray(render(navigator.volume, pose, 256))[128, 128]
    assert float(words[6]) == pytest.approx(value, rel=0.2)
    user.mouse(canvas, user.QEvent.Type.MouseMove, (x, 1), Qt.MouseButton.NoButton)
    qtbot.wait(30)
    assert "outside" in navigator.read_out.cursor_text.text()


def press(canvas, sequence):
    """Send a key of the sheet to the canvas."""
    *modifiers, name = sequence.split("+") if sequence != "+" else ["+"]
    flags = user.PLAIN
    for modifier in modifiers:
        flags |= {"Shift": user.SHIFT, "Ctrl": user.CTRL}[modifier]
    keys = {"PgUp": Qt.Key.Key_PageUp, "PgDown": Qt.Key.Key_PageDown}
    keys |= {",": Qt.Key.Key_Comma, ".": Qt.Key.Key_Period, "?": Qt.Key.Key_Question}
    key = keys.get(name) or getattr(Qt.Key, f"Key_{name}")
    text = name if len(name) == 1 else ""
    event = user.QKeyEvent(user.QEvent.Type.KeyPress, key, flags, text)
    QApplication.sendEvent(canvas, event)


def test_keys_move_in_all_seven_dimensions_both_ways(navigator, canvas):
    seen = set()
    for key in all_keys():
        if key.command != "move":
            continue
        navigator.state.reset()
        start = navigator.pose
        press(canvas, key.sequence)
        (dimension,) = moved(start, navigator.pose)
        sign = np.sign(relative_action(start, navigator.pose)[dimension])
        seen.add((dimension, int(sign)))
    assert seen == {(dimension, sign) for dimension in range(7) for sign in (-1, 1)}


def test_command_keys_do_what_the_sheet_says(navigator, canvas, qtbot):
    press(canvas, "9")
    assert navigator.view.side_letters() != {}
    np.testing.assert_allclose(navigator.pose.up, [0, 0, 1])
    press(canvas, "0")
    np.testing.assert_allclose(navigator.pose.right, [0, 1, 0])
    press(canvas, "U")
    np.testing.assert_allclose(navigator.pose.right, [1, 0, 0])
    press(canvas, "Shift+U")
    np.testing.assert_allclose(navigator.pose.right, [0, 1, 0])
    press(canvas, "8")
    np.testing.assert_allclose(navigator.pose.up, [0, 1, 0])
    navigator.state.move([0.1, 0, 0, 0, 0, 0, 0])
    press(canvas, "Home")
    np.testing.assert_allclose(navigator.pose.center, navigator.volume.center)
    press(canvas, "G")
    assert navigator.moves.go_to.isChecked()
    press(canvas, "?")
    (sheet,) = navigator.findChildren(KeySheet)
    assert sheet.isVisible()
    sheet.close()


def test_no_key_is_one_of_naparis():
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Points, Shapes, Surface, Tracks, Vectors
    from napari.utils.shortcuts import default_shortcuts
    from qtpy.QtGui import QKeySequence

    taken = {str(binding) for bindings in default_shortcuts.values() for binding in bindings}
    for owner in (ViewerModel, Image, Labels, Points, Shapes, Surface, Tracks, Vectors):
        taken |= {str(binding) for binding in owner.class_keymap}
    taken = {QKeySequence(text).toString() for text in taken}
    assert len(taken) > 40
    ours = {QKeySequence(key.sequence).toString() for key in all_keys()}
    assert len(ours) == len(all_keys())
    assert not ours & taken


def test_keys_are_no_menu_shortcuts(viewer):
    from app_model import Application

    taken = {str(binding.keybinding) for binding in Application.get_app("test_app").keybindings}
    assert len(taken) > 15
    assert not {key.sequence for key in all_keys()} & taken


def test_other_keys_reach_the_main_viewer_and_not_the_slice(navigator, viewer, canvas, qtbot):
    assert viewer.dims.ndisplay == 2
    event = user.QKeyEvent(user.QEvent.Type.KeyPress, Qt.Key.Key_V, user.PLAIN, "v")
    before = viewer.layers[0].visible
    viewer.layers.selection.active = layer(viewer, "scan")
    canvas.setFocus()
    QApplication.sendEvent(canvas, event)
    assert layer(viewer, "scan").visible != before
    assert navigator.view.layer.visible


def test_presets_letters_and_convention(navigator, qtbot):
    navigator.moves.presets["coronal"].click()
    qtbot.wait(30)
    assert navigator.view.side_letters() == {"up": "S", "down": "I", "left": "L", "right": "R"}
    assert navigator.read_out.sides.text().startswith("Neurological")
    navigator.pose_panel.convention.setCurrentText("radiological")
    qtbot.wait(30)
    assert navigator.view.side_letters() == {"up": "S", "down": "I", "left": "R", "right": "L"}
    assert navigator.read_out.sides.text().startswith("Radiological")
    navigator.state.move([0, 0, 0, 0, np.radians(40), 0, 0])
    qtbot.wait(30)
    letters = navigator.view.side_letters()
    assert set(letters["right"]) == {"L", "P"} or set(letters["right"]) == {"L", "A"}


def test_fields_show_and_set_the_pose(navigator, qtbot):
    panel = navigator.pose_panel
    navigator.pose = Pose(np.array([1.26, 2.0, 3.0]), np.eye(3), 44.44)
    assert [f.value() for f in panel.center] == [1.3, 2.0, 3.0]
    assert panel.fov.value() == 44.4
    panel.center[2].setValue(-7)
    np.testing.assert_allclose(navigator.pose.center, [1.26, 2.0, -7])
    panel.angles[0].setValue(20)
    np.testing.assert_allclose(
        navigator.pose.up, [0, np.cos(np.radians(20)), np.sin(np.radians(20))]
    )
    panel.angles[2].setValue(10)
    assert panel.angles[0].value() == 20
    panel.fov.setValue(30)
    assert navigator.pose.fov == 30
    panel.center[0].setValue(5000)
    assert panel.center[0].value() < 100
    panel.interpolation.setCurrentText("nearest")
    qtbot.wait(30)
    expected = render(navigator.volume, navigator.pose, 256, "nearest")
    np.testing.assert_array_equal(navigator.view.layer.data, expected.values)


def test_the_2d_view_and_the_slice_follow_each_other(navigator, viewer, qtbot):
    navigator.state.move([0, 0, 0.1, 0, 0, 0, 0])
    qtbot.wait(80)
    np.testing.assert_allclose(viewer.dims.point, to_napari(navigator.pose.center), atol=1e-6)
    viewer.dims.set_point(0, viewer.dims.point[0] + 6)
    qtbot.wait(80)
    assert navigator.pose.center[2] == pytest.approx(viewer.dims.point[0])
    navigator.state.move([0, 0, 0, 0.5, 0, 0, 0])
    qtbot.wait(80)
    line = layer(viewer, LINE_NAME)
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
    plane = layer(viewer, PLANE_NAME)
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
    assert moved(start, navigator.pose) == [2]
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
    layer(viewer, "scan").visible = False
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
    second = add_volume(viewer, small_volume("other", offset=4.0))
    assert [navigator.source.itemText(k) for k in range(2)] == ["other", "scan"]
    assert navigator.source.currentText() == "scan"
    first = layer(viewer, "scan")
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
    add_volume(viewer, small_volume("third"))
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
    assert len(layer(viewer, LINE_NAME).data) == 1
    viewer.dims.set_point(0, 4000)
    assert navigator.pose.center[2] == pytest.approx(4)
    assert "Inconsistent" not in caplog.text


def test_contrast_and_colours_follow_the_layer(navigator, viewer, qtbot):
    scan = layer(viewer, "scan")
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
    viewer.layers.remove(layer(viewer, PLANE_NAME))
    viewer.layers.remove(layer(viewer, LINE_NAME))
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
    assert again.state is not navigator.state
    assert {PLANE_NAME, LINE_NAME} < {found.name for found in viewer.layers}


def test_a_second_navigator_shares_the_pose(navigator, viewer, qtbot):
    navigator.state.move([0.1, 0, 0, 0, 0, 0, 0])
    second = SliceNavigator(viewer)
    viewer.window.add_dock_widget(second, name="Second")
    assert second.pose == navigator.pose
    second.state.move([0.1, 0, 0, 0.2, 0, 0, 0])
    assert second.pose == navigator.pose
    add_volume(viewer, small_volume("other"))
    second.source.setCurrentText("other")
    assert navigator.source.currentText() == "other"
    assert [found.name for found in viewer.layers].count(PLANE_NAME) == 1
    viewer.window.remove_dock_widget(second)
    navigator.state.reset()
    qtbot.wait(30)
    assert PLANE_NAME in [found.name for found in viewer.layers]


def test_no_scan_at_first(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator)
    assert navigator.volume is None
    assert "Open a scan" in navigator.message.text()
    navigator.state.move([0.1, 0, 0, 0, 0, 0, 0])
    qtbot.wait(30)
    assert not viewer.layers
    add_volume(viewer, small_volume())
    qtbot.waitUntil(lambda: navigator.view.valid.any())
    np.testing.assert_allclose(navigator.pose.center, navigator.volume.center)


def test_every_control_has_a_tooltip_and_nothing_is_cut_off(navigator, viewer, qtbot):
    window = navigator.window()
    window.resize(1366, 768)
    qtbot.wait(100)
    assert window.height() <= 768
    assert window.width() <= 1366
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox)
    inside = navigator.rect()
    for kind in kinds:
        for control in navigator.findChildren(kind):
            if not control.isVisible() or navigator.view.isAncestorOf(control):
                continue
            if isinstance(control.parentWidget(), QAbstractSpinBox | QComboBox):
                continue
            # A section's own heading carries its section's tip.
            tip = control.toolTip() or control.parentWidget().toolTip()
            assert tip, control
            corner = control.mapTo(navigator, control.rect().topLeft())
            assert corner.x() >= 0
            assert corner.x() + control.width() <= inside.width(), control
            if isinstance(control, QAbstractButton) and control.text():
                text = control.fontMetrics().horizontalAdvance(control.text())
                assert control.width() >= text, control.text()


def test_opening_the_widget_imports_no_torch():
    code = (
        "import sys, napari_mrissl.ui.navigator as n; assert n.SliceNavigator;"
        "import napari_mrissl.ui.navigator.widget; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
