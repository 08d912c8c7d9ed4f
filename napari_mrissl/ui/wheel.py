"""Fields in a dock that scrolls: the wheel is theirs only while they have the focus."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget


class _WheelGuard(QObject):
    """Sends the wheel past a field without the focus, to what scrolls around it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave a wheel event to the parent unless the user chose the field."""
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def leave_wheel_alone(panel: QWidget) -> None:
    """Let no field of a panel change its value because the dock was scrolled over it."""
    guard = _WheelGuard(panel)
    for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider):
        for field in panel.findChildren(kind):
            if isinstance(field, QScrollBar):
                continue
            # With a wheel focus the field would take the focus first, then the event.
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(guard)
