"""Decoded scans in memory, within a bound: the least recently used one goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from napari_mrissl.pretext.subjects import Scan

GIB = 1 << 30


def scan_bytes(scan: Scan) -> int:
    """Memory that a decoded scan takes."""
    labels = 0 if scan.labels is None else scan.labels.nbytes
    return int(scan.volume.data.nbytes + labels)


class DecodedCache:
    """Scans by number; safe to use from several threads, each scan decoded by one of them.

    Parameters
    ----------
    limit
        Bytes; a single scan larger than that is still kept until the next one comes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
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
        with self._lock:
            self._kept[number] = scan
            self._bytes += scan_bytes(scan)
            while self._bytes > self.limit and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= scan_bytes(oldest)
        return scan
