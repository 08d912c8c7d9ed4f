"""Our own few threads: rows of slices are split over them, and their number is a limit."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from napari_mrissl.errors import MrisslError

_TINY = 16_384
"""Pixels below which waking a second thread costs more than it saves."""

_PARTS_PER_THREAD = 4
"""Parts are handed out as threads get free, since a core may be busy with other work."""

_limit: int | None = None
_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def set_threads(count: int | None) -> None:
    """Let a render use at most ``count`` threads; None: as many as there are cores.

    ``$NUMBA_NUM_THREADS`` and the cores that this process may use stay upper limits.

    Raises
    ------
    MrisslError
        If ``count`` is not a whole number >= 1 or None.
    """
    global _limit
    if count is not None and (
        isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1
    ):
        raise MrisslError(f"thread count {count!r}", expected="a whole number >= 1, or None")
    _limit = None if count is None else int(count)
    _forget_pool()


def threads() -> int:
    """How many threads a render uses."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    allowed = os.environ.get("NUMBA_NUM_THREADS", "")
    numba_limit = int(allowed) if allowed.isdecimal() and int(allowed) else cores or 1
    return max(1, min(_limit or numba_limit, numba_limit, cores or 1))


def over_rows(run: Callable[[int, int], object], rows: int, pixels: int) -> None:
    """Call ``run(first, last)`` on parts of ``rows`` until all are done, in several threads."""
    workers = min(threads(), rows)
    if workers == 1 or pixels < _TINY:
        run(0, rows)
        return
    parts = min(workers * _PARTS_PER_THREAD, rows)
    counter = itertools.count()

    def work() -> None:
        while (part := next(counter)) < parts:
            run(part * rows // parts, (part + 1) * rows // parts)

    try:
        others = [_workers().submit(work) for _ in range(workers - 1)]
    except RuntimeError:  # the interpreter is shutting down: no new threads
        others = []
    work()
    for other in others:
        # One that never started is not worth waiting for: nothing is left to do.
        if not other.cancel():
            other.result()


def _workers() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(threads() - 1, 1), "slicing")
        return _pool


def _forget_pool() -> None:
    global _pool
    with _lock:
        _pool = None


def _after_fork() -> None:
    # Threads do not survive a fork, and the lock may have been held.
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
