"""Work off the GUI thread: progress, cancel, newest wins, and errors in one sentence."""

from __future__ import annotations

import atexit
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QThreadPool, Signal
from superqt.utils import FunctionWorker
from superqt.utils import create_worker as create_unlisted_worker

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled

LOGGER = logging.getLogger(__name__)

# More often than this the eye sees nothing new, and the event loop pays for each message.
_PROGRESS_INTERVAL = 0.05

_PROGRESS, _MESSAGE, _RESULT, _CANCELLED = range(4)

_PATIENCE_MS = 10_000
_launched: weakref.WeakSet[Control] = weakref.WeakSet()


def _end_before_qt() -> None:
    """A job that still runs when Qt is taken down takes the whole process with it."""
    for control in _launched:
        control.stop()
    QThreadPool.globalInstance().waitForDone(_PATIENCE_MS)


# Runs before Qt's own, which was registered earlier.
atexit.register(_end_before_qt)


class Control:
    """What a job's function gets: ways to report, and to learn that it should stop.

    All methods may be called from the job's thread.
    """

    def __init__(self, relay: _Relay) -> None:
        self._relay = relay
        self._last_progress = 0.0
        self._stopped = False
        self._quit_requested: Callable[[], bool] = lambda: False

    def progress(self, fraction: float, text: str = "") -> None:
        """Tell how much is done, 0 to 1; messages in quick succession are thinned out."""
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_INTERVAL or fraction >= 1:
            self._last_progress = now
            self._relay.sent.emit(self, _PROGRESS, (float(fraction), text))

    def send(self, message: object) -> None:
        """Hand an intermediate result to the job's ``received`` callback on the GUI thread."""
        self._relay.sent.emit(self, _MESSAGE, message)

    def cancelled(self) -> bool:
        """Whether the job was cancelled, superseded, or the viewer is closing."""
        return self._stopped or self._quit_requested()

    def stop(self) -> None:
        """Ask the job to stop at its next look at `cancelled`."""
        self._stopped = True

    def follow(self, quit_requested: Callable[[], bool]) -> None:
        """Also stop when the worker is told to quit, as napari does when it closes."""
        self._quit_requested = quit_requested

    def finish(self, kind: int, result: object = None) -> None:
        """Deliver the end of the job, after everything it sent before."""
        self._relay.sent.emit(self, kind, result)


class _Relay(QObject):
    """Carries messages from the job's thread; its own object, so that it outlives the panel."""

    sent = Signal(object, int, object)


class _Task:
    """A job as napari's worker calls it; its text is what napari's close dialog shows."""

    def __init__(
        self,
        work: Callable[[Control], Any],
        title: str,
        control: Control,
        done: Callable[[Any], None] | None,
        received: Callable[[Any], None] | None,
    ) -> None:
        self.title = title
        self.control = control
        self.done = done
        self.received = received
        self._work: Callable[[Control], Any] | None = work

    def __str__(self) -> str:
        return self.title

    def __call__(self) -> None:
        # napari keeps finished workers in its task list: let go of the scan with the work.
        work, self._work = self._work, None
        if work is None:
            return
        try:
            if self.control.cancelled():
                raise Cancelled
            result = work(self.control)
        except Cancelled:
            self.control.finish(_CANCELLED)
        else:
            self.control.finish(_RESULT, result)


