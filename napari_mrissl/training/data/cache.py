"""Decoded scans in memory, within a bound: the least recently used one goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from napari_mrissl.packs import PackedVolume
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.data.spill import bytes_in_memory

GIB = 1 << 30


def scan_bytes(scan: Scan) -> int:
    """Memory that a decoded scan takes; what is mapped from disk takes none."""
    labels = 0 if scan.labels is None else bytes_in_memory(scan.labels)
    if isinstance(scan.volume, PackedVolume):
        # As much as it may come to: what is read of it stays.
        return scan.volume.held_bytes + labels
    return bytes_in_memory(scan.volume.data) + labels


class DecodedCache:
    """Scans by number; safe to use from several threads, each scan decoded by one of them.

    Parameters
    ----------
    limit
        Bytes; a single scan larger than that is still kept until the next one comes.
    leaving
        Called with each scan that has to go, from the thread that needs the room.
    """

    def __init__(self, limit: int, leaving: Callable[[Scan], object] | None = None) -> None:
        self.limit = limit
        self._leaving = leaving
        self._kept: OrderedDict[int, Scan] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._making: dict[int, threading.Lock] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, number: int, make: Callable[[], Scan]) -> Scan:
        """The scan of this number; ``make`` decodes it where it is not held."""
        found = self._found(number)
        if found is not None:
            return found
        with self._lock:
            turn = self._making.setdefault(number, threading.Lock())
        # Whoever waited here finds what the first thread made.
        with turn:
            found = self._found(number)
            return found if found is not None else self._add(number, make())

    def _found(self, number: int) -> Scan | None:
        with self._lock:
            scan = self._kept.get(number)
            if scan is not None:
                self._kept.move_to_end(number)
            return scan

    def _add(self, number: int, scan: Scan) -> Scan:
        gone: list[Scan] = []
        with self._lock:
            self._kept[number] = scan
            self._bytes += scan_bytes(scan)
            # What takes no memory makes no room.
            for old in [k for k, kept in self._kept.items() if scan_bytes(kept) and k != number]:
                if self._bytes <= self.limit:
                    break
                gone.append(self._kept.pop(old))
                self._bytes -= scan_bytes(gone[-1])
        for left in gone:
            if self._leaving is not None:
                self._leaving(left)
        return scan
