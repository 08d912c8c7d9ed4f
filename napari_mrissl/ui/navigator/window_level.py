"""Window and level of an image layer by dragging the mouse, one step of undo for each drag."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np

from napari_mrissl.ui.layers import volume_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_mrissl.ui.navigator.state import NavigatorState

Limits = tuple[float, float]

PIXELS = 200.0
"""Screen pixels whose drag makes the window e times as wide, or moves it by its width."""


def dragged(limits: Limits, right: float, up: float) -> Limits:
    """Contrast limits after a drag: to the right widens the window, upwards brightens."""
    low, high = limits
    width = (high - low) * float(np.exp(np.clip(right / PIXELS, -20, 20)))
    level = (low + high) / 2 - (high - low) * up / PIXELS
    # Never so narrow that the two limits are the same number.
    width = max(width, 1e-6 * max(abs(level), abs(high - low), 1e-6))
    return level - width / 2, level + width / 2


def set_limits(layer: Image, limits: Limits, state: NavigatorState) -> None:
    """Give a layer contrast limits, as one step of undo."""
    before = _limits(layer)
    _apply(layer, limits)
    _note(layer, before, state)


def reset_limits(layer: Image, state: NavigatorState) -> None:
    """Show a layer in its scan's own window again, as one step of undo.

    Raises
    ------
    MrisslError
        If the layer holds no volume.
    """
    set_limits(layer, volume_of(layer).display_window(), state)


class WindowDrag:
    """One drag with the right button.

    Parameters
    ----------
    layer
        Whose contrast limits are dragged.
    state
        Whose history remembers the drag.
    """

    def __init__(self, layer: Image, state: NavigatorState) -> None:
        self._layer, self._state = layer, state
        self._start = _limits(layer)

    def move(self, right: float, up: float) -> None:
        """The mouse is so many pixels from where it was pressed."""
        _apply(self._layer, dragged(self._start, right, up))

    def end(self) -> None:
        """The button was released."""
        if _limits(self._layer) != self._start:
            _note(self._layer, self._start, self._state)


def _limits(layer: Image) -> Limits:
    low, high = layer.contrast_limits
    return float(low), float(high)


def _apply(layer: Image, limits: Limits) -> None:
    layer.contrast_limits = limits


def _note(layer: Image, before: Limits, state: NavigatorState) -> None:
    after = _limits(layer)
    if after == before:
        return
    # The history must not keep a removed scan in memory.
    held = weakref.ref(layer)

    def go(limits: Limits) -> None:
        found = held()
        if found is not None:
            _apply(found, limits)

    state.note_edit(lambda: go(before), lambda: go(after))
