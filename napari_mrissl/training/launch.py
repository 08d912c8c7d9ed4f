"""Start, stop and resume runs, each in a child process with a process group of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import control, whereabouts
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.layout import being_saved
from napari_mrissl.training.run import Run
from napari_mrissl.training.states import ACTIVE, RunState

_LOOK_SECONDS = 0.02
_LAST_WORDS_SECONDS = 5.0
_SAVING_SECONDS = 60.0

Command = Callable[[Path, int], list[str]]
"""The words that train a run, from its folder and the number of processes."""


def child_command(folder: Path, processes: int) -> list[str]:
    """The words of the child process, or of what starts several of them."""
    python = [sys.executable, "-X", "faulthandler"]
    child = ["-m", "napari_mrissl.cli.child", str(folder)]
    several = ["-m", "napari_mrissl.cli.processes", str(processes)]
    return [*python, *child] if processes == 1 else [*python, *several, *child]


def start(
    folder: str | Path,
    *,
    processes: int = 1,
    nice: int = 10,
    command: Command | None = None,
) -> int:
    """Train a run in a child process that outlives this one; returns its process id.

    What the child itself says goes to a file in the user's data directory, as it may hold
    paths; see `napari_mrissl.training.whereabouts.output_file`.

    Parameters
    ----------
    folder
        Of the run.
    processes
        How many train it together on this machine.
    nice
        How much it steps back for other programs, 0 to 19.
    command
        Makes the words that are run; without it `child_command`.

    Raises
    ------
    MrisslError
        If it is being trained already, is finished, or cannot be started; the run is as it
        was then.
    """
    if processes < 1:
        raise MrisslError(f"{processes}", where="processes", expected="at least 1")
    run = Run.open(folder)
    _check_shared(run, processes)
    words = (command or child_command)(run.folder, processes)
    _check_startable(run, run.state())
    with run.alone():
        # Between the look and the lock somebody else may have started it.
        _check_startable(run, run.state(), alone=True)
        output = whereabouts.output_file(run.identity.uuid)
        word = whereabouts.new_word()
        control.forget(run.folder)
        whereabouts.write_process_word(run.folder, word)
        with EventWriter(run.folder) as events:
            events.state("queued")
            try:
                child = _spawned(words, output, word, nice)
            except OSError as error:
                reason = f"process could not be started ({error.strerror})"
                events.state("failed", reason)
                raise MrisslError(reason, where=run.folder) from error
        whereabouts.adopt(word, child)
        run.give_to(word, child.pid)
    return child.pid


def stop(folder: str | Path, patience: float = 5.0) -> RunState:
    """Stop a run: after its running step, or by ending its process after some seconds.

    A checkpoint that is being written by then has up to a minute to be committed. Returns
    once it has stopped, or at once if its process is on another machine. The newest committed
    checkpoint stays whatever happens. A run that was never started, or has ended, is left as
    it is.

    Raises
    ------
    MrisslError
        If the folder cannot be written.
    """
    run = Run.open(folder)
    state = run.state()
    if not state.alive and not state.unsure:
        return state
    hangs = state.alive and state.name == "failed"
    control.request(run.folder, "stop")
    if not state.here:
        return run.state()
    if not hangs and (_waited(lambda: _said_so(run), patience) or _saved(run)):
        # It has said so itself, and is about to be gone.
        _waited(lambda: not run.state().alive, _LAST_WORDS_SECONDS)
        _end(run)
        return run.state()
    _end(run)
    state = run.state()
    if not state.alive:
        # So that the events tell the whole story to those who only read them.
        with contextlib.suppress(MrisslError), run.alone(), EventWriter(run.folder) as events:
            events.state("stopped", state.reason)
    return run.state()


def pause(folder: str | Path) -> None:
    """Let a run wait after its running step; its process stays.

    Raises
    ------
    MrisslError
        If the run is not being trained, or the folder cannot be written.
    """
    run = Run.open(folder)
    state = run.state()
    if state.name not in ("queued", "running") or not (state.alive or state.unsure):
        raise MrisslError(f"is {state.name}", where=run.folder, expected="a running run")
    control.request(run.folder, "pause")


def resume(folder: str | Path, steps: int | None = None, *, processes: int = 1) -> int | None:
    """Let a run go on: a paused one in its process, any other one in a new process.

    Parameters
    ----------
    folder
        Of the run.
    steps
        How many it is to do in all; without it as many as before. The learning rate then
        follows the longer schedule.
    processes
        How many train it together, if it needs a new process.

    Returns
    -------
    The process id of the new process, or None if the run was only paused.

    Raises
    ------
    MrisslError
        If it is being trained, or is finished and no more steps are given.
    """
    run = Run.open(folder)
    state = run.state()
    if state.alive and state.name in ("paused", "pausing") and steps is None:
        control.request(run.folder, "resume")
        return None
    if state.alive and state.name == "failed":
        raise MrisslError("hangs", where=run.folder, remedy="stop it first")
    _check_shared(run, processes)
    if steps is not None:
        run.extend(steps)
    return start(run.folder, processes=processes)


def _check_shared(run: Run, processes: int) -> None:
    """Refuse what the processes themselves would refuse, when the run had begun already."""
    if processes > 1:
        from napari_mrissl.training.batches import shares

        options = run.settings.optimisation
        shares(options.batch, options.accumulation, 0, processes)


def _check_startable(run: Run, state: RunState, *, alone: bool = False) -> None:
    # Alone, this process itself is what makes the run look alive.
    if state.alive and not alone:
        what = "hangs" if state.name == "failed" else f"is {state.name} already"
        raise MrisslError(what, where=run.folder, remedy="stop it first")
    if state.unsure and run.trained_elsewhere():
        raise MrisslError(
            "is being trained on another machine", where=run.folder, remedy="stop it there first"
        )
    steps = run.settings.optimisation.steps
    if state.name == "finished" and state.step >= steps:
        raise MrisslError(
            f"is finished after {steps} steps", where=run.folder, remedy="resume with more steps"
        )


def _said_so(run: Run) -> bool:
    return run.state().name not in ACTIVE


def _saved(run: Run) -> bool:
    """Wait for the checkpoint that is being written; whether the run then said it stopped."""
    if not being_saved(run.folder):
        return _said_so(run)
    _waited(lambda: not being_saved(run.folder) or _said_so(run), _SAVING_SECONDS)
    return _waited(lambda: _said_so(run), _LAST_WORDS_SECONDS)


def _end(run: Run) -> None:
    """End what is left of a run's process, if it is this machine's."""
    known = whereabouts.recall(run.identity.uuid)
    if known is None or not known.holds(whereabouts.process_word(run.folder)):
        return
    if run.state().alive:
        whereabouts.end(known)
        _waited(lambda: not run.state().alive, _LAST_WORDS_SECONDS)
    if known.process is not None:
        # Who started several processes may have been ended before it could.
        shutil.rmtree(whereabouts.meeting_place(known.process), ignore_errors=True)


def _waited(condition: Callable[[], bool], patience: float) -> bool:
    """Wait until something is so; False if it is not after some seconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _spawned(words: list[str], output: Path, word: str, nice: int) -> subprocess.Popen[bytes]:
    environment = {
        # Threads that wait for each other must not spin on cores that a viewer needs.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        whereabouts.PROCESS_VARIABLE: word,
        # Neither the folder we are in nor a script's is searched for modules.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }
    windows = sys.platform == "win32"
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS
    with open(output, "wb") as said:
        child = subprocess.Popen(  # noqa: S603 our own words
            words,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=not windows,
            creationflags=flags,
        )
    if sys.platform != "win32":
        # Not before exec: that is unsafe beside the threads of a viewer.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, child.pid, nice)
    return child
