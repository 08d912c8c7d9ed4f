"""The sign of life of a run: a small file, touched at most once a second."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import open_regular

PATIENCE = 30.0
"""Seconds without a beat after which a run counts as hung."""

LONGEST_PATIENCE = 3600.0

_FILE = "heartbeat"
_INTERVAL = 1.0


class Heartbeat:
    """Beats for a run; the file's time is the beat, its text the patience asked for.

    Parameters
    ----------
    folder
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._last = -_INTERVAL
        self._patience: float | None = None

    def beat(self, patience: float = PATIENCE) -> None:
        """Beat, unless that was less than a second ago with the same patience.

        Raises
        ------
        MrisslError
            If the disk refuses.
        """
        now = time.monotonic()
        if patience == self._patience and now - self._last < _INTERVAL:
            return
        try:
            if patience == self._patience:
                os.utime(self._path)
            else:
                self._path.write_text(f"{patience:g}\n", "utf-8")
        except OSError as error:
            raise MrisslError(
                f"could not be written ({error.strerror or type(error).__name__})",
                where=self._path,
                expected="a writable folder with enough space",
            ) from error
        self._last, self._patience = now, patience


@dataclass(frozen=True)
class Pulse:
    """The last beat of a run.

    Attributes
    ----------
    age
        Seconds since then by this machine's clock, at least 0.
    patience
        After how many it counts as hung.
    beaten
        When, in seconds since 1970, by the clock that times the folder's files.
    """

    age: float
    patience: float
    beaten: float

    @property
    def lost(self) -> bool:
        """Whether the next beat is overdue."""
        return self.age > self.patience


def pulse(folder: Path) -> Pulse | None:
    """The last beat of a run, or None if it never beat or that cannot be read."""
    path = folder / _FILE
    try:
        with open_regular(path) as file:
            text = file.read(32)
            beaten = os.fstat(file.fileno()).st_mtime
        patience = float(text)
    except (OSError, ValueError):
        return None
    # Written so that a patience that is no number counts as the usual one.
    if not 0 < patience <= LONGEST_PATIENCE:
        patience = PATIENCE
    return Pulse(max(0.0, time.time() - beaten), patience, beaten)
