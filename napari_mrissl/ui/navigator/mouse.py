"""Mouse on the slice canvas, through the slice viewer's own callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Image

from napari_mrissl.ui.navigator import gestures
from napari_mrissl.ui.navigator.main_view import CLICK_PIXELS
from napari_mrissl.ui.navigator.slice_view import SliceView
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.navigator.window_level import WindowDrag, reset_limits


class SliceMouse:
    """Pan, tilt, spin, zoom, go to and window/level on the slice canvas.

    Parameters
    ----------
    view
        The slice canvas.
    state
        What is moved.
    on_cursor
        Called with the position (row, column) in mm from the middle when the mouse moves.

    Attributes
    ----------
    click_goes
        Whether the next click centres the slice; set back by it.
    """

    def __init__(
        self,
        view: SliceView,
        state: NavigatorState,
        on_cursor: Callable[[tuple[float, float]], None],
    ) -> None:
        self._view, self._state, self._on_cursor = view, state, on_cursor
        self.click_goes = False
        self.on_gone: Callable[[], None] = lambda: None
        view.viewer.mouse_drag_callbacks.append(self._drag)
        view.viewer.mouse_wheel_callbacks.append(self._wheel)
        view.viewer.mouse_double_click_callbacks.append(self._double_click)
        view.viewer.mouse_move_callbacks.append(self._move)

    def _free(self) -> bool:
        """Whether the mouse navigates: not while another layer is painted or clicked."""
        active = self._view.viewer.layers.selection.active
        return active is None or str(active.mode) == "pan_zoom"

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        if not self._free() or self._state.volume is None:
            return
        if event.button == 2 and self._image is not None and not event.modifiers:
            yield from self._window(event)
        if event.button != 1:
            return
        pressed, last = np.array(event.pos), _position(event)
        modifiers = set(event.modifiers)
        moved = False
        yield
        while True:
            # The release counts too: napari drops moves that follow each other quickly.
            if moved or np.abs(np.array(event.pos) - pressed).max() > CLICK_PIXELS:
                moved = True
                position = _position(event)
                action = self._action(modifiers, last, position)
                if action is not None and position != last:
                    self._state.move(action, burst="drag")
                last = position
                self._on_cursor(position)
            if event.type != "mouse_move":
                break
            yield
        self._state.end_burst()
        if not moved and self.click_goes:
            self.click_goes = False
            self._go(_position(event))
            self.on_gone()

    @property
    def _image(self) -> Image | None:
        """The layer whose contrast is changed: that of the scan that is cut."""
        return self._state.source if isinstance(self._state.source, Image) else None

    def _window(self, event: Any) -> Iterator[None]:
        pressed = np.array(event.pos)
        drag = WindowDrag(self._image, self._state)
        yield
        while True:
            right, down = np.array(event.pos) - pressed
            drag.move(float(right), float(-down))
            if event.type != "mouse_move":
                break
            yield
        drag.end()

    def _action(
        self, modifiers: set[str], start: tuple[float, float], end: tuple[float, float]
    ) -> np.ndarray | None:
        if modifiers == {"Shift"}:
            return gestures.tilt(self._state.pose, start, end)
        if modifiers == {"Control"}:
            return gestures.spin(start, end)
        if not modifiers:
            return gestures.pan(self._state.pose, start, end)
        return None

    def _wheel(self, viewer: Any, event: Any) -> None:
        if self._state.volume is None:
            return
        notches = float(np.sum(event.delta))
        modifiers = set(event.modifiers)
        pose = self._state.pose
        if modifiers == {"Control"}:
            self._state.move(gestures.zoom(notches), burst="wheel zoom")
        elif modifiers <= {"Shift"}:
            step = self._state.step_along(pose.normal)
            fast = gestures.FAST_NOTCHES if modifiers else 1
            action = gestures.through(pose, notches * fast, step)
            self._state.move(action, burst="wheel")

    def _double_click(self, viewer: Any, event: Any) -> None:
        if not self._free() or self._state.volume is None:
            return
        if event.button == 1:
            self._go(_position(event))
        elif event.button == 2 and self._image is not None:
            reset_limits(self._image, self._state)

    def _move(self, viewer: Any, event: Any) -> None:
        self._on_cursor(_position(event))

    def _go(self, position: tuple[float, float]) -> None:
        self._state.go_to(gestures.point_at(self._state.pose, position))


def _position(event: Any) -> tuple[float, float]:
    row, column = event.position[-2:]
    return float(row), float(column)