class JobRunner(QObject):
    """One job at a time; starting a newer one cancels the older, whose results are dropped.

    Parameters
    ----------
    listed
        Whether napari shows the jobs among its tasks and asks before it closes meanwhile.

    Attributes
    ----------
    started : Signal(str)
        A job's title, when it is started.
    progressed : Signal(float, str)
        Fraction done and what is being done.
    failed : Signal(str)
        One sentence; the traceback goes to the log.
    cancelled : Signal()
        The job noticed that it was cancelled; its ``done`` is not called.
    idle : Signal()
        No job is running or waiting any more.
    """

    started = Signal(str)
    progressed = Signal(float, str)
    failed = Signal(str)
    cancelled = Signal()
    idle = Signal()

    def __init__(self, parent: QObject | None = None, *, listed: bool = True) -> None:
        super().__init__(parent)
        self._create = create_worker if listed else create_unlisted_worker
        self._relay = _Relay()
        self._relay.sent.connect(self._receive)
        self._current: _Task | None = None
        self._waiting: deque[_Task] = deque()
        self._worker: Any = None
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether a job is running or waiting for a cancelled one to end."""
        return self._current is not None or bool(self._waiting)

    def start(
        self,
        work: Callable[[Control], Any],
        *,
        title: str,
        done: Callable[[Any], None] | None = None,
        received: Callable[[Any], None] | None = None,
        queue: bool = False,
    ) -> None:
        """Run ``work(control)`` in the background, cancelling what runs now.

        ``done(result)`` and ``received(message)`` are called on the GUI thread, and
        only while the job is not cancelled. A job starts once the older one has ended:
        two never compete for the cores. With ``queue`` the older one is not cancelled
        but finished first, as for files to be written.
        """
        if self._closed:
            return
        task = _Task(work, title, Control(self._relay), done, received)
        if self._current is None:
            self._launch(task)
            return
        if not queue:
            self.cancel()
        self._waiting.append(task)

    def cancel(self) -> None:
        """Ask the running job to stop and forget those that wait."""
        self._waiting.clear()
        if self._current is not None:
            self._current.control.stop()

    def close(self) -> None:
        """Cancel for good; nothing is delivered any more."""
        self._closed = True
        self.cancel()

    def _launch(self, task: _Task) -> None:
        self._current = task
        _launched.add(task.control)
        self._worker = self._create(
            task,
            _start_thread=False,
            # Neither napari's error dialog nor a traceback: `failed` says it in a sentence.
            _worker_class=FunctionWorker,
            _ignore_errors=True,
        )
        worker = self._worker
        task.control.follow(lambda: worker.abort_requested)
        worker.errored.connect(self._fail)
        worker.warned.connect(_log_warning)
        worker.finished.connect(self._finish)
        self.started.emit(task.title)
        worker.start()

    def _receive(self, control: Control, kind: int, payload: Any) -> None:
        task = self._current
        if self._closed or task is None or task.control is not control:
            return
        if kind == _CANCELLED or control.cancelled():
            return
        if kind == _PROGRESS:
            self.progressed.emit(*payload)
            return
        deliver = task.received if kind == _MESSAGE else task.done
        if deliver is None:
            return
        try:
            deliver(payload)
        except MrisslError as error:
            self.failed.emit(str(error))

    def _fail(self, error: Exception) -> None:
        task = self._current
        if self._closed or task is None or task.control.cancelled():
            return
        self.failed.emit(sentence(error, task.title))

    def _finish(self) -> None:
        task, self._current = self._current, None
        self._worker = None
        if task is not None:
            # As with the work: these hold panels and scans.
            task.done = task.received = None
        if self._closed:
            return
        if self._waiting:
            self._launch(self._waiting.popleft())
            return
        if task is not None and task.control.cancelled():
            self.cancelled.emit()
        # A `done` that started the next job keeps the runner busy.
        if self._current is None:
            self.idle.emit()


def sentence(error: Exception, title: str) -> str:
    """An error as one sentence for the user; unexpected ones are logged with traceback."""
    if isinstance(error, MrisslError):
        return str(error)
    LOGGER.error("%s failed", title, exc_info=error)
    if isinstance(error, MemoryError):
        return f"{title} needs more memory than is free; choose fewer features."
    first_line = str(error).strip().split("\n", 1)[0]
    return f"{title} failed: {first_line or type(error).__name__} (details in Help > Show logs)."


def _log_warning(warning: tuple[Any, ...]) -> None:
    LOGGER.warning("%s", warning[0])
