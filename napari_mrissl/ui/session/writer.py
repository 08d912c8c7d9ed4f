"""The thread that puts a window's session on disk: everything slow about it is done here."""

from __future__ import annotations

import atexit
import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError, printable
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

_Model = TypeVar("_Model", bound=BaseModel)

_QUICK = 4 << 20
"""Bytes of labels that are written before one notices."""

_LONGEST_MADE = 1 << 20
"""Characters of how a segmentation was made: with more marks, replaying it is given up."""

_ORNAMENTS = frozenset({"features", "role", "made"})
"""Parts of a layer's record that it is better to lose than the layer."""

_PATIENCE = 10.0
_LABEL_TYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")


def _nobody(_: object) -> None:
    return None


class SessionWriter:
    """Writes the newest snapshot given; those it has no time for are left out.

    Parameters
    ----------
    found
        Called once, in the writer's thread, with the last session that nobody holds, or
        None.
    complained
        Called in the writer's thread with a sentence: the disk refused.
    unkept
        Called in the writer's thread after each state that was written, with the names of
        the layers of labels that are not part of it.
    """

    def __init__(
        self,
        found: Callable[[StoredSession | None], None],
        complained: Callable[[str], None],
        unkept: Callable[[tuple[str, ...]], None] = _nobody,
    ) -> None:
        self._found, self._complained, self._tell_unkept = found, complained, unkept
        self._unkept: list[str] = []
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
            self._tell_unkept = _nobody
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
        except Exception:  # the thread must go on: what is open now is what counts
            LOGGER.exception("earlier sessions cannot be read")
        while (snapshot := self._next()) is not None:
            try:
                self._write(snapshot)
                self._refused = False
            except (MrisslError, OSError) as error:
                self._complain(str(error))
            except Exception as error:  # whatever it is: the next state may be kept again
                LOGGER.exception("the session could not be written")
                self._complain(f"{type(error).__name__}; the log has the details.")
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

    def _complain(self, why: str) -> None:
        if not self._refused:
            self._refused = True
            self._complained(f"The session is not being kept: {why}")

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
        self._tell_unkept(tuple(self._unkept))
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
        self._unkept = list(snapshot.unkept)
        for layer in layers:
            try:
                record = self._layer(layer, anew=anew)
            except (MrisslError, OSError):
                raise
            except Exception:  # one layer that cannot be described must not cost the others
                LOGGER.exception("a layer could not be described")
                record = f"{layer.look.get('name', 'layer')} (it could not be described; save it)"
            if isinstance(record, str):
                left_out.append(record)
                if layer.labels is not None:
                    self._unkept.append(str(layer.look.get("name", "labels")))
            else:
                made.append(record)
        return SessionRecord(
            saved=snapshot.taken,
            software=__version__,
            continues=snapshot.continues,
            layers=(*made, *snapshot.absent),
            left_out=tuple(printable(one)[:1000] for one in left_out),
            view=_valid(ViewRecord, snapshot.view),
            docks=tuple(DockRecord.model_validate(dock) for dock in snapshot.docks),
            workspace=snapshot.workspace,
        )

    def _layer(self, layer: LayerSnapshot, *, anew: bool) -> LayerRecord | str:
        """The layer's record, or why it is left out."""
        scan = reference_of(layer.volume)
        look = _valid(Look, layer.look)
        if scan is None:
            return f"{look.name} (its scan was not read from a file)"
        labels, dtype = layer.labels, None
        voxels: str | None = None
        if labels is not None:
            dtype = labels.dtype.newbyteorder("<").str
            if dtype not in _LABEL_TYPES or labels.nbytes > LARGEST_LABELS:
                return f"{look.name} (too large to be kept; save it)"
            voxels = self._voxels(layer) if anew else self._kept[id(labels)][2]
        parts = {
            "kind": layer.kind,
            "scan": scan,
            "look": look,
            "role": layer.role,
            "voxels": voxels,
            "dtype": dtype,
            "features": layer.features,
            "clicks": layer.clicks,
            "classes": tuple(one for one in layer.classes if isinstance(one, PromptClass)),
            "made": layer.made if self._keeps_made(layer.made) else None,
        }
        return _valid(LayerRecord, parts, _ORNAMENTS)

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


def _valid(
    model: type[_Model], parts: Mapping[str, Any], losable: frozenset[str] | None = None
) -> _Model:
    """A record of its parts, without those that no session file may hold: the rest counts more."""
    try:
        return model.model_validate(parts)
    except ValidationError as error:
        wrong = {one["loc"][0] for one in error.errors()}
        if losable is not None and not wrong <= losable:
            raise
        LOGGER.warning("not kept of a %s: %s", model.__name__, ", ".join(map(str, sorted(wrong))))
        return model.model_validate({key: parts[key] for key in parts if key not in wrong})
