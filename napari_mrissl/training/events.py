"""The events of a run, as the process that trains appends them.

``events.jsonl`` holds one JSON object a line, each with ``"crc32"`` as its last member, in
the manner of `napari_mrissl.trajectories.journal_lines`. A run that goes on from a checkpoint does
some steps again: of two events for one step the later one holds.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.training.event_tail import EVENTS_FILE, LONGEST_LINE, EventTail
from napari_mrissl.training.event_types import (
    LONGEST_TEXT,
    ChanceEvent,
    CheckpointEvent,
    Event,
    ImageEvent,
    StateEvent,
    StateName,
    StepEvent,
    ValidationEvent,
    WarningEvent,
)
from napari_mrissl.training.heartbeat import PATIENCE, Heartbeat
from napari_mrissl.training.layout import IMAGES
from napari_mrissl.trajectories.journal_lines import sealed

if TYPE_CHECKING:
    from napari_mrissl.pretext.task import Shown

__all__ = [
    "IMAGES",
    "ChanceEvent",
    "CheckpointEvent",
    "Event",
    "EventTail",
    "EventWriter",
    "ImageEvent",
    "StateEvent",
    "StepEvent",
    "ValidationEvent",
    "WarningEvent",
]

LOG_FILE = "log.txt"

_SYNC_SECONDS = 1.0


class EventWriter:
    """Appends events to a run; a context that closes the file.

    Steps are on disk within a second or so, all other events at once. For a person, states,
    checkpoints, warnings and validations are also lines of ``log.txt``.

    Parameters
    ----------
    folder
        Of the run.

    Raises
    ------
    MrisslError
        From here and from every method, if the disk refuses; what was written before is
        as it was.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._path = self.folder / EVENTS_FILE
        self._heartbeat = Heartbeat(self.folder)
        self._synced = 0.0
        try:
            self._file = os.open(
                self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666
            )
        except OSError as error:
            raise _unwritable(self._path, error) from error
        try:
            self._end, self._next = _end_of(self._file)
        except OSError as error:
            os.close(self._file)
            raise _unwritable(self._path, error) from error

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def state(self, name: StateName, reason: str = "") -> None:
        """The run is in another state; the reason is one sentence without any path.

        While an error is being handled, a failure is logged with where it came from.
        """
        reason = _shortened(reason)
        self._append({"type": "state", "name": name, "reason": reason})
        self._log(f"{name}: {reason}" if reason else name)
        error = sys.exception()
        if name == "failed" and error is not None:
            # Only modules and lines: paths and messages may name a person or a machine.
            for frame in traceback.extract_tb(error.__traceback__):
                self._log(f"    {Path(frame.filename).name}:{frame.lineno} in {frame.name}")
            self._log(f"    {type(error).__name__}")

    def step(
        self,
        step: int,
        total: float,
        terms: Mapping[str, float],
        *,
        rate: float | None = None,
        seconds: float | None = None,
        waiting: float | None = None,
        samples_per_second: float | None = None,
        gradient_norm: float | None = None,
        memory: int | None = None,
    ) -> None:
        """One step is done; see `StepEvent`. Beats too."""
        event = {
            "type": "step",
            "step": step,
            "total": _finite(total),
            "terms": {name: _finite(value) for name, value in terms.items()},
        }
        measured = {
            "rate": _finite(rate),
            "seconds": _finite(seconds),
            "waiting": _finite(waiting),
            "samples_per_second": _finite(samples_per_second),
            "gradient_norm": _finite(gradient_norm),
            "memory": memory,
        }
        known = {name: value for name, value in measured.items() if value is not None}
        self._append({**event, **known}, now=False)
        self.beat()

    def validation(self, step: int, total: float, terms: Mapping[str, float]) -> None:
        """Losses on held-out subjects."""
        finite = {name: _finite(value) for name, value in terms.items()}
        self._append({"type": "validation", "step": step, "total": _finite(total), "terms": finite})
        said = ", ".join(f"{name} {value:.5g}" for name, value in terms.items())
        self._log(f"step {step}: held-out subjects: {said}")

    def chance(self, terms: Mapping[str, float]) -> None:
        """What terms are worth for a predictor that learned nothing."""
        finite = {name: _finite(value) for name, value in terms.items()}
        self._append({"type": "chance", "terms": finite})

    def image(self, step: int, shown: Shown) -> None:
        """Write a picture under ``images`` and say so."""
        from napari_mrissl.training.pictures import write_tiles

        slug = re.sub(r"[^a-z0-9]+", "-", shown.name.lower()).strip("-")[:60] or "picture"
        file = f"step_{step:09d}_{slug}.png"
        columns = write_tiles(self.folder / IMAGES / file, shown.tiles)
        self._append(
            {
                "type": "image",
                "step": step,
                "name": printable(shown.name)[:80],
                "file": file,
                "tiles": len(shown.tiles),
                "columns": columns,
                "captions": [_shortened(caption) for caption in shown.captions],
                "scan": shown.scan,
            }
        )

    def checkpoint(self, step: int, best: bool) -> None:
        """A checkpoint was committed."""
        self._append({"type": "checkpoint", "step": step, "best": best})
        self._log(f"step {step}: checkpoint" + (", the best so far" if best else ""))

    def warning(self, text: str) -> None:
        """Something that the user should know; one sentence without any path."""
        text = _shortened(text)
        self._append({"type": "warning", "text": text})
        self._log(f"warning: {text}")

    def beat(self, patience: float = PATIENCE) -> None:
        """Show that the process lives; cheap, to be called as often as is convenient.

        Parameters
        ----------
        patience
            Seconds without a beat after which the run counts as hung; more before something
            that is known to take long, e.g. compiling.
        """
        self._heartbeat.beat(patience)

    def _append(self, event: dict[str, Any], *, now: bool = True) -> None:
        stamped = {"n": self._next, "t": round(time.time(), 3), **event}
        line = sealed(json.dumps(stamped, allow_nan=False, separators=(",", ":")))
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
            if now or time.monotonic() - self._synced > _SYNC_SECONDS:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            self._take_back()
            raise _unwritable(self._path, error) from error
        self._end += len(line)
        self._next += 1

    def _take_back(self) -> None:
        """Cut off what a refused write left, so that the next event begins a line."""
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            return  # Readers leave a torn last line out, and the next event overwrites it.

    def _log(self, text: str) -> None:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        path = self.folder / LOG_FILE
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{when} UTC  {printable(text)}\n")
        except OSError as error:
            raise _unwritable(path, error) from error


