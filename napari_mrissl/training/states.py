"""The state of a run, found from its folder and from what this machine knows of its process."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from napari_mrissl.training import control, whereabouts
from napari_mrissl.training.event_types import (
    EVENTS,
    CheckpointEvent,
    Event,
    StateEvent,
    StateName,
    StepEvent,
)
from napari_mrissl.training.heartbeat import pulse
from napari_mrissl.training.layout import committed_steps
from napari_mrissl.training.sightings import Sightings
from napari_mrissl.trajectories.journal_lines import is_sealed
from napari_mrissl.trajectories.locks import holder

ACTIVE: frozenset[StateName] = frozenset({"queued", "running", "pausing", "paused", "stopping"})
"""States in which a process has the run or is about to."""

_STARTING_PATIENCE = 600.0
_OUTPUT_END = 1 << 14


@dataclass(frozen=True)
class RunState:
    """Where a run is.

    Attributes
    ----------
    name
        One of the eight states.
    step, steps
        Done, and in all.
    reason
        One sentence, or empty: why it failed and how to go on, or what was said of the state.
    alive
        Whether a process has the run; a failed run that is alive hangs.
    here
        Whether its last process was one of this machine, so that it can be ended from here.
    checkpoint
        Step of the newest committed checkpoint; 0 if there is none.
    unsure
        Whether a process of another machine may have it although nothing was seen of it
        lately: clocks may differ, and a copied folder may lag behind.
    """

    name: StateName
    step: int
    steps: int
    reason: str = ""
    alive: bool = False
    here: bool = False
    checkpoint: int = 0
    unsure: bool = False

    @property
    def active(self) -> bool:
        """Whether it is being trained, or about to be; then it cannot be started."""
        return self.name in ACTIVE and self.alive


@dataclass(frozen=True)
class LastKnown:
    """The newest state and the newest step among the events of a run."""

    state: StateEvent | None = None
    step: int = 0

    def after(self, lines: Iterable[bytes]) -> LastKnown:
        """The same after more lines of ``events.jsonl``; few of them are parsed."""
        lines = list(lines)
        state, step = self.state, self.step
        for line in reversed(lines):
            if b'"type":"state"' in line and isinstance(found := _parsed(line), StateEvent):
                state = found
                break
        for line in reversed(lines):
            if b'"type":"step"' in line or b'"type":"checkpoint"' in line:
                done = _parsed(line)
                if isinstance(done, StepEvent | CheckpointEvent):
                    step = done.step
                    break
        return LastKnown(state, step)


def derive(folder: Path, uuid: str, steps: int, last: LastKnown, sightings: Sightings) -> RunState:
    """The state of a run.

    Parameters
    ----------
    folder, uuid
        Of the run.
    steps
        That it is to do in all.
    last
        What its events say.
    sightings
        Of whoever asks again and again.

    Raises
    ------
    MrisslError
        If this user's data directory cannot be used.
    """
    said: StateName = last.state.name if last.state else "queued"
    reason = last.state.reason if last.state else ""
    known = whereabouts.recall(uuid)
    word = whereabouts.process_word(folder)
    here = known is not None and known.holds(word) and known.lies_at(folder)
    newest = max(committed_steps(folder), default=0)
    alive = holder(folder) is not None
    if here and known is not None and not alive:
        alive = whereabouts.alive(known)
    # Another machine's process shows itself by nothing but what it writes.
    sight = None
    if not here and not alive and said in ACTIVE:
        sight = sightings.look(folder, last)
        alive = sight.life == "lives"

    def state(name: StateName, reason: str = "") -> RunState:
        unsure = sight is not None and not alive
        return RunState(name, last.step, steps, reason, alive, here, newest, unsure)

    if said not in ACTIVE:
        return state(said, reason)
    if said == "queued" and word is None:
        return RunState("queued", last.step, steps, reason, alive, here, newest)
    wanted = control.pending(folder)
    if sight is not None and sight.life == "unknown":
        return state(
            said,
            f"last sign of life {sight.quiet:.0f} s ago, if the clock of its machine is right and "
            "nothing is still being copied",
        )
    if sight is not None and sight.life == "gone":
        return state(
            "failed",
            f"no sign of life for {sight.quiet:.0f} s: its machine lost it, or what is seen here "
            f"is a copy that is not brought up to date; {_way_on(newest)}",
        )
    if not alive:
        if wanted == "stop":
            return state("stopped", f"its process was ended; {_way_on(newest)}")
        death = _death(uuid, known if here else None)
        return state("failed", f"{death}; {_way_on(newest)}")
    silent = _silent(folder, said) if sight is None else None
    if silent is not None:
        return state(
            "failed",
            f"no sign of life for {silent:.0f} s; stop ends its process, then {_way_on(newest)}",
        )
    if wanted == "stop":
        return state("stopping")
    if wanted == "pause" and said == "running":
        return state("pausing")
    return state(said, reason)


def _way_on(newest: int) -> str:
    if newest:
        return f"resume goes on from step {newest}"
    return "resume begins again, as no checkpoint was written yet"


def _silent(folder: Path, said: StateName) -> float | None:
    """Seconds without a beat, if they are too many."""
    given = _given_seconds(folder)
    heart = pulse(folder)
    if heart is None or (said == "queued" and heart.age > given):
        # Starting: nothing has beaten since the run was given to the process.
        return given if given > _STARTING_PATIENCE else None
    return heart.age if heart.lost and given > heart.patience else None


def _given_seconds(folder: Path) -> float:
    try:
        return max(0.0, time.time() - (folder / "process.json").stat().st_mtime)
    except OSError:
        return 0.0


def _death(uuid: str, known: whereabouts.Whereabouts | None) -> str:
    """How a process ended, in a few words."""
    if known is None:
        return "its process is gone"
    code = whereabouts.exit_code(known)
    output = _output_end(uuid)
    crash = [line for line in output if line.startswith("Fatal Python error: ")]
    if crash:
        return f"its process crashed ({crash[-1].partition(': ')[2]})"
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if -code == signal.SIGKILL:
            return "its process was killed, perhaps because memory ran out"
        return f"its process was ended by {name}"
    told = [line for line in output if line.startswith(whereabouts.TOLD)]
    if told:
        return told[-1].removeprefix(whereabouts.TOLD).rstrip(".")
    if code is not None:
        return f"its process ended with code {code}"
    return "its process was killed, perhaps because memory ran out"


def _output_end(uuid: str) -> list[str]:
    try:
        with open(whereabouts.output_file(uuid), "rb") as file:
            file.seek(max(0, file.seek(0, 2) - _OUTPUT_END))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _parsed(line: bytes) -> Event | None:
    if not is_sealed(line):
        return None
    try:
        return EVENTS.validate_json(line)
    except ValidationError:
        return None
