"""Marking on the navigator's oblique slice, and seeing the result there."""

import numpy as np
import pytest
import ui.segmenter_actions as user

from napari_mrissl.geometry import Pose, apply_affine
from napari_mrissl.ui.layers import add_volume, labels_array
from napari_mrissl.ui.navigator import SliceNavigator
from napari_mrissl.ui.segmenter.slice_link import stroke_voxels

pytestmark = pytest.mark.gui


@pytest.fixture
def both(make_napari_viewer, qtbot):
    """A panel, and a navigator on the same scan, tilted."""
    viewer = make_napari_viewer()
    add_volume(viewer, user.ball())
    panel = user.docked(viewer, qtbot)
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator", area="right")
    panel.slice_link.find()
    navigator.pose = Pose.from_normal_up((1, 2, 3), (0.2, 0.4, 0.9), (0, 1, 0), 44.0)
    yield panel, navigator
    navigator.shut_down()


def world(navigator, row, column):
    """World mm of mm (row, column) on the slice, from the definition of a pose."""
    pose = navigator.pose
    return pose.center + column * pose.rotation[:, 0] - row * pose.rotation[:, 1]


def test_a_click_on_the_slice_is_a_click_in_the_world(both, qtbot):
    panel, navigator = both
    link, state = panel.slice_link, panel.controller.session.state
    panel.mark_buttons.click.click()
    assert str(link.clicks.mode) == "add"
    link.clicks.add((-4.0, 7.0))
    assert np.allclose(state.clicks[-1][:3], world(navigator, -4.0, 7.0))
    panel.choose_class(2)
    link.clicks.add((14.0, -9.0))
    user.settle(panel, qtbot)
    assert [click[3] for click in state.clicks] == [1, 2]
    assert np.allclose(link.clicks.data, [(-4, 7), (14, -9)])
    assert np.allclose(link.clicks.face_color[1][:3], np.array([0x6B, 0xAE, 0xD6]) / 255)
    assert (user.shown(panel) == user.expected(panel)).all()


def test_the_slice_shows_the_labels_of_its_voxels(both, qtbot):
    panel, navigator = both
    user.two_clicks(panel, qtbot)
    qtbot.wait(20)
    volume, truth = panel.controller.session.volume, user.shown(panel)
    size = len(panel.slice_link.result.data)
    random = np.random.default_rng(0)
    for i, j in random.integers(0, size, (300, 2)):
        row, column = (np.array([i, j]) + 0.5) / size * 44.0 - 22.0
        index = np.rint(apply_affine(volume.to_index, world(navigator, row, column))).astype(int)
        inside = (index >= 0).all() and (index < volume.shape).all()
        assert panel.slice_link.result.data[i, j] == (truth[tuple(index)] if inside else 0)


def test_a_stroke_on_the_slice_is_painted_into_the_scan(both, qtbot):
    panel, navigator = both
    session = panel.controller.session
    panel.mark_buttons.scribble.click()
    layer = panel.slice_link.scribbles
    assert str(layer.mode) == "paint"
    layer.paint((128, 128), layer.selected_label)
    user.settle(panel, qtbot)
    painted = session.state.scribble
    assert len(painted) > 0
    assert set(painted.labels.tolist()) == {1}
    index = np.stack(np.unravel_index(painted.voxels, session.volume.shape), -1)
    places = apply_affine(session.volume.affine, index)
    # All of them touch the slice, near its middle.
    assert np.abs((places - navigator.pose.center) @ navigator.pose.normal).max() <= np.sqrt(3)
    assert np.linalg.norm(places - navigator.pose.center, axis=1).max() < 4.0
    assert np.count_nonzero(labels_array(panel.scribbles_layer)) == len(painted)
    panel.undo()
    qtbot.waitUntil(lambda: not np.asarray(layer.data).any())


def test_coarse_pixels_leave_no_holes():
    volume = user.ball()
    pose = Pose.from_normal_up(volume.center, (0, 0, 1), (0, 1, 0), 160.0)
    painted = np.zeros((16, 16), bool)
    painted[7:9, 7:9] = True
    stroke = stroke_voxels(volume, pose, painted, np.where(painted, 2, 0))
    # 2 x 2 pixels of 10 mm over voxels of 2 mm: every voxel of a 20 mm square.
    index = np.stack(np.unravel_index(stroke.voxels, volume.shape), -1)
    assert len(index) == 10 * 10 * len(np.unique(index[:, 0]))
    assert set(stroke.labels.tolist()) == {2}


def test_looking_gives_the_mouse_back_to_the_navigator(both):
    panel, navigator = both
    panel.mark_buttons.scribble.click()
    assert navigator.slice_viewer.layers.selection.active is panel.slice_link.scribbles
    panel.mark_buttons.move.click()
    assert navigator.slice_viewer.layers.selection.active is navigator.view.layer
    assert str(panel.scribbles_layer.mode) == "pan_zoom"


def test_another_scan_on_the_slice_hides_our_marks(both, qtbot):
    panel, navigator = both
    other = add_volume(panel.controller.viewer, user.ball("other", seed=4))
    navigator.choose_layer(other)
    qtbot.waitUntil(lambda: not panel.slice_link.result.visible)
    assert panel.slice_link.pose is None


def test_closing_either_leaves_the_other_whole(both, qtbot):
    panel, navigator = both
    user.two_clicks(panel, qtbot)
    viewer = panel.controller.viewer
    viewer.window.remove_dock_widget(navigator)
    panel.slice_link.find()
    assert panel.slice_link.navigator is None
    panel.add_click((3.0, 0.0, 0.0), 1)
    user.settle(panel, qtbot)
    assert (user.shown(panel) == user.expected(panel)).all()
    again = SliceNavigator(viewer)
    viewer.window.add_dock_widget(again, name="Slice navigator", area="right")
    panel.slice_link.find()
    assert len(again.slice_viewer.layers) == 4
    viewer.window.remove_dock_widget(panel)
    assert len(again.slice_viewer.layers) == 1
    again.shut_down()