def _end_of(file: int) -> tuple[int, int]:
    """Where the next event goes and its index; a torn last line was never an event."""
    size = os.fstat(file).st_size
    start = size
    tail = b""
    while start and tail.count(b"\n") < 2 and len(tail) <= LONGEST_LINE:
        start = max(0, start - (1 << 16))
        os.lseek(file, start, os.SEEK_SET)
        tail = os.read(file, size - start)
    whole, newline, torn = tail.rpartition(b"\n")
    end = size - len(torn)
    if not newline and start:
        # No event is so long: what is there is no longer ours, and stays.
        os.lseek(file, size, os.SEEK_SET)
        os.write(file, b"\n")
        return size + 1, size + 1
    os.ftruncate(file, end)
    if not newline:
        return 0, 0
    try:
        return end, int(json.loads(whole.rpartition(b"\n")[2])["n"]) + 1
    except (ValueError, KeyError, TypeError, RecursionError):
        # Damaged, but counted: the index only has to grow.
        return end, end


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _shortened(text: str) -> str:
    return printable(" ".join(text.split()))[:LONGEST_TEXT]


def _unwritable(path: Path, error: OSError) -> MrisslError:
    return MrisslError(
        f"could not be written ({error.strerror or type(error).__name__})",
        where=path,
        expected="a writable folder with enough space",
        remedy="free some space; resume goes on from the newest checkpoint",
    )
