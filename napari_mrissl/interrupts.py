"""Ctrl-C in the midst of a library in C, which would lose it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back(note: Callable[[], object]) -> Iterator[None]:
    """Within, Ctrl-C calls a function and is not raised: in a callback of C it would be lost.

    Elsewhere than in the main thread, or where somebody else listens already, nothing changes.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: note())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def raised_by(progress: Callable[[float], object] | None) -> Iterator[Callable[[float], None]]:
    """Ctrl-C within is raised when progress is told next, or at the end.

    Gives a function that tells ``progress``, if there is one.
    """
    pressed = threading.Event()

    def tell(part: float) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        if progress is not None:
            progress(part)

    with held_back(pressed.set):
        yield tell
        if pressed.is_set():
            raise KeyboardInterrupt
