"""How the loop, between two steps, listens to commands and shows that the run lives."""

from __future__ import annotations

import math
import threading
import time
from typing import Literal

from napari_mrissl.training.control import Control
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.heartbeat import PATIENCE

Wanted = Literal["stop", "pause"]

_LONG = 600.0
_GRACE = 20.0
_STEPS = 5.0


class Watch:
    """The commands to a run and its sign of life, in the process that writes its events.

    With each beat the run says after how many seconds of silence it counts as hung: that is
    five of the longest steps so far, so that large crops on a slow machine are no alarm.

    Parameters
    ----------
    reports
        Of the run.
    interrupted
        Set when the process is asked to end, which means stop.
    """

    def __init__(self, reports: EventWriter, interrupted: threading.Event) -> None:
        self._reports = reports
        self._control = Control(reports.folder)
        self._interrupted = interrupted
        self._wanted: Wanted | None = None
        self._longest = 0.0
        self._since = time.monotonic()
        self.busy()

    def wanted(self) -> Wanted | None:
        """What the user wants the loop to do; a stop stays."""
        command = self._control.poll()
        if self._wanted == "stop":
            return "stop"
        before = self._wanted
        if command == "stop" or self._interrupted.is_set():
            self._wanted = "stop"
        elif command is not None:
            self._wanted = "pause" if command == "pause" else None
        if self._wanted is not None and self._wanted != before:
            self._reports.state("stopping" if self._wanted == "stop" else "pausing")
        return self._wanted

    def progress(self) -> None:
        """Note that a step is done, or that a pause lasts."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._since)
        self._since = now
        # In powers of two, so that the same number is written again and again.
        self._reports.beat(
            max(PATIENCE, 2.0 ** math.ceil(math.log2(_GRACE + _STEPS * self._longest)))
        )

    def busy(self) -> None:
        """Note that something begins that may take much longer than a step."""
        self._since = time.monotonic()
        self._reports.beat(_LONG)
