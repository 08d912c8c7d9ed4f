"""`Chunks`: the voxels of one packed volume, of which those are read that were asked for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.packs import shards
from napari_mrissl.packs.manifest import PackEntry
from napari_mrissl.packs.places import Place, Span
from napari_mrissl.packs.shards import Cell

_Fetch = Callable[[Sequence[Span]], Sequence[bytes]]


class Chunks:
    """A volume's voxels in an array of its full shape, filled chunk by chunk.

    What was not read takes no memory, only addresses. Safe to use from several threads.

    Parameters
    ----------
    entry
        What the manifest says of the volume.
    place
        Where the pack lies.
    """

    def __init__(self, entry: PackEntry, place: Place) -> None:
        self._entry = entry
        self._place = place
        self._voxels: NDArray[Any] = np.zeros(entry.shape, np.dtype(entry.dtype))
        self._read = np.zeros(shards.grid_of(entry.shape), np.bool_)
        self._index: NDArray[np.uint64] | None = None
        self._lock = threading.Lock()

    def whole(self) -> NDArray[Any]:
        """All voxels (S, A, R), read-only; where none were read, the whole shard is checked.

        Raises
        ------
        MrisslError
            If the shard cannot be read or is damaged.
        """
        with self._lock:
            if self._read.any():
                self._fill(np.ndindex(*self._read.shape))
            else:
                self._read_whole()
        return self._seen()

    def between(self, lower: Cell, upper: Cell) -> NDArray[Any]:
        """As `whole`, of which voxels from ``lower`` up to ``upper``, that excluded, are read.

        Raises
        ------
        MrisslError
            If the shard cannot be read or is damaged.
        """
        with self._lock:
            self._fill(shards.cells_between(lower, upper))
        return self._seen()

    def _fill(self, cells: Iterable[Any]) -> None:
        """Read those of some chunks that were not read yet."""
        missing: list[Cell] = [cell for cell in cells if not self._read[cell]]
        if not missing:
            return
        file = shards.shard_of(self._entry.identity)
        if self._index is None:
            end = self._entry.bytes
            start = max(0, end - shards.index_bytes(self._entry.shape))
            self._index = self._parsed(self._place.spans(file, [(start, end)])[0])
        self._keep_all(missing, self._index, lambda spans: self._place.spans(file, spans))

    def _read_whole(self) -> None:
        """Read the shard from its start to its end, which shows any damage."""
        entry = self._entry
        (content,) = self._place.spans(shards.shard_of(entry.identity), [(0, entry.bytes)])
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise shards.damaged(entry, "the shard fails its checksum")
        self._index = self._parsed(content[-shards.index_bytes(entry.shape) :])
        every: list[Any] = list(np.ndindex(*self._read.shape))
        self._keep_all(every, self._index, lambda spans: [content[a:b] for a, b in spans])

    def _parsed(self, content: bytes) -> NDArray[np.uint64]:
        if len(content) != shards.index_bytes(self._entry.shape):
            raise shards.damaged(self._entry, "the shard is too short for its index")
        return shards.parse_index(content, self._entry)

    def _keep_all(self, cells: Sequence[Cell], index: NDArray[np.uint64], fetch: _Fetch) -> None:
        """Put chunks into place; one that is empty is in place, since all begins as zeros."""
        spans: list[tuple[Cell, Span]] = []
        for cell in cells:
            span = shards.span_of(index, cell)
            if span is None:
                self._read[cell] = True
            else:
                spans.append((cell, span))
        for (cell, _), content in zip(spans, fetch([span for _, span in spans]), strict=True):
            box = shards.box_of(cell, self._entry.shape)
            inside = tuple(slice(0, side.stop - side.start) for side in box)
            self._voxels[box] = shards.decode(content, self._entry)[inside]
            self._read[cell] = True

    def _seen(self) -> NDArray[Any]:
        seen: NDArray[Any] = self._voxels.view()
        seen.flags.writeable = False
        return seen
