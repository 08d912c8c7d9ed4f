"""Where coverage need not look: other packages' code takes twice as long while it is traced."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CHILDREN = "COVERAGE_PROCESS_CONFIG"
"""The variable by which coverage makes Python's children trace themselves too."""


@contextmanager
def untraced() -> Iterator[None]:
    """Whatever this thread runs inside is not traced."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def trace_no_more() -> None:
    """Trace nothing more in this process."""
    sys.settrace(None)
    threading.settrace(None)


def take_from_children() -> str | None:
    """Let children be untraced from now on; returns what traces them."""
    return os.environ.pop(_CHILDREN, None)


def give_to_children(monkeypatch, what: str | None) -> None:
    """Trace the children of this test."""
    if what is not None:
        monkeypatch.setenv(_CHILDREN, what)
