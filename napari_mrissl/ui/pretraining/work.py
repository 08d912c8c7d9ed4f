"""What the panel does off the GUI thread: start and stop runs, list them, ask the child process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.training import index, launch
from napari_mrissl.training import initial as initial_weights
from napari_mrissl.training.data.cohort import Cohort, load
from napari_mrissl.training.data.engine_subjects import painted_bytes, remarks_on
from napari_mrissl.training.data.label_maps import label_map_records
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import Preprocessing, RunSettings
from napari_mrissl.training.states import ACTIVE
from napari_mrissl.trajectories.locks import locked
from napari_mrissl.ui.jobs import Control
from napari_mrissl.ui.pretraining.data_box import Sources
from napari_mrissl.ui.pretraining.draft import Draft
from napari_mrissl.ui.pretraining.follower import goes_on
from napari_mrissl.ui.pretraining.runs_box import RunRow

_CHILD = "napari_mrissl.cli.child"
_KIND = "pretraining"
"""One job of this kind at a time: its lock."""

_MOST_ROWS = 200
_devices: list[Mapping[str, Any]] = []
_opened = index.OpenRuns()
_LOOK = 0.05
_PATIENCE = 600.0
_LEAVING = 30.0


class Started(NamedTuple):
    """A run that was started, and what is to be said about its data."""

    folder: Path
    notes: tuple[str, ...]


def runs_folder() -> Path:
    """Where new runs are proposed to lie: in the user's data directory."""
    return data_directory() / _KIND


def list_runs(control: Control) -> tuple[RunRow, ...]:
    """The runs of this user, newest first."""
    rows = []
    for run in index.runs(_opened)[:_MOST_ROWS]:
        if control.cancelled():
            raise Cancelled
        rows.append(described(run))
    return tuple(rows)


def described(run: Run) -> RunRow:
    """What the list says of a run."""
    state = run.state()
    created = run.identity.created.replace("T", " ").removesuffix("Z")[:16]
    return RunRow(
        run.folder,
        run.settings.method,
        state.name,
        state.step,
        state.steps,
        created,
        state.reason,
        goes_on(state),
    )


def going_on() -> Run | None:
    """The run that is being trained on this machine, if there is one."""
    for run in index.runs(_opened)[:_MOST_ROWS]:
        state = run.state()
        if state.here and goes_on(state):
            return run
    return None


def start(
    control: Control, draft: Draft, sources: Sources, folder: Path, initial: str = ""
) -> Started:
    """Make a run and give it to a process of its own.

    Raises
    ------
    MrisslError
        If another one is being trained, the data cannot be read, or the folder not be made.
    """
    # Two windows, or two programs, that press Start at once: one of them comes second.
    with locked(runs_folder()):
        refuse_second(control)
        settings, notes, remarks = made_settings(control, draft, sources)
        if control.cancelled():
            raise Cancelled
        control.progress(0.9, "Starting")
        weights = None
        if initial:
            weights, digest = initial_weights.weights_file(initial)
            settings = initial_weights.begun_from(settings, weights, digest)
            said = initial_weights.remarks(weights, settings)
            notes, remarks = (*notes, *said), (*remarks, *said)
        initial_weights.check_needed(settings)
        if folder.parent == runs_folder():
            made_directory(folder.parent)
        run = Run.create(folder, settings, notes=remarks)
        if weights is not None:
            initial_weights.keep(run, weights)
        launch.start(run.folder)
    return Started(run.folder, notes)


def made_settings(
    control: Control, draft: Draft, sources: Sources
) -> tuple[RunSettings, tuple[str, ...], tuple[str, ...]]:
    """The settings of a run with its subjects, what is to be said of them, what to keep of that.

    What is said may name files; what is kept in the run's folder holds no name.
    """
    settings = draft.settings
    if sources.kind != "scans":
        if sources.label_maps:
            records = label_map_records(
                sources.label_maps, sources.kind, partial(_tell, control, "Reading label maps")
            )
            data = settings.data.model_copy(update={"subjects": records})
            settings = settings.model_copy(update={"data": data})
        remarks = remarks_on(settings.data)
        return settings, remarks, remarks
    found = read_scans(control, draft, sources)
    data = settings.data
    chosen = data.preprocessing if data.preprocessing != Preprocessing() else None
    data = found.settings(chosen, data.cache_gib, data.workers)
    return settings.model_copy(update={"data": data}), found.notes, found.remarks


