"""What a command says: results on stdout, progress and complaints on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_mrissl.errors import MrisslError, printable


def one_sentence(text: str) -> str:
    """Several lines or sentences as one printable sentence."""
    joined = printable(re.sub(r"\. (?=[A-Z])", "; ", " ".join(text.split())))
    return joined if joined.endswith((".", "?")) else f"{joined}."


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"mrissl: {printable(text)}\n")
    sys.stderr.flush()


def say_file(path: Path) -> None:
    """All lines of a text file on stderr."""
    for line in path.read_text(encoding="utf-8").splitlines():
        say(line)


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Say on Ctrl-C that the same command goes on from there."""
    try:
        yield
    except KeyboardInterrupt:
        say("stopped: the same command goes on from there")
        raise


def show(lines: Mapping[str, object]) -> None:
    """Names and values on stdout, one per line."""
    width = max(map(len, lines))
    _put("\n".join(printable(f"{name:<{width}}  {value}") for name, value in lines.items()))


def show_json(document: Mapping[str, Any]) -> None:
    """One JSON object on stdout; anything but ASCII is escaped."""
    _put(json.dumps(document, allow_nan=False))


def abandon_output() -> None:
    """Let Python's own flush at exit succeed after the reader of stdout went away."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _put(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as reason:
        abandon_output()
        raise MrisslError(
            f"the output could not be written ({reason.strerror})", remedy="send it elsewhere"
        ) from reason


class Progress:
    """Says on stderr how far a piece of work is, a line per quarter.

    Parameters
    ----------
    work
        What is being done.
    """

    def __init__(self, work: str) -> None:
        self.work = work
        self._quarter = -1

    def __call__(self, part: float, step: str = "") -> None:
        """Note that ``part``, 0 to 1, is done."""
        quarter = int(4 * min(max(part, 0.0), 1.0))
        if quarter > self._quarter:
            self._quarter = quarter
            say(f"{self.work}: {25 * quarter} %" + (f" ({step})" if step else ""))
