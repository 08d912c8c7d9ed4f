"""Append-only JSONL journals: what was done, as it is done, safe against ``kill -9``.

What a line looks like is in `journal_lines`; here a journal is written, and read whole.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.journal_lines import (
    Record,
    as_json,
    encoded,
    first_line,
    not_only_torn,
    parsed_header,
    parsed_record,
    sealed,
)
from napari_mrissl.volumes.atomic import sync_folder

_SECONDS_TOGETHER = 0.2
"""Events are written and synced in groups of so many seconds: under a second is at risk."""

LONGEST_LINE = 1 << 26
"""Bytes in a line beyond which a journal is refused: scribbles are large, attacks larger."""


class Journal:
    """A journal open for appending; its own thread writes and syncs.

    Parameters
    ----------
    path
        The file, which must be new; its folder must exist.
    header
        What the journal is about, as JSON-able mapping; on disk at once.
    late
        Makes an event that takes long to find, in a thread of its own; it is appended
        once it is known. Closing waits for it.
    on_error
        Called once, in a thread of the journal, with the error if writing or ``late``
        fails.
    clock
        Nanoseconds, monotonic.

    Raises
    ------
    MrisslError
        If the file exists or cannot be created.
    """

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, Any],
        *,
        late: Callable[[], Mapping[str, Any]] | None = None,
        on_error: Callable[[MrisslError], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._on_error = on_error
        self._header = first_line(header)
        self._late = late
        self._began = clock()
        self._next = 0
        self._latest = 0
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._closing = threading.Event()
        self._error: MrisslError | None = None
        try:
            self._file: BinaryIO = open(self.path, "xb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._found = threading.Event()
        # One thread only is begun here, and it begins the other one: each beginning waits
        # for the new thread's first turn, some milliseconds of the thread that called.
        self._writer = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._writer.start()
        atexit.register(self._close_at_exit)

    def append(self, event: Mapping[str, Any]) -> int:
        """Add an event, stamped now, and return its index; see `record`."""
        return self.record(event)[0]

    def record(self, event: Mapping[str, Any]) -> tuple[int, int]:
        """Add an event and return its index and time stamp; never waits for the disk.

        Raises
        ------
        MrisslError
            If the event is no JSON (NaN is none), the journal is closed, or writing an
            earlier event failed.
        """
        text = as_json(event, self.path)
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._closing.is_set():
                raise MrisslError("journal is closed", where=self.path)
            index, stamp = self._next, self._now()
            self._lines.append(sealed(f'{{"index":{index},"t_ns":{stamp},"event":{text}}}'))
            self._next += 1
        self._work.set()
        return index, stamp

    @property
    def now_ns(self) -> int:
        """What an event appended now would be stamped with."""
        with self._lock:
            return self._now()

    def _now(self) -> int:
        # Never backwards, whatever the clock does.
        self._latest = max(self._latest, self._clock() - self._began)
        return self._latest

    def close(self) -> None:
        """Write and sync what is left and close the file; closing twice is harmless.

        Raises
        ------
        MrisslError
            If anything could not be written.
        """
        self._found.wait()
        with self._lock:
            self._closing.set()
        self._work.set()
        self._writer.join()
        atexit.unregister(self._close_at_exit)
        if self._error is not None:
            raise self._error

    def drop(self) -> None:
        """Close and remove the file, whose content is safe elsewhere; nothing more is written.

        Raises
        ------
        OSError
            If the file cannot be removed.
        """
        with self._lock:
            self._closing.set()
            self._lines.clear()
        self._work.set()
        self._writer.join()
        atexit.unregister(self._close_at_exit)
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _close_at_exit(self) -> None:
        # The owner was told through `on_error`; an exit has nobody to raise to.
        with contextlib.suppress(MrisslError):
            self.close()

    def _write_all(self) -> None:
        try:
            with self._file as file:
                self._begin_to_find()
                _write(file, encoded(self._header, self.path))
                os.fsync(file.fileno())
                # Some network file systems cannot sync a folder; the journal itself is synced.
                with contextlib.suppress(OSError):
                    sync_folder(self.path.parent)
                while self._write_group(file):
                    pass
        except Exception as error:  # noqa: BLE001 a thread that dies unheard loses what follows
            self._fail(error)
            with self._lock:
                self._lines.clear()

    def _begin_to_find(self) -> None:
        if self._late is None:
            self._found.set()
            return
        finder = threading.Thread(
            target=self._find, args=(self._late,), name="journal late", daemon=True
        )
        try:
            finder.start()
        except RuntimeError:
            # The system has no thread to give; nobody is to wait for this one.
            self._found.set()
            raise

    def _find(self, late: Callable[[], Mapping[str, Any]]) -> None:
        """Append what takes long to find; not found in time for `drop` is not needed."""
        try:
            event = late()
            if not self._closing.is_set():
                self.record(event)
        except Exception as error:  # noqa: BLE001 what came before goes on being written
            if not self._closing.is_set():
                self._fail(error)
        finally:
            self._found.set()

    def _write_group(self, file: BinaryIO) -> bool:
        """Write what came in a short while; False once closing and nothing is left."""
        self._work.wait()
        self._closing.wait(_SECONDS_TOGETHER)
        with self._lock:
            self._work.clear()
            lines, self._lines = self._lines, []
            last = self._closing.is_set()
        if lines:
            _write(file, b"".join(lines))
            os.fsync(file.fileno())
        return not last

    def _fail(self, error: Exception) -> None:
        said = error if isinstance(error, MrisslError) else _unwritable(self.path, error)
        with self._lock:
            if self._error is not None:
                return
            self._error = said
        if self._on_error is not None:
            self._on_error(said)


def read_journal(path: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and events of a journal; a torn last line, as a crash leaves it, is left out.

    Raises
    ------
    MrisslError
        If the file cannot be read or any other line is not what a journal writes.
    """
    header, records = read_records(path)
    return header, [record.event for record in records]