def read_scans(control: Control, draft: Draft, sources: Sources) -> Cohort:
    """The scans, split by subject.

    Raises
    ------
    MrisslError
        If there are none, or they cannot be used.
    """
    if not sources.paths:
        raise MrisslError("no scan is chosen", remedy="add a folder or files under Data")

    tell = partial(_tell, control, "Reading scans")
    tell(0.0)
    return load(sources.paths, seed=draft.settings.seed, progress=tell)


def _tell(control: Control, words: str, part: float) -> None:
    if control.cancelled():
        raise Cancelled
    control.progress(0.8 * part, words)


def pause(folder: Path) -> None:
    """Ask a run to wait after its running step."""
    launch.pause(folder)


def stop(folder: Path) -> None:
    """Stop a run after its running step, or by ending its process; see `launch.stop`.

    Raises
    ------
    MrisslError
        If its folder cannot be written.
    """
    launch.stop(folder)


def resume(control: Control, folder: Path, more: int | None = None) -> Path:
    """Let a run go on: one that is paused, or in a new process, with so many more steps.

    Raises
    ------
    MrisslError
        If another one is being trained, or this one cannot go on.
    """
    control.progress(0.5, "Resuming")
    if more is None and Run.open(folder).state().name in ("paused", "pausing"):
        launch.resume(folder)
        return folder
    with locked(runs_folder()):
        refuse_second(control)
        run = index.remember(folder)
        steps = None if more is None else run.settings.optimisation.steps + more
        launch.resume(run.folder, steps)
    return folder


def refuse_second(control: Control) -> None:
    """Let there be one training at a time: two would only slow each other down.

    One that has ended is given the time that its process takes to leave.

    Raises
    ------
    MrisslError
        If there is one.
    """
    patient_until = time.monotonic() + _LEAVING
    while (other := going_on()) is not None:
        name = printable(other.folder.name)
        if other.state().name in ACTIVE or time.monotonic() > patient_until:
            raise MrisslError(
                f"the run {name} is being trained", remedy="stop it or wait until it has ended"
            )
        _tell(control, f"Waiting for the end of {name}", 0.0)
        time.sleep(_LOOK)


def devices(control: Control) -> list[Mapping[str, Any]]:
    """The devices that torch finds, asked once in a process of its own: importing it is slow."""
    if not _devices:
        _devices.extend(ask(control, ["--devices"]))
    return list(_devices)


def estimate(control: Control, draft: Draft, sources: Sources) -> tuple[Mapping[str, Any], int]:
    """Memory and time of a run, measured by a real step in a process of its own.

    Returns
    -------
    found, held
        What the process says, and the bytes of decoded scans that the cache will hold.
    """
    if sources.kind == "scans":
        decoded = read_scans(control, draft, sources).cache_bytes
    else:
        decoded = painted_bytes(draft.settings.data)
    held = min(decoded, int(draft.settings.data.cache_gib * 2**30))
    control.progress(0.9, "Measuring a step")
    return dict(ask(control, ["--estimate", "-"], draft.settings.model_dump_json())), held


def ask(control: Control, words: Sequence[str], text: str = "") -> Any:
    """What the child process prints as JSON in its last line; it ends when the job is cancelled.

    Raises
    ------
    MrisslError
        If it fails: its last line of complaint.
    """
    command = [sys.executable, "-m", _CHILD, *words]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as child:
        try:
            output, complaints = _talk(control, child, text)
        finally:
            if child.poll() is None:
                child.kill()
    if child.returncode:
        lines = [line for line in complaints.splitlines() if line.strip()]
        # An interpreter that cannot even begin names itself with its whole path.
        reason = lines[-1].strip().removeprefix(f"{sys.executable}: ") if lines else ""
        code = f"the training process ended with code {child.returncode}"
        raise MrisslError(printable(reason)[:300] or code)
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise MrisslError("the training process gave no answer that can be read") from error


def _talk(control: Control, child: subprocess.Popen[str], text: str) -> tuple[str, str]:
    until = time.monotonic() + _PATIENCE
    given: str | None = text
    while True:
        try:
            return child.communicate(given, timeout=_LOOK)
        except subprocess.TimeoutExpired:
            given = None
            if control.cancelled():
                raise Cancelled from None
            if time.monotonic() > until:
                raise MrisslError("the training process did not answer") from None
