"""What a user's hands do to the panes of the slice views, as Qt events."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_mrissl.ui.views import SliceViews

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
MIDDLE = Qt.MouseButton.MiddleButton
NONE = Qt.MouseButton.NoButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def open_views(viewer, qtbot, size=(760, 640)):
    """The views in a window of their own, of a size that no screen changes, drawn once."""
    views = SliceViews(viewer)
    qtbot.addWidget(views)
    views.resize(*size)
    views.show()
    qtbot.waitUntil(lambda: views.presenter.presentations > 0)
    settle(views, qtbot)
    return views


def settle(views, qtbot):
    """Wait until nothing is waiting to be drawn."""
    QApplication.processEvents()
    qtbot.waitUntil(lambda: not views.presenter._timer.isActive() and not views.scene.loading)


def event(pane, kind, place, button=LEFT, buttons=None, modifiers=PLAIN):
    """One mouse event at (x, y) pixels of a pane."""
    held = button if buttons is None else buttons
    position = QPointF(*place)
    there = QPointF(pane.mapToGlobal(QPoint(*(round(p) for p in place))))
    one = QMouseEvent(kind, position, there, button, held, modifiers)
    QApplication.sendEvent(pane, one)


def drag(pane, start, end, button=LEFT, modifiers=PLAIN, steps=4):
    """Press, move in steps, release."""
    event(pane, QEvent.Type.MouseButtonPress, start, button, None, modifiers)
    for step in range(1, steps + 1):
        place = tuple(a + step / steps * (b - a) for a, b in zip(start, end, strict=True))
        event(pane, QEvent.Type.MouseMove, place, NONE, button, modifiers)
    event(pane, QEvent.Type.MouseButtonRelease, end, button, NONE, modifiers)


def click(pane, place, button=LEFT):
    """Press and release."""
    event(pane, QEvent.Type.MouseButtonPress, place, button)
    event(pane, QEvent.Type.MouseButtonRelease, place, button, NONE)


def double_click(pane, place, button=LEFT):
    """Press, release, double click, release, as Qt sends them."""
    click(pane, place, button)
    event(pane, QEvent.Type.MouseButtonDblClick, place, button)
    event(pane, QEvent.Type.MouseButtonRelease, place, button, NONE)


def hover(pane, place):
    """Move without a button."""
    event(pane, QEvent.Type.MouseMove, place, NONE, NONE)


def wheel(pane, place, notches, modifiers=PLAIN):
    """Turn the wheel; forwards is positive."""
    there = QPointF(pane.mapToGlobal(QPoint(*(round(p) for p in place))))
    one = QWheelEvent(
        QPointF(*place), there, QPoint(0, 0), QPoint(0, round(120 * notches)), NONE, modifiers,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(pane, one)


def key(pane, name, modifiers=PLAIN):
    """Press and release a key."""
    QTest.keyClick(pane, getattr(Qt.Key, f"Key_{name}"), modifiers)


def middle(pane):
    """The middle of a pane in pixels."""
    return pane.width() / 2, pane.height() / 2


def gray(pane, tile=0):
    """Mean colour (N, M) of one of a pane's pictures."""
    return pane.images[tile][..., :3].astype(float).mean(axis=-1)


def pixel(pane, point, tile=0):
    """Colour (3,) that a pane shows at a point (3,) in world mm."""
    x, y = pane.raster.position(point)
    return pane.images[tile][int(np.floor(y)), int(np.floor(x)), :3].astype(int)


def callbacks(viewer):
    """How many callbacks listen to a viewer, its layer list and its layers."""
    groups = [viewer.layers.events, viewer.layers.selection.events, viewer.dims.events]
    groups += [layer.events for layer in viewer.layers]
    emitters = [
        emitter
        for group in groups
        for emitter in (group.emitters.values() if hasattr(group, "emitters") else group)
    ]
    return sum(len(e.callbacks) if hasattr(e, "callbacks") else len(e) for e in emitters)
