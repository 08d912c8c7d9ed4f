"""What tests of imagine mode share: an inspector, a flight that has begun, and a hand."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from navigator_actions import small_volume

from napari_mrissl.pretext.navigation.moves import apart
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator.anatomy import mirrored

SECONDS = 60_000
SHIFT = np.array([0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0])
TURN = np.array([0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0])


def settle(inspector, qtbot):
    """Nothing goes on in the background any more."""
    qtbot.waitUntil(lambda: not inspector.busy, timeout=SECONDS)


def inspected(qtbot, run):
    """On a viewer without a window, with one scan and a run loaded."""
    viewer = ViewerModel()
    add_volume(viewer, small_volume())
    inspector = Inspector(viewer)
    qtbot.addWidget(inspector, before_close_func=lambda one: one.shut_down())
    inspector.resize(430, 660)
    inspector.show()
    inspector.load(run)
    qtbot.waitUntil(
        lambda: inspector.panel is not None and inspector.panel.loaded is not None, timeout=SECONDS
    )
    settle(inspector, qtbot)
    assert inspector.status.message.text() == ""
    return inspector


def flying_panel(inspector, qtbot):
    """The inspector's panel, with a flight that has begun."""
    panel = inspector.panel
    panel.imagine_tab.start.click()
    qtbot.waitUntil(lambda: panel.control.flight is not None, timeout=SECONDS)
    return panel


def move(panel, qtbot, action):
    """The hand moves the navigator by an action and rests; all is imagined then."""
    state, control = panel.slice_state, panel.control
    state.move(action)
    pose = state.pose if state.convention == "neurological" else mirrored(state.pose)
    qtbot.waitUntil(
        lambda: not panel.flying.running and apart(control.flight.now.pose, pose).mm < 1e-3,
        timeout=SECONDS,
    )
