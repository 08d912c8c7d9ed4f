"""What a session keeps of a panel whose settings are all in its widgets.

Such a panel has a mapping ``kept`` from names to widgets.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QAbstractButton, QComboBox, QSlider, QSpinBox, QTabWidget


def state_of(panel: Any) -> dict[str, Any]:
    """The widgets' values, as plain data."""
    return {name: _value(widget) for name, widget in panel.kept.items()}


def take_state(panel: Any, state: dict[str, Any]) -> list[str]:
    """Take up what `state_of` gave; names of what is not usable."""
    return [
        name
        for name, widget in panel.kept.items()
        if state.get(name) is not None and not _took(widget, state[name])
    ]


def _value(widget: Any) -> Any:
    if isinstance(widget, QAbstractButton):
        return widget.isChecked()
    if isinstance(widget, QComboBox | QTabWidget):
        return widget.currentIndex()
    return widget.value()


def _took(widget: Any, value: Any) -> bool:
    if isinstance(widget, QAbstractButton):
        if type(value) is not bool:
            return False
        widget.setChecked(value)
        return True
    if type(value) is not int:
        return False
    if isinstance(widget, QComboBox | QTabWidget):
        if not 0 <= value < widget.count():
            return False
        widget.setCurrentIndex(value)
        return True
    assert isinstance(widget, QSlider | QSpinBox)  # noqa: S101 - panels keep no others
    if not widget.minimum() <= value <= widget.maximum():
        return False
    widget.setValue(value)
    return True
