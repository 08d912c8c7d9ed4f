"""The canvas of the crop goes with its dock, and with the window.

By itself, as napari lets no other canvas live beside the viewers of its fixtures.
"""

import gc
import weakref

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.layers import add_volume
from tests.inspected import shared_run

pytestmark = pytest.mark.gui


def shown_in(viewer, qtbot, run):
    """The inspector's dock with a run, and what its canvas is held by."""
    inspector = Inspector(viewer)
    dock = viewer.window.add_dock_widget(inspector, name="Inspector")
    qtbot.waitUntil(lambda: not inspector.busy, timeout=60_000)
    inspector.load(run)
    qtbot.waitUntil(lambda: inspector.panel is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not inspector.busy, timeout=60_000)
    view = inspector.panel.crop_tab.view
    assert view.layer is not None
    return dock, view, weakref.ref(view.qt_viewer)


@pytest.mark.parametrize("window_first", [False, True])
def test_it_ends_with_its_dock_and_with_the_window(
    make_napari_viewer, qtbot, make_geometry, marker_volume, tmp_path_factory, window_first
):
    viewer = make_napari_viewer(show=True)
    add_volume(viewer, marker_volume(make_geometry(degrees=17.0)))
    dock, view, canvas = shown_in(viewer, qtbot, shared_run(tmp_path_factory))
    assert canvas() is not None
    if window_first:
        viewer.close()
    else:
        viewer.window.remove_dock_widget(dock)
    assert view.qt_viewer is None
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.waitUntil(lambda: gc.collect() >= 0 and canvas() is None, timeout=20_000)
