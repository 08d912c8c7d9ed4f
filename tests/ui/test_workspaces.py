"""Workspaces: one command puts the docks of a task in place, once each."""

import gc

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui import docks, workspaces
from napari_mrissl.ui.session import keep, store

pytestmark = pytest.mark.gui

VIEWS, NAVIGATOR = workspaces.VIEWS, workspaces.NAVIGATOR
RECORDER, SEGMENTER = workspaces.RECORDER, workspaces.SEGMENTER
STUDIO = workspaces.STUDIO


def side_by_side(one, other):
    return one.y() == other.y() and one.x() + one.width() <= other.x()


def test_the_tasks_in_turn_with_a_scan_in_a_wide_window(make_napari_viewer_proxy, qtbot, plugin):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1600, 900)
    # As the menu opens it, with a proxy: it must be found and used again.
    _, navigator = viewer.window.add_plugin_dock_widget("napari-mrissl", NAVIGATOR)
    viewer.open_sample("napari-mrissl", "phantom")
    window = keep(viewer).window
    assert workspaces.current_viewer() is viewer.__wrapped__
    for command in ("look", "record", "label", "look"):
        plugin.commands.execute(f"napari-mrissl.workspace_{command}")
        qtbot.wait(150)
    # Docks belong to the window, not to Python, whose garbage some once were.
    gc.collect()
    there = docks.open_docks(window)
    assert there[NAVIGATOR][1] is navigator
    assert set(there) == {VIEWS, NAVIGATOR, RECORDER, SEGMENTER}
    ours = [type(dock.widget()) for dock in window.findChildren(QDockWidget)]
    assert all(ours.count(type(panel)) == 1 for _, panel in there.values())
    views, panels = there[VIEWS][0], there[NAVIGATOR][0]
    assert side_by_side(views, panels)
    assert views.width() >= 400
    assert window.centralWidget().width() >= 250
    stack = window.tabifiedDockWidgets(panels)
    assert {there[RECORDER][0], there[SEGMENTER][0]} == set(stack)
    assert not panels.visibleRegion().isEmpty()
    plugin.commands.execute("napari-mrissl.workspace_label")
    qtbot.wait(150)
    front = there[SEGMENTER][0]
    assert not front.visibleRegion().isEmpty()
    # What is described is what arranging makes again.
    described = {one.title: one.place for one in docks.describe(window)}
    docks.arrange(window, {title: {**place, "group": 0} for title, place in described.items()})
    qtbot.wait(50)
    docks.arrange(window, described)
    qtbot.wait(150)
    assert {one.title: one.place for one in docks.describe(window)}.keys() == described.keys()
    assert window.dockWidgetArea(front) == Qt.DockWidgetArea.RightDockWidgetArea
    assert side_by_side(views, front)
    assert abs(views.width() - described[VIEWS]["size"][0]) <= 40
    keeper = keep(viewer)
    keeper.look()
    assert keeper.writer.wait()
    assert store.read_session(keeper.writer.name).record.workspace == "label"


def test_a_narrow_window_without_a_scan(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1366, 768)
    window = keep(viewer).window
    workspaces.open_workspace(viewer, "record")
    qtbot.wait(200)
    there = {title: dock for title, (dock, _) in docks.open_docks(window).items()}
    assert set(there) == {VIEWS, NAVIGATOR, RECORDER}
    assert set(window.tabifiedDockWidgets(there[VIEWS])) == {there[NAVIGATOR], there[RECORDER]}
    assert not there[RECORDER].visibleRegion().isEmpty()
    assert window.width() <= 1366
    assert window.centralWidget().width() >= 200
    # The menu then shows and hides the very same dock.
    menu_name = f"{RECORDER} (MRI self-supervised learning)"
    assert menu_name in viewer.window.dock_widgets
    there[RECORDER].hide()
    workspaces.open_workspace(viewer, "record")
    assert not there[RECORDER].isHidden()


@pytest.mark.parametrize("width", [1366, 1600])
def test_synthesizing_needs_no_scan(make_napari_viewer_proxy, qtbot, plugin, width):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(width, 740)
    window = keep(viewer).window
    plugin.commands.execute("napari-mrissl.workspace_synthesize")
    qtbot.waitUntil(lambda: {VIEWS, STUDIO} == set(docks.open_docks(window)))
    (views, _), (dock, studio) = (docks.open_docks(window)[title] for title in (VIEWS, STUDIO))
    qtbot.waitUntil(lambda: not dock.visibleRegion().isEmpty(), timeout=20_000)
    if width < workspaces.WIDE:
        assert views in window.tabifiedDockWidgets(dock)
    else:
        qtbot.waitUntil(lambda: side_by_side(views, dock), timeout=20_000)
    assert window.width() <= width
    assert dock.width() >= studio.minimumSizeHint().width()
    qtbot.waitUntil(lambda: not studio.busy, timeout=120_000)


def test_no_such_workspace_and_no_window():
    from napari.components import ViewerModel

    with pytest.raises(MrisslError, match="look or record or label"):
        workspaces.open_workspace(ViewerModel(), "cook")
    with pytest.raises(MrisslError, match="no window"):
        workspaces.open_workspace(ViewerModel(), "look")