def read_records(
    path: str | Path, longest_line: int = LONGEST_LINE
) -> tuple[dict[str, Any], list[Record]]:
    """Header and records, with their indices and time stamps; see `read_journal`."""
    header, records, wrong = recoverable_records(path, longest_line)
    if wrong is not None:
        raise wrong
    return header, records


def recoverable_records(
    path: str | Path, longest_line: int = LONGEST_LINE
) -> tuple[dict[str, Any], list[Record], MrisslError | None]:
    """Header, the longest run of good records from the first, and what ended it.

    The error is None when nothing is wrong but a last line torn by a crash.

    Raises
    ------
    MrisslError
        If the file cannot be read or its first line is not a journal's.
    """
    path = Path(path)
    records: list[Record] = []
    wrong: MrisslError | None = None
    try:
        with open(path, "rb") as file:
            header = parsed_header(file.readline(longest_line + 1), path, longest_line)
            while wrong is None and (line := file.readline(longest_line + 1)):
                number = len(records) + 2
                if not line.endswith(b"\n") and len(line) <= longest_line:
                    wrong = not_only_torn(line, number, path)
                    break
                try:
                    records.append(parsed_record(line, number, path, records, longest_line))
                except MrisslError as error:
                    wrong = error
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})",
            where=path,
            expected="a journal",
        ) from error
    return header, records, wrong


def journal_bytes(header: Mapping[str, Any], records: list[Record], path: Path) -> bytes:
    """The whole content of a journal, for those who have all of it at once."""
    lines = [encoded(first_line(header), path)]
    lines += [encoded(asdict(record), path) for record in records]
    return b"".join(lines)


def _write(file: BinaryIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _unwritable(path: Path, error: Exception) -> MrisslError:
    exists = isinstance(error, FileExistsError)
    reason = "exists already" if exists else getattr(error, "strerror", None)
    return MrisslError(
        f"journal could not be written ({reason or type(error).__name__})",
        where=path,
        expected="a new file in a writable folder with enough space",
        remedy="choose another folder or free some space",
    )
