"""Imagine mode in a window: the navigator's mouse and keys fly it, and it ends with its dock."""

import gc
import weakref

import pytest
from navigator_actions import QEvent, drag, middle, wheel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_mrissl.pretext.navigation.moves import apart
from napari_mrissl.ui.inspector import Inspector
from tests.imagined import dynamics_run

pytestmark = pytest.mark.gui

SECONDS = 60_000


def flown(viewer, navigator, canvas, qtbot, run):
    """A dock whose panel has imagined what wheel, drag and key did; nothing else is held."""
    inspector = Inspector(viewer)
    dock = viewer.window.add_dock_widget(inspector, name="Inspector")
    inspector.load(run)
    qtbot.waitUntil(
        lambda: inspector.panel is not None and inspector.panel.loaded is not None, timeout=SECONDS
    )
    panel = inspector.panel
    assert panel.slice_state is navigator.state
    panel.imagine_tab.start.click()
    control = panel.control
    qtbot.waitUntil(lambda: control.flight is not None, timeout=SECONDS)

    def arrived(steps):
        now = control.flight.now.pose
        there = apart(now, navigator.pose).mm < 1e-3
        return there and control.flight.steps > steps and not panel.flying.running

    wheel(qtbot, canvas, middle(canvas), 3)
    qtbot.waitUntil(lambda: arrived(0), timeout=SECONDS)
    steps = control.flight.steps
    drag(qtbot, canvas, middle(canvas), [one + 30 for one in middle(canvas)])
    qtbot.waitUntil(lambda: arrived(steps), timeout=SECONDS)
    steps = control.flight.steps
    qtbot.keyClick(canvas, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: arrived(steps), timeout=SECONDS)
    return dock, weakref.ref(panel)


def test_mouse_and_keys_fly_and_the_dock_ends_it(navigator, viewer, canvas, qtbot, tmp_path):
    dock, panel = flown(viewer, navigator, canvas, qtbot, dynamics_run(tmp_path / "flown"))
    there = navigator.pose
    viewer.window.remove_dock_widget(dock)
    del dock
    assert navigator.pose == there
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.waitUntil(lambda: gc.collect() >= 0 and panel() is None, timeout=SECONDS)
    navigator.state.move([0, 0, 0.05, 0, 0, 0, 0])
