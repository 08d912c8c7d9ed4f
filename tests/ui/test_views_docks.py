"""The slice views in napari's window, beside the navigator; contrast and labels on its slice."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QDockWidget

sys.path.insert(0, __file__.rpartition("/")[0])
import navigator_actions
import views_actions as user

from napari_mrissl.ui.layers import add_labels, add_volume, volume_of
from napari_mrissl.ui.navigator import SliceNavigator
from napari_mrissl.ui.navigator.sharing import shared_state
from napari_mrissl.ui.views import SliceViews

pytestmark = pytest.mark.gui


def test_a_navigator_and_the_views_show_one_pose(viewer, qtbot):
    views = user.open_views(viewer, qtbot)
    add_volume(viewer, navigator_actions.small_volume("later"))
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator")
    assert navigator.state is views.state
    assert shared_state(viewer) is views.state
    # What the views showed first is not exchanged, and the plane is shown by the navigator.
    assert navigator.source.layer.name == "scan"
    assert navigator.plane.shown
    user.click(views.panes["axial"], (60, 60))
    np.testing.assert_allclose(navigator.pose.center, views.crosshair)
    navigator.choose_layer(viewer.layers[1])
    assert views.state.source.name == "later"
    viewer.window.remove_dock_widget(navigator)
    user.settle(views, qtbot)
    assert views.state.volume is not None
    views.shut_down()


def test_the_menu_opens_a_wide_dock_beside_the_navigator(viewer, navigator, qtbot):
    viewer.window.resize(1366, 768)
    dock, views = viewer.window.add_plugin_dock_widget("napari-mrissl", "Slice views")
    qtbot.waitUntil(lambda: bool(views.panes["axial"].images))
    qtbot.wait(50)
    beside = navigator.parentWidget()
    while not isinstance(beside, QDockWidget):
        beside = beside.parentWidget()
    assert dock.height() > 500
    assert beside.height() > 500
    assert not dock.geometry().intersects(beside.geometry())
    assert views.state is navigator.state
    viewer.window.remove_dock_widget(views)
    assert views.closed
    assert not navigator.closed


def opened_and_closed(viewer, qtbot):
    views = SliceViews(viewer)
    viewer.window.add_dock_widget(views, name="Slice views")
    qtbot.waitUntil(lambda: bool(views.panes["free"].images))
    viewer.window.remove_dock_widget(views)
    assert views.closed
    views.deleteLater()
    return weakref.ref(views), weakref.ref(views.state)


def counted(viewer):
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    gc.collect()
    widgets = len(QApplication.allWidgets())
    return widgets, threading.active_count(), user.callbacks(viewer)


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_opening_and_closing_leaves_nothing_behind(viewer, qtbot, rounds):
    volume = volume_of(viewer.layers[0])
    add_labels(viewer, volume, np.ones(volume.shape, np.uint8))
    opened_and_closed(viewer, qtbot)
    before = counted(viewer)
    gone = [opened_and_closed(viewer, qtbot) for _ in range(rounds)]
    assert counted(viewer) == before
    # The newest may wait for a later collection; what matters is that they do not add up.
    assert sum(views() is not None for views, _ in gone) <= 2
    assert len({id(state()) for _, state in gone if state() is not None}) <= 1


def right(canvas, kind, point, held=True):
    buttons = user.RIGHT if held else user.NONE
    moving = kind == QEvent.Type.MouseMove
    user.event(canvas, kind, point, user.NONE if moving else user.RIGHT, buttons)


def test_a_right_drag_on_the_navigators_slice_is_window_and_level(navigator, canvas, viewer, qtbot):
    layer, start = viewer.layers[0], navigator.pose
    limits = list(layer.contrast_limits)
    x, y = navigator_actions.middle(canvas)
    right(canvas, QEvent.Type.MouseButtonPress, (x, y))
    for step in (10, 20, 30):
        right(canvas, QEvent.Type.MouseMove, (x + step, y - step))
        qtbot.wait(15)
    right(canvas, QEvent.Type.MouseButtonRelease, (x + 30, y - 30), held=False)
    qtbot.wait(20)
    low, high = layer.contrast_limits
    assert high - low == pytest.approx((limits[1] - limits[0]) * np.exp(30 / 200))
    assert low + high < sum(limits)
    assert navigator.pose == start
    assert tuple(navigator.view.layer.contrast_limits) == pytest.approx((low, high))
    navigator.moves.undo.click()
    assert list(layer.contrast_limits) == limits
    navigator.moves.redo.click()
    assert tuple(layer.contrast_limits) == pytest.approx((low, high))
    right(canvas, QEvent.Type.MouseButtonPress, (x, y))
    right(canvas, QEvent.Type.MouseButtonRelease, (x, y), held=False)
    right(canvas, QEvent.Type.MouseButtonDblClick, (x, y))
    right(canvas, QEvent.Type.MouseButtonRelease, (x, y), held=False)
    qtbot.wait(20)
    assert tuple(layer.contrast_limits) == pytest.approx(volume_of(layer).display_window())


def placed(layer):
    return np.asarray(layer.affine)


def test_label_layers_lie_over_the_navigators_slice(navigator, viewer, qtbot):
    volume = navigator.volume
    overlay = navigator.labels.layer
    assert overlay not in navigator.slice_viewer.layers
    # The half where A is larger than that of the middle.
    labels = np.zeros(volume.shape, np.int32)
    labels[:, 18:] = 1
    layer = add_labels(viewer, volume, labels, opacity=0.5)
    qtbot.waitUntil(lambda: overlay in navigator.slice_viewer.layers and overlay.visible)
    assert navigator.slice_viewer.layers.selection.active is navigator.view.layer
    picture = np.asarray(overlay.data)
    size = len(picture)
    # Anterior is up; the border between is an opaque line in the label's colour.
    assert set(picture[size // 4 : size // 2 - 3, size // 2, 3].tolist()) == {128}
    assert picture[size // 2 + 3 :, size // 2, 3].max() == 0
    assert picture[size // 2 - 3 : size // 2 + 3, size // 2, 3].max() == 255
    np.testing.assert_allclose(overlay.extent.world, navigator.view.layer.extent.world)
    navigator.state.move([0, 0, 0, 0, 0, np.pi / 2, -0.3])
    qtbot.wait(30)
    turned = np.asarray(overlay.data)
    assert (turned[:, : size // 2 - 3, 3].max() > 0) != (turned[:, size // 2 + 3 :, 3].max() > 0)
    np.testing.assert_allclose(overlay.extent.world, navigator.view.layer.extent.world)
    # Painted on in place, as a script does it.
    labels[...] = 0
    layer.refresh()
    qtbot.waitUntil(lambda: np.asarray(overlay.data)[..., 3].max() == 0)
    layer.visible = False
    qtbot.waitUntil(lambda: not overlay.visible)
