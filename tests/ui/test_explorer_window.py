"""The feature explorer in a window: opened by its workspace, clicked on the navigator's slice."""

import numpy as np
import pytest
from explorer_actions import anatomy, explored, settle
from navigator_actions import QEvent, mouse
from qtpy.QtCore import Qt

from napari_mrissl.ui import docks, workspaces
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator.gestures import point_at
from napari_mrissl.ui.session import keep

pytestmark = pytest.mark.gui

NONE = Qt.MouseButton.NoButton


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_workspace_opens_it_in_a_small_window(make_napari_viewer_proxy, qtbot, plugin, theme):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.theme = theme
    viewer.window.resize(1366, 740)
    add_volume(viewer, anatomy("bright"))
    plugin.commands.execute("napari-mrissl.workspace_explore")
    window = keep(viewer).window
    (dock, explorer) = docks.open_docks(window)[workspaces.EXPLORER]
    qtbot.waitUntil(lambda: not dock.visibleRegion().isEmpty(), timeout=20_000)
    assert window.width() <= 1366
    assert dock.width() >= explorer.minimumSizeHint().width()
    settle(explorer)
    # The only scan is ticked: one press computes.
    explorer.scans.compute.click()
    settle(explorer)
    assert [one.volume.name for one in explorer.exploration.explored] == ["bright"]
    explorer.meter_tab.side.setCurrentIndex(0)
    explorer.measure()
    settle(explorer)
    assert explorer.meter_tab.histograms.lines
    background = explorer.meter_tab.histograms.canvas.backgroundBrush().color()
    assert (background.lightness() < 128) == (theme == "dark")


def test_a_click_on_the_navigators_slice_asks_there(navigator, viewer, qtbot):
    add_volume(viewer, anatomy("bright"))
    _, explorer = docks.open_dock(viewer, workspaces.EXPLORER)
    settle(explorer)
    navigator.choose_layer(viewer.layers["bright"])
    held = explored(explorer, "bright", source="intensity")
    navigator.state.move([0, 0, 0, 0.4, 0.3, 0.1, -0.3])
    navigator.presenter.present()
    explorer.match_tab.tool.click()
    canvas = navigator.view.canvas
    pose = navigator.pose
    place = (canvas.width() / 2 + 20, canvas.height() / 2 - 15)
    mouse(canvas, QEvent.Type.MouseMove, place, NONE)
    qtbot.wait(20)
    mouse(canvas, QEvent.Type.MouseButtonPress, place)
    qtbot.wait(20)
    mouse(canvas, QEvent.Type.MouseButtonRelease, place, NONE)
    qtbot.waitUntil(lambda: held.place is not None, timeout=20_000)
    settle(explorer)
    away = np.subtract(held.place.world, pose.center) @ pose.rotation
    # In the slice's plane, right of and above its middle.
    assert abs(away[2]) < 1e-6
    assert away[0] > 1
    assert away[1] > 1
    np.testing.assert_allclose(point_at(pose, (-away[1], away[0])), held.place.world)
    assert held.found
    np.testing.assert_allclose(navigator.pose.center, pose.center)
    # Escape ends it wherever the keyboard is, and is the viewer's again then.
    window = explorer.window()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=20_000)
    main_canvas = window.centralWidget()
    for focused in (canvas, main_canvas, explorer.scans.scans):
        focused.setFocus()
        qtbot.keyClick(focused, Qt.Key.Key_Escape)
        assert not explorer.match_tab.tool.isChecked()
        explorer.match_tab.tool.click()
    # Closed, it leaves slice and viewer as they were.
    before = len(navigator.slice_viewer.mouse_drag_callbacks)
    explorer.shut_down()
    assert len(navigator.slice_viewer.mouse_drag_callbacks) == before - 1
    assert [layer.name for layer in viewer.layers][-1] == "bright"
