"""A viewer that the tests of a file borrow one after the other: a new one takes long to make.

Each gets it back empty: no dock, no layer, 2D, the window's first size. What a test leaves
that cannot be put back is noticed, and then the next one gets a new viewer.
"""

from __future__ import annotations

import gc
from types import SimpleNamespace
from weakref import WeakSet

import numpy as np
import pytest
from napari._qt.qt_viewer import QtViewer
from napari.utils import _testsupport as naparis
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from tracing import untraced
from views_actions import callbacks

from napari_mrissl.ui.layers import add_volume
from napari_mrissl.volumes import Volume


def end_ours(before) -> None:
    """End widgets of ours without a parent that were not there before, whoever holds them.

    Without that they would be leaks to napari's check: pytest keeps the values of fixtures
    until the last of them is torn down. `test_leaks` looks at what docks leave behind.
    """
    for widget in set(QApplication.topLevelWidgets()) - before:
        if type(widget).__module__.startswith("napari_mrissl."):
            # A canvas inside is napari's, and held by what the test still holds of ours.
            getattr(widget, "shut_down", _nothing)()
            widget.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _nothing() -> None:
    return None


class KeptViewer:
    """Napari's own fixtures, kept open over several tests."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._config, self._module = request.config, request.module
        self.viewer, self._around = None, set()

    def borrow(self, qtbot, *, show: bool):
        """The viewer, empty; a new one if there is none yet or it was shown or not."""
        if self.viewer is not None and self._show != show:
            self.close()
        if self.viewer is None:
            self._open(qtbot, show)
        self._around = set(QApplication.topLevelWidgets())
        return self.viewer

    def _open(self, qtbot, show: bool) -> None:
        self._patches, self._show = pytest.MonkeyPatch(), show
        self._app = naparis.mock_app_model.__wrapped__()
        self._ended = SimpleNamespace(failed=False)
        asking = SimpleNamespace(
            config=self._config, module=self._module, keywords=(),
            node=SimpleNamespace(rep_call=self._ended),
        )  # fmt: skip
        making = naparis.make_napari_viewer.__wrapped__
        self._maker = making(qtbot, asking, next(self._app), self._patches)
        with untraced():
            self.viewer = next(self._maker)(show=show)
            # What the first scan does to a viewer stays.
            add_volume(self.viewer, Volume.from_stored(np.eye(3)[None], np.eye(4)))
            self.viewer.layers.clear()
        self._canvases = WeakSet(QtViewer._instances)
        self._size = self._window_size()
        self._fresh, self._listening = self._state(), None

    def give_back(self, *, failed: bool) -> None:
        """Take everything out again, and look for what a dock or a test has left."""
        if self.viewer is None:
            return
        # As napari does, which is closed by then: what a failed test holds is no leak.
        self._ended.failed = failed
        if failed or not hasattr(self.viewer.window, "_qt_window"):
            end_ours(self._around)
            self.close()
            return
        self.viewer.window.remove_dock_widget("all")
        end_ours(self._around)
        self.viewer.layers.clear()
        self.viewer.dims.ndisplay = 2
        self.viewer.theme, self.viewer.title = "dark", "napari"
        if self._window_size() != self._size:
            self.viewer.window.resize(*self._size)
        QApplication.processEvents()
        # Controls of layers, with windows of their own: lists of boxes and popups.
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect(1)
        if len(QtViewer._instances) > len(self._canvases):
            gc.collect()
        left = len(QtViewer._instances) - len(self._canvases)
        leaked = [
            str(widget)
            for widget in set(QApplication.topLevelWidgets()) - self._around
            # The other two are napari's own exceptions.
            if widget.parent() is None
            and widget.objectName() != "handled_widget"
            and type(widget).__name__ != "CanvasBackendDesktop"
        ]
        listening, found = callbacks(self.viewer), self._state()
        # What the first dock adds for as long as there is the viewer: its session, say.
        self._listening = listening if self._listening is None else self._listening
        if listening > self._listening or found != self._fresh or left or leaked:
            self.close()
        assert not left, "a canvas of napari's is still there"
        assert not leaked, leaked

    def _window_size(self) -> tuple[int, int]:
        _, _, width, height = self.viewer.window.geometry()
        return width, height

    def _state(self) -> tuple:
        viewer = self.viewer
        return (
            sorted(map(str, viewer.keymap)),
            len(viewer.mouse_drag_callbacks),
            len(viewer.mouse_move_callbacks),
            len(viewer.mouse_wheel_callbacks),
            len(viewer.mouse_double_click_callbacks),
            dict(viewer.window.dock_widgets),
            viewer.dims.ndisplay,
            viewer.dims.ndim,
            viewer.dims.order,
            viewer.dims.axis_labels,
            viewer.scene.camera.orientation,
            self._window_size(),
        )

    def close(self) -> None:
        """Close it, with napari's own look for leaks."""
        # Napari's fixture knows it only weakly, so it is held until it is closed; its window not.
        viewer, self.viewer, self._around = self.viewer, None, set()
        if viewer is None:
            return
        try:
            with untraced():
                next(self._maker, None)
        finally:
            next(self._app, None)
            self._patches.undo()
            self._maker = self._app = None
