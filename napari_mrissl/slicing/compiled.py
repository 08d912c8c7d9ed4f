"""Which kernels are compiled, and the background thread that compiles or loads the rest.

The thread is not a daemon: one that is inside the compiler when the interpreter ends
would crash it. It stops after the kernel in hand once the main thread has ended, and
it ends by itself when nothing is wanted any more.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

Kernel = Callable[..., None]
Name = tuple[str, str]

_COMPILED_TYPES = frozenset(("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"))
_COMMON: tuple[Name, ...] = (
    ("linear", "i2"),
    ("linear", "u1"),
    ("linear", "f4"),
    ("labels", "u1"),
    ("linear", "u2"),
)
_MANY_PIXELS = 4_000_000
"""Pixels that take numpy longer than loading a kernel takes."""

_log = logging.getLogger(__name__)


class _Background:
    """Kernels by name and voxel type, and those still to come."""

    def __init__(self) -> None:
        self.ready: dict[Name, Kernel] = {}
        self.failed: set[Name] = set()
        self.wanted: deque[Name] = deque()
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None
        self.asked = False

    def want(self, names: tuple[Name, ...], *, first: bool = False) -> None:
        """Ask for kernels, those in use before those that may be; starts the thread."""
        with self.changed:
            for name in reversed(names) if first else names:
                if name in self.ready or name in self.failed:
                    continue
                if name in self.wanted:
                    if not first:
                        continue
                    self.wanted.remove(name)
                if first:
                    self.wanted.appendleft(name)
                else:
                    self.wanted.append(name)
            if self.wanted and self.thread is None and threading.main_thread().is_alive():
                self.thread = threading.Thread(target=self._work, name="slicing kernels")
                self.thread.start()

    def wait(self, name: Name) -> Kernel | None:
        """The kernel once it is there; None if it cannot be compiled."""
        with self.changed:
            self.changed.wait_for(
                lambda: name in self.ready or name in self.failed or self.thread is None
            )
        return self.ready.get(name)

    def _work(self) -> None:
        while True:
            with self.changed:
                if not self.wanted or not threading.main_thread().is_alive():
                    self.thread = None
                    self.changed.notify_all()
                    return
                name = self.wanted[0]
            kernel = self._compiled(name)
            with self.changed:
                if name in self.wanted:
                    self.wanted.remove(name)
                if kernel is None:
                    self.failed.add(name)
                else:
                    self.ready[name] = kernel
                self.changed.notify_all()

    def _compiled(self, name: Name) -> Kernel | None:
        try:
            from napari_mrissl.slicing.kernels import compile_kernel

            kernel: Kernel = compile_kernel(*name)  # type: ignore[no-untyped-call]
        # Slower slices are better than none, whatever goes wrong in the compiler.
        except Exception:  # noqa: BLE001
            _log.warning("No compiled kernel %s: numpy renders instead.", name, exc_info=True)
            return None
        return kernel


_background = _Background()


def prepare() -> None:
    """Start to compile or load the common kernels in a background thread; returns at once."""
    _background.want(_COMMON)


def kernel(name: str, dtype: np.dtype[Any], pixels: int) -> Kernel | None:
    """The kernel ``"linear"``, ``"blocked"``, ``"nearest"`` or ``"labels"`` for a voxel type.

    None if it is not ready and so few pixels are wanted that numpy has them sooner, or if
    there is none for this type (float16). The very first request for few pixels does not
    even start the background thread: a command that cuts one slice ends at once.
    """
    key = (name, dtype.str[1:])
    found = _background.ready.get(key)
    if found is not None or key[1] not in _COMPILED_TYPES:
        return found
    many = pixels >= _MANY_PIXELS
    if _background.asked or many:
        _background.want((key,), first=True)
    _background.asked = True
    return _background.wait(key) if many else None


def settle(name: str, dtype: np.dtype[Any]) -> None:
    """Wait until a kernel is there (or known never to be): then every process gets the same.

    Until then numpy serves few pixels, and the last bit of a value may differ.
    """
    key = (name, dtype.str[1:])
    if key[1] in _COMPILED_TYPES and key not in _background.ready:
        _background.want((key,), first=True)
        _background.wait(key)


def _after_fork() -> None:
    # The thread is gone in a forked child; what it had compiled is not.
    global _background
    before = _background
    _background = _Background()
    _background.ready = before.ready
    _background.failed = before.failed
    _background.asked = before.asked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
