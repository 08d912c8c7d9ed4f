"""The navigator with real widgets: mouse, keys, fields, go to, layers, close and reopen."""

import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QWidget,
)

sys.path.insert(0, __file__.rpartition("/")[0])
import navigator_actions as user

from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.slicing import render
from napari_mrissl.ui.docks import tab_with_others
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator import SliceNavigator
from napari_mrissl.ui.navigator.keys import KeySheet, all_keys
from napari_mrissl.ui.navigator.plane import PLANE_NAME

pytestmark = pytest.mark.gui


def test_the_canvas_shows_what_the_renderer_gives(navigator, viewer, qtbot):
    navigator.state.move([0.05, 0, 0, 0.3, 0.2, 0, -0.3])
    qtbot.wait(30)
    expected = render(navigator.volume, navigator.pose, 256)
    black = navigator.view.layer.contrast_limits[0]
    shown = np.where(expected.valid, expected.values, np.float32(black))
    np.testing.assert_array_equal(navigator.view.layer.data, shown)
    corners = user.layer(viewer, PLANE_NAME).vertices if viewer.dims.ndisplay == 3 else None
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
    assert user.moved(start, navigator.pose) == [0, 1]
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
    assert user.moved(before, navigator.pose) == [6]
    qtbot.wait(30)
    camera = navigator.slice_viewer.scene.camera
    side = min(canvas.width(), canvas.height())
    assert camera.zoom * navigator.pose.fov == pytest.approx(side)


def test_modified_drags_rotate(navigator, canvas, qtbot):
    x, y = user.middle(canvas)
    start = navigator.pose
    user.drag(qtbot, canvas, (x, y), (x + 25, y), user.SHIFT)
    assert user.moved(start, navigator.pose) == [4]
    start = navigator.pose
    user.drag(qtbot, canvas, (x, y), (x, y + 25), user.SHIFT)
    assert user.moved(start, navigator.pose) == [3]
    start = navigator.pose
    user.drag(qtbot, canvas, (x + 40, y), (x, y - 40), user.CTRL)
    action = relative_action(start, navigator.pose)
    assert user.moved(start, navigator.pose) == [5]
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
        (dimension,) = user.moved(start, navigator.pose)
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
    viewer.layers.selection.active = user.layer(viewer, "scan")
    canvas.setFocus()
    QApplication.sendEvent(canvas, event)
    assert user.layer(viewer, "scan").visible != before
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
    inside = expected.valid
    np.testing.assert_array_equal(navigator.view.layer.data[inside], expected.values[inside])


def test_the_read_out_follows_a_slice_that_moves_under_the_mouse(navigator, canvas, qtbot):
    user.mouse(canvas, QEvent.Type.MouseMove, user.middle(canvas), buttons=Qt.MouseButton.NoButton)
    navigator.read_out.show_cursor((0.0, 0.0))
    before = navigator.read_out.cursor_text.text()
    navigator.state.move([0, 0, 0.1, 0, 0, 0, 0])
    qtbot.waitUntil(lambda: navigator.read_out.cursor_text.text() != before)
    assert f"S {navigator.pose.center[2]:+.1f}" in navigator.read_out.cursor_text.text()


def test_another_tool_on_the_slice_changes_neither_zoom_nor_keys(navigator, canvas, qtbot):
    clicks = navigator.slice_viewer.add_points(np.zeros((0, 2)), ndim=2, units=("mm", "mm"))
    navigator.slice_viewer.layers.selection.active = clicks
    clicks.mode = "add"
    camera = navigator.slice_viewer.scene.camera
    zoom, before = camera.zoom, navigator.pose
    user.wheel(qtbot, canvas, user.middle(canvas), 3)
    assert camera.zoom == zoom
    assert user.moved(before, navigator.pose) == [2]
    before = navigator.pose
    press(canvas, "K")
    assert user.moved(before, navigator.pose) == [2]


def test_scrolling_the_dock_changes_no_field(navigator, qtbot):
    before = navigator.pose
    kinds = (QAbstractSpinBox, QComboBox)
    for field in [found for kind in kinds for found in navigator.findChildren(kind)]:
        field.clearFocus()
        shown = field.text() if isinstance(field, QAbstractSpinBox) else field.currentText()
        user.wheel(qtbot, field, (5, 5), -1)
        after = field.text() if isinstance(field, QAbstractSpinBox) else field.currentText()
        assert after == shown
    assert navigator.pose == before


def test_our_docks_are_tabs_of_one_place(viewer, qtbot):
    panels = [QWidget(), QWidget()]
    for name, panel in zip(("one", "two"), panels, strict=True):
        viewer.window.add_dock_widget(panel, name=name)
        tab_with_others(panel)
        qtbot.wait(50)
    window = panels[0].window()
    first, second = (
        next(d for d in window.findChildren(QDockWidget) if d.isAncestorOf(panel))
        for panel in panels
    )
    assert second in window.tabifiedDockWidgets(first)


def test_no_scan_at_first(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator)
    assert navigator.volume is None
    assert "Open a scan" in navigator.message.text()
    navigator.state.move([0.1, 0, 0, 0, 0, 0, 0])
    qtbot.wait(30)
    assert not viewer.layers
    add_volume(viewer, user.small_volume())
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
        "import napari_mrissl.ui.navigator.widget, napari_mrissl.ui.studio;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
