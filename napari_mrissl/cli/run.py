"""``mrissl run``: list, show, resume and stop trainings; they may go on without this command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.terminal import say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.training.run import Run
    from napari_mrissl.training.states import RunState

Folder = Annotated[Path | None, Parameter(name="RUN")]
Steps = Annotated[int | None, Parameter(negative="")]

_LOOK_SECONDS = 0.5
_SAY_SECONDS = 10.0
_WAIT_SECONDS = 5.0
_LAST_WORDS_SECONDS = 5.0


def list_runs(*, json: Flag = False) -> None:
    """List the runs that were made or opened on this machine, newest first.

    Parameters
    ----------
    json
        Print one JSON object.
    """
    from napari_mrissl.training import index

    found = index.runs()
    rows = [(run, run.state()) for run in found]
    if json:
        show_json({"runs": [_row(run, state) for run, state in rows]})
        return
    if not rows:
        say("no runs yet; mrissl pretrain makes one")
        return
    lines = {}
    for number, (run, state) in enumerate(rows, 1):
        lines[f"{number}"] = (
            f"{run.folder}  {run.settings.method}  {state.name}  "
            f"step {state.step} of {state.steps}  {run.identity.created}"
        )
    show(lines)


def show_run(folder: Folder = None, /, *, json: Flag = False) -> None:
    """Show a run: its state, and every loss term beside its chance value.

    Parameters
    ----------
    folder
        Folder of a run; without it the newest one of this machine.
    json
        Print one JSON object.
    """
    from napari_mrissl.training import index

    run = _newest() if folder is None else index.remember(folder)
    facts = run.summary()
    if json:
        show_json(facts)
        return
    terms, warnings = facts.pop("terms"), facts.pop("warnings")
    lines: dict[str, object] = {"run": run.folder.name}
    for name, value in facts.items():
        if value not in (None, ""):
            lines[name.replace("_", " ")] = f"{value:.4g}" if isinstance(value, float) else value
    for name, values in terms.items():
        said = ", ".join(
            f"{what.replace('_', ' ')} {value:.5g}"
            for what, value in values.items()
            if value is not None
        )
        lines[f"term {name}"] = said or "no finite value yet"
    for number, text in enumerate(warnings, 1):
        lines[f"warning {number}"] = text
    show(lines)


def resume(
    folder: Folder = None,
    /,
    *,
    steps: Steps = None,
    processes: Whole = 1,
    background: Flag = False,
) -> None:
    """Let a run go on from its newest checkpoint, and wait until it ends.

    Ctrl-C stops the run after its running step; its checkpoint is kept.

    Parameters
    ----------
    folder
        Folder of a run; without it the newest one of this machine.
    steps
        How many it is to do in all; without it as many as before.
    processes
        How many processes train it together on this machine.
    background
        Return at once; the run goes on.
    """
    from napari_mrissl.training import index, launch

    within("--processes", processes, 1, 1024)
    run = _newest() if folder is None else index.remember(folder)
    pid = launch.resume(run.folder, steps, processes=processes)
    say("goes on" if pid is None else f"goes on in process {pid}")
    if background:
        return
    try:
        state = _followed(run.folder)
    except KeyboardInterrupt:
        say("stopping after the running step")
        _say_state(launch.stop(run.folder))
        raise
    _end(run, state)


def stop(folder: Folder = None, /, *, ask: Flag = False) -> None:
    """Stop a run after its running step, or after 5 seconds at once; its checkpoint is kept.

    Parameters
    ----------
    folder
        Folder of a run; without it the newest one of this machine.
    ask
        Leave the wish in its folder and return: however long its step takes, it is not ended.
    """
    from napari_mrissl.training import control, index, launch

    run = _newest() if folder is None else index.remember(folder)
    state = run.state()
    if not state.alive and not state.unsure:
        raise MrisslError(f"is {state.name}", where=run.folder, expected="a running run")
    if ask:
        control.request(run.folder, "stop")
        say("stops after its running step")
        return
    state = launch.stop(run.folder)
    _say_state(state)
    if state.alive or state.unsure:
        say(
            "its process is on another machine and stops after its running step, unless this "
            "folder is a copy of the run's"
        )


def wait(folder: Annotated[Path, Parameter(name="RUN")], /, *, seconds: Whole = 3600) -> None:
    """Wait until no other machine can be training a run, as after a machine was lost.

    A run counts as trained for two minutes after its last sign of life, and for longer where
    its own steps take longer.

    Parameters
    ----------
    folder
        Folder of a run.
    seconds
        The longest to wait.
    """
    from napari_mrissl.training.run import Run

    within("--seconds", seconds, 0, 7 * 86_400)
    run = Run.open(folder)
    end = time.monotonic() + seconds
    while run.trained_elsewhere():
        if time.monotonic() >= end:
            raise MrisslError(
                f"is still being trained elsewhere after {seconds} seconds", where=run.folder
            )
        time.sleep(min(_WAIT_SECONDS, max(0.0, end - time.monotonic())))


def _newest() -> Run:
    from napari_mrissl.training import index

    found = index.runs()
    if not found:
        raise MrisslError("no runs on this machine yet", remedy="give the folder of a run")
    return found[0]


def _row(run: Run, state: RunState) -> dict[str, Any]:
    return {
        "uuid": run.identity.uuid,
        "folder": str(run.folder),
        "method": run.settings.method,
        "created": run.identity.created,
        "state": state.name,
        "reason": state.reason,
        "alive": state.alive,
        "step": state.step,
        "steps": state.steps,
        "checkpoint": state.checkpoint,
    }


def _followed(folder: Path) -> RunState:
    """Wait for the end of a run, with a line now and then."""
    from napari_mrissl.training.run import Run

    # Opened again, since a resume may have changed how many steps there are.
    run = Run.open(folder)
    said = 0.0
    while (state := run.state()).alive and state.name != "failed":
        if time.monotonic() - said > _SAY_SECONDS:
            said = time.monotonic()
            _say_state(state)
        time.sleep(_LOOK_SECONDS)
    # It says why it failed a little before it is gone; one that hangs stays.
    end = time.monotonic() + _LAST_WORDS_SECONDS
    while run.state().alive and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS / 5)
    return run.state()


def _end(run: Run, state: RunState) -> None:
    if state.name == "failed":
        raise MrisslError(state.reason, where=run.folder)
    _say_state(state)


def _say_state(state: RunState) -> None:
    reason = f" ({state.reason})" if state.reason else ""
    say(f"{state.name} at step {state.step} of {state.steps}{reason}")
