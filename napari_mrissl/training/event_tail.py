"""The events of a run, as whoever looks on follows them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.event_types import EVENTS, Event
from napari_mrissl.trajectories.contained import open_regular
from napari_mrissl.trajectories.journal_lines import is_sealed

EVENTS_FILE = "events.jsonl"

LONGEST_LINE = 1 << 20
"""Bytes in a line beyond which an event is skipped."""

_AT_ONCE = 1 << 24


class EventTail:
    """Follows the events of a run as they come; cheap while there is nothing new.

    Parameters
    ----------
    folder
        Of the run; its events need not be there yet.

    Attributes
    ----------
    generation
        Grows when the file was cut or replaced: the events then come again from the first.
    damaged
        How many lines were skipped because they are no events or fail their checksum.
    """

    def __init__(self, folder: str | Path) -> None:
        self._path = Path(folder) / EVENTS_FILE
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._last = b""
        self.generation = 0
        self.damaged = 0

    def poll(self) -> list[Event]:
        """What was appended since the last call, in order.

        Raises
        ------
        MrisslError
            If the file cannot be read.
        """
        return [event for line in self.lines() if (event := self._parsed(line)) is not None]

    def lines(self) -> Sequence[bytes]:
        """The lines that `poll` would read, as they are."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._restart(None)
            return []
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise MrisslError("is no regular file", where=self._path, expected="events of a run")
        file = (status.st_dev, status.st_ino)
        if file != self._file or status.st_size < self._offset:
            self._restart(file)
        if status.st_size == self._offset:
            return []
        return self._read()

    def _restart(self, file: tuple[int, int] | None) -> None:
        if self._offset:
            self.generation += 1
        self._file, self._offset, self._last, self.damaged = file, 0, b"", 0

    def _read(self) -> list[bytes]:
        try:
            with open_regular(self._path) as file:
                if self._last:
                    file.seek(self._offset - len(self._last))
                    if file.read(len(self._last)) != self._last:
                        self._restart(self._file)
                        file.seek(0)
                found: list[bytes] = []
                rest = b""
                while more := file.read(_AT_ONCE):
                    whole, newline, rest = (rest + more).rpartition(b"\n")
                    if newline:
                        found += (whole + b"\n").splitlines(keepends=True)
                        self._offset += len(whole) + 1
                        self._last = found[-1][-64:]
                    elif len(rest) > LONGEST_LINE:
                        break
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return found

    def _parsed(self, line: bytes) -> Event | None:
        if len(line) <= LONGEST_LINE and is_sealed(line):
            try:
                return EVENTS.validate_json(line)
            except ValidationError:
                pass
        self.damaged += 1
        return None


def _unreadable(path: Path, error: OSError) -> MrisslError:
    return MrisslError(f"could not be read ({error.strerror or type(error).__name__})", where=path)
