"""What a user's hands do, sent to real widgets as Qt events."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_mrissl.geometry import relative_action
from napari_mrissl.volumes.volume import Volume

__all__ = ["QEvent", "QKeyEvent"]

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def mouse(canvas, kind, point, buttons=LEFT, modifiers=PLAIN):
    """One mouse event at (x, y) pixels of a canvas."""
    local = QPointF(*point)
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else LEFT
    place = QPointF(canvas.mapToGlobal(QPoint(*(round(p) for p in point))))
    event = QMouseEvent(kind, local, place, button, buttons, modifiers)
    QApplication.sendEvent(canvas, event)


def drag(qtbot, canvas, start, end, modifiers=PLAIN, steps=4):
    """Press, move in steps, release."""
    mouse(canvas, QEvent.Type.MouseButtonPress, start, LEFT, modifiers)
    for step in range(1, steps + 1):
        part = step / steps
        point = tuple(a + part * (b - a) for a, b in zip(start, end, strict=True))
        mouse(canvas, QEvent.Type.MouseMove, point, LEFT, modifiers)
        # napari looks at the mouse every 5 ms.
        qtbot.wait(15)
    mouse(canvas, QEvent.Type.MouseButtonRelease, end, Qt.MouseButton.NoButton, modifiers)
    qtbot.wait(10)


def click(qtbot, canvas, point, modifiers=PLAIN):
    """Press and release."""
    mouse(canvas, QEvent.Type.MouseButtonPress, point, LEFT, modifiers)
    mouse(canvas, QEvent.Type.MouseButtonRelease, point, Qt.MouseButton.NoButton, modifiers)
    qtbot.wait(10)


def double_click(qtbot, canvas, point):
    """Press, release, double click, release, as Qt sends them."""
    click(qtbot, canvas, point)
    mouse(canvas, QEvent.Type.MouseButtonDblClick, point)
    mouse(canvas, QEvent.Type.MouseButtonRelease, point, Qt.MouseButton.NoButton)
    qtbot.wait(10)


def wheel(qtbot, canvas, point, notches, modifiers=PLAIN):
    """Turn the wheel; forwards is positive."""
    place = QPointF(canvas.mapToGlobal(QPoint(*(round(p) for p in point))))
    event = QWheelEvent(
        QPointF(*point),
        place,
        QPoint(0, 0),
        QPoint(0, round(120 * notches)),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)
    qtbot.wait(10)


def middle(canvas):
    """The middle of a canvas in pixels."""
    return canvas.width() / 2, canvas.height() / 2


def small_volume(name="scan", offset=0.0):
    """A ramp of 32 x 36 x 40 anisotropic voxels."""
    index = np.indices((32, 36, 40), np.float32)
    voxels = 3 * index[0] + 2 * index[1] + index[2]
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    affine[:3, 3] = (-30 + offset, -20, -25)
    return Volume.from_stored(voxels, affine, name=name)


def moved(before, after):
    """Which of the seven action dimensions differ."""
    return np.flatnonzero(np.abs(relative_action(before, after)) > 1e-9).tolist()


def layer(viewer, name):
    """The layer of this name."""
    return next(found for found in viewer.layers if found.name == name)
