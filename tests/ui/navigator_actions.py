"""What a user's hands do, sent to real widgets as Qt events."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication

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
