"""Keeps one window's session: looks once a second at what it shows, and has changes written."""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QMainWindow

from napari_mrissl.ui import docks
from napari_mrissl.ui.session.records import LayerRecord
from napari_mrissl.ui.session.snapshot import Snapshot, take_layers, take_view
from napari_mrissl.ui.session.store import StoredSession
from napari_mrissl.ui.session.writer import SessionWriter

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

LOGGER = logging.getLogger(__name__)

INTERVAL_MS = 1000
_LABEL_EVENTS = ("set_data", "paint", "data", "labels_update")
_LARGEST_STATE = 1 << 20


def keep(viewer: ViewerModel) -> SessionKeeper | None:
    """Keep the session of a viewer's window from now on; once is enough.

    Returns
    -------
    SessionKeeper or None
        The window's one keeper; None for a viewer without a window.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    window = docks.main_window(viewer)
    if window is None:
        return None
    keeper = window.findChild(SessionKeeper)
    if keeper is None:
        keeper = SessionKeeper(viewer, window)
    return keeper


class SessionKeeper(QObject):
    """Belongs to a main window and ends with it.

    Attributes
    ----------
    found : Signal()
        It is known by now whether there is an earlier session to reopen: see `earlier`.
    changed : Signal()
        What is offered to the user may have changed.
    """

    found = Signal()
    changed = Signal()
    _found_in_thread = Signal(object)
    _complained = Signal(str)

    def __init__(self, viewer: ViewerModel, window: QMainWindow) -> None:
        super().__init__(window)
        self._viewer = weakref.ref(viewer)
        self._versions: dict[int, int] = {}
        self._labels: weakref.WeakSet[Labels] = weakref.WeakSet()
        self._last: Snapshot | None = None
        self._removing = self._closing = self._closed = False
        self.workspace: str | None = None
        self.continues: str | None = None
        self.absent: tuple[LayerRecord, ...] = ()
        self._paused = False
        self.earlier: StoredSession | None = None
        self._found_in_thread.connect(self._on_found)
        self._complained.connect(_warn)
        # Looking is quick and misses nothing; listening to every setting of every layer,
        # dock and slider would be neither.
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self.look)
        self.writer = SessionWriter(self._found_in_thread.emit, self._complained.emit)
        for layer in viewer.layers:
            self._listen(layer)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removing.connect(self._on_removing)
        window.installEventFilter(self)
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._settle)
        self._timer.start()

    @property
    def window(self) -> QMainWindow:
        """Whose child this is; not held, or the writer's thread would keep a closed one."""
        return self.parent()

    @property
    def viewer(self) -> ViewerModel | None:
        """The viewer in the window, as long as it is there."""
        return self._viewer()

    def look(self) -> None:
        """Have the session written if anything changed since the last look."""
        began = time.perf_counter()
        snapshot = self._take()
        # A window that was emptied keeps the session it had: nobody wants nothing back.
        if snapshot is None or not snapshot.layers or snapshot == self._last:
            return
        self._last = snapshot
        self.writer.submit(snapshot)
        LOGGER.debug("a look took %.1f ms", 1000 * (time.perf_counter() - began))

    def pause(self) -> None:
        """Write nothing while a session is brought back: half of one is none."""
        self._paused = True
        self.forget_earlier()

    def go_on(self, name: str | None, absent: Iterable[LayerRecord] = ()) -> None:
        """Write again; this window goes on with an earlier session, or None.

        Parameters
        ----------
        name
            Of the earlier session's folder.
        absent
            What of it could not be brought back this time: it stays part of the session.
        """
        self._paused = False
        self.continues = name
        self.absent = tuple(absent)
        self.look()

    def forget_earlier(self) -> None:
        """No longer offer to reopen the earlier session; it stays on disk."""
        self.earlier = None
        self.changed.emit()

    def close(self) -> None:
        """Write the last state and let go; the writing ends in its own thread."""
        if self._closed:
            return
        self.look()
        self._end()

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        self.writer.close()
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.events.inserted.disconnect(self._on_inserted)
            viewer.layers.events.removing.disconnect(self._on_removing)
        for layer in list(self._labels):
            for name in _LABEL_EVENTS:
                getattr(layer.events, name).disconnect(self._on_labels)
        self._labels.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice that the window is closed: once it is, its layers and docks are gone."""
        kind = event.type()
        if kind == QEvent.Type.Close and event.spontaneous():
            # May still be refused in a dialog.
            self.look()
            self._closing = True
            self._turn.start(0)
        elif kind in (QEvent.Type.Close, QEvent.Type.DeferredDelete):
            self.close()
        return False

    def _take(self) -> Snapshot | None:
        viewer = self._viewer()
        if viewer is None or self._closed or self._removing or self._paused:
            return None
        layers, left_out = take_layers(viewer, self._versions)
        if not layers:
            return None
        return Snapshot(
            layers,
            left_out,
            take_view(viewer),
            tuple(_dock(one) for one in docks.describe(self.window)),
            self.workspace,
            self.continues,
            self.absent,
        )

    def _listen(self, layer: Layer) -> None:
        if isinstance(layer, Labels):
            self._labels.add(layer)
            self._versions[id(layer)] = self._versions.get(id(layer), 0) + 1
            for name in _LABEL_EVENTS:
                getattr(layer.events, name).connect(self._on_labels)

    def _on_inserted(self, event: Any) -> None:
        self._listen(event.value)
        self.changed.emit()

    def _on_removing(self, _: Any) -> None:
        """Look before layers go: a script that closes its viewer removes them all first."""
        if not self._removing:
            self.look()
            self._removing = True
            self._turn.start(0)

    def _settle(self) -> None:
        """What was going on a moment ago is over: layers are gone, or the window is."""
        self._removing = False
        if self._closing and not self.window.isVisible():
            self._end()
        self._closing = False
        self.changed.emit()

    def _on_labels(self, event: Any) -> None:
        self._versions[id(event.source)] = self._versions.get(id(event.source), 0) + 1

    def _on_found(self, earlier: StoredSession | None) -> None:
        self.earlier = earlier
        self.found.emit()
        self.changed.emit()


def _dock(described: docks.Described) -> dict[str, Any]:
    """What a session file says of a dock; a state that is no small JSON is left out."""
    state: Any = {}
    take = getattr(described.panel, "session_state", None)
    if take is not None:
        try:
            state = take()
            if len(json.dumps(state, allow_nan=False)) > _LARGEST_STATE:
                raise ValueError("more than 1 MiB")
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            LOGGER.warning("%s has a state that cannot be kept: %s", described.title, error)
            state = {}
    return {"title": described.title, "place": described.place, "state": state}


def _warn(sentence: str) -> None:
    from napari.utils.notifications import show_warning

    show_warning(sentence)
