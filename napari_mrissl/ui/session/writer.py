"""The thread that puts a window's session on disk: everything slow about it is done here."""

from __future__ import annotations

import atexit
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.session.records import (
    DockRecord,
    LayerRecord,
    Look,
    SessionRecord,
    ViewRecord,
)
from napari_mrissl.ui.session.scans import reference_of
from napari_mrissl.ui.session.snapshot import LayerSnapshot, Snapshot
from napari_mrissl.ui.session.store import (
    LARGEST_LABELS,
    OpenSession,
    StoredSession,
    last_session,
    remove_old,
)

LOGGER = logging.getLogger(__name__)

_QUICK = 4 << 20
"""Bytes of labels that are written before one notices."""

_LONGEST_MADE = 1 << 20
"""Characters of how a segmentation was made: with more marks, replaying it is given up."""

_PATIENCE = 10.0
_LABEL_TYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")


class SessionWriter:
    """Writes the newest snapshot given; those it has no time for are left out.

    Parameters
    ----------
    found
        Called once, in the writer's thread, with the last session that nobody holds, or
        None.
    complained
        Called in the writer's thread with a sentence: the disk refused.
    """

    def __init__(
        self,
        found: Callable[[StoredSession | None], None],
        complained: Callable[[str], None],
    ) -> None:
        self._found, self._complained = found, complained
        self._condition = threading.Condition()
        self._newest: Snapshot | None = None
        self._busy = self._closing = False
        self._session: OpenSession | None = None
        self._refused = False
        # What is on disk of each labels array; the array is held, so that ids stay unique.
        self._kept: dict[int, tuple[NDArray[Any], int, str | None]] = {}
        self._made: dict[int, tuple[dict[str, Any], bool]] = {}
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)
        self._thread.start()
        atexit.register(self._finish_at_exit)

    @property
    def name(self) -> str | None:
        """Of the session's folder, once there is one."""
        return self._session.name if self._session is not None else None

    def submit(self, snapshot: Snapshot) -> None:
        """Have this written next; does not wait."""
        with self._condition:
            self._newest = snapshot
            self._condition.notify_all()

    def close(self) -> None:
        """Write what is left, in the writer's thread, and let go of the session."""
        with self._condition:
            self._closing = True
            # The window goes; the thread must not hold it while it writes the last state.
            self._found, self._complained = _nobody, LOGGER.warning
            self._condition.notify_all()

    def wait(self, seconds: float = _PATIENCE) -> bool:
        """Wait until everything submitted is on disk; whether it is."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._newest is None and not self._busy, seconds
            )

    def ended(self, seconds: float = _PATIENCE) -> bool:
        """Wait until the thread has ended after `close`; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _finish_at_exit(self) -> None:
        self.close()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            remove_old()
            self._found(last_session())
        except (MrisslError, OSError) as error:
            LOGGER.warning("earlier sessions cannot be read: %s", error)
        while (snapshot := self._next()) is not None:
            try:
                self._write(snapshot)
                self._refused = False
            except (MrisslError, OSError) as error:
                self._complain(error)
            finally:
                with self._condition:
                    self._busy = False
                    self._condition.notify_all()
        if self._session is not None:
            self._session.close()
        atexit.unregister(self._finish_at_exit)

    def _next(self) -> Snapshot | None:
        with self._condition:
            self._condition.wait_for(lambda: self._newest is not None or self._closing)
            snapshot, self._newest = self._newest, None
            self._busy = snapshot is not None
            return snapshot

    def _complain(self, error: Exception) -> None:
        if not self._refused:
            self._refused = True
            self._complained(f"The session is not being kept: {error}")

    def _write(self, snapshot: Snapshot) -> None:
        if self._session is None:
            self._session = OpenSession()
        for absent in snapshot.absent:
            if absent.voxels is not None and snapshot.continues is not None:
                self._session.take_over(snapshot.continues, absent.voxels)
        if any(self._slow(layer) for layer in snapshot.layers):
            # What is ready goes first: nothing waits for a large scan's checksum.
            ready = [layer for layer in snapshot.layers if self._ready(layer)]
            if ready:
                self._session.write(self._record(snapshot, ready, anew=False))
        self._session.write(self._record(snapshot, snapshot.layers, anew=True))
        shown = {id(layer.labels) for layer in snapshot.layers}
        self._kept = {key: kept for key, kept in self._kept.items() if key in shown}

    def _slow(self, layer: LayerSnapshot) -> bool:
        if "identity" not in vars(layer.volume):
            return True
        return layer.labels is not None and layer.labels.nbytes > _QUICK and self._stale(layer)

    def _stale(self, layer: LayerSnapshot) -> bool:
        kept = self._kept.get(id(layer.labels))
        return kept is None or kept[1] != layer.version

    def _ready(self, layer: LayerSnapshot) -> bool:
        known = "identity" in vars(layer.volume)
        return known and (layer.labels is None or id(layer.labels) in self._kept)

    def _record(self, snapshot: Snapshot, layers: Any, *, anew: bool) -> SessionRecord:
        made, left_out = [], list(snapshot.left_out)
        for layer in layers:
            record = self._layer(layer, anew=anew)
            if isinstance(record, str):
                left_out.append(record)
            else:
                made.append(record)
        return SessionRecord(
            saved=snapshot.taken,
            software=__version__,
            continues=snapshot.continues,
            layers=(*made, *snapshot.absent),
            left_out=tuple(left_out),
            view=ViewRecord.model_validate(snapshot.view),
            docks=tuple(DockRecord.model_validate(dock) for dock in snapshot.docks),
            workspace=snapshot.workspace,
        )

    def _layer(self, layer: LayerSnapshot, *, anew: bool) -> LayerRecord | str:
        """The layer's record, or why it is left out."""
        scan = reference_of(layer.volume)
        look = Look.model_validate(layer.look)
        if scan is None:
            return f"{look.name} (its scan was not read from a file)"
        labels, dtype = layer.labels, None
        voxels: str | None = None
        if labels is not None:
            dtype = labels.dtype.newbyteorder("<").str
            if dtype not in _LABEL_TYPES or labels.nbytes > LARGEST_LABELS:
                return f"{look.name} (too large to be kept; save it)"
            voxels = self._voxels(layer) if anew else self._kept[id(labels)][2]
        return LayerRecord(
            kind=layer.kind,
            scan=scan,
            look=look,
            role=layer.role,
            voxels=voxels,
            dtype=dtype,
            features=layer.features,
            clicks=layer.clicks,
            classes=tuple(one for one in layer.classes if isinstance(one, PromptClass)),
            made=layer.made if self._keeps_made(layer.made) else None,
        )

    def _keeps_made(self, made: dict[str, Any] | None) -> bool:
        if made is None:
            return False
        if id(made) not in self._made:
            try:
                short = len(json.dumps(made, allow_nan=False)) <= _LONGEST_MADE
            except (TypeError, ValueError):
                short = False
            self._made = {id(made): (made, short)}
        return self._made[id(made)][1]

    def _voxels(self, layer: LayerSnapshot) -> str | None:
        """Checksum of the labels, written if they are not the scan's own voxels."""
        labels = layer.labels
        if self._stale(layer):
            # A copy: the user may paint on while it is packed, and that is another version.
            copy = labels.copy()
            own = np.array_equal(copy, layer.volume.data)
            name = None if own else self._session.write_labels(copy)
            self._kept[id(labels)] = (labels, layer.version, name)
        return self._kept[id(labels)][2]


def _nobody(_: object) -> None:
    return None
