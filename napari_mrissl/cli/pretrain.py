"""``mrissl pretrain``: train a method on scans, or on painted ones, in the foreground."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.terminal import Progress, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.training.run import Run
    from napari_mrissl.training.settings import DataSettings, RunSettings
    from napari_mrissl.training.states import RunState

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
Optional = Annotated[Whole | None, Parameter(negative="")]

_ENGINES = ("heads", "ensembles")
_PLACES = {"steps": "optimisation.steps"}
"""Options whose name alone is a setting of a method's own: diffusion has steps of noise."""

_EVERY_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_STOP_SECONDS = 60.0


def pretrain(
    method: str,
    /,
    *,
    data: Several = (),
    out: Path | None = None,
    preset: str | None = None,
    steps: Optional = None,
    batch: Optional = None,
    seed: Optional = None,
    device: str | None = None,
    setting: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=True)
    ] = (),
    templates: Path | None = None,
    validation: Several = (),
    exclude: Several = (),
    processes: Whole = 1,
    shuffled: Flag = False,
    init: str | None = None,
    flights: Path | None = None,
    estimate: Flag = False,
    prepare: Flag = False,
    json: Flag = False,
) -> None:
    """Pretrain a network; Ctrl-C stops after the running step, with a checkpoint.

    `mrissl run resume RUN` goes on where it stopped. The panel "Pretraining" of the viewer
    shows the run while it is trained.

    Parameters
    ----------
    method
        Name of the method, e.g. vectorpose.
    data
        Folders, scans, a .txt list, a BIDS tree, or a .csv with columns path, subject, split
        and label; packs, in folders or behind URLs; or one of the words heads and ensembles
        for the data engine (default: heads).
    out
        The new folder of the run.
    preset
        tiny (a minute on two cores), cpu or gpu. The published schedule of vectorpose has two
        stages: --preset published_1, then --preset published_2 --init RUN1.
    steps
        Optimiser steps in all.
    batch
        Samples of a step, over all processes.
    seed
        The same seed gives the same run.
    device
        auto, cpu, cuda, cuda:1 ...
    setting
        KEY=VALUE for any other setting, e.g. crop.side=48 or optimisation.ema=0.99.
    templates
        A folder of label maps for the data engine.
    validation
        Scans of other subjects to measure on; without it a fifth of the subjects is held out.
    exclude
        Scans, e.g. of a later test, that must be in no part of the run.
    processes
        How many processes of this machine train together.
    shuffled
        The null control: targets of other samples.
    init
        Weights to start from: a name of mrissl weights list such as default, a run, or a file.
        The method dynamics needs a run of the method tokenizer, diffusion one of coordinates.
    flights
        A dataset of recorded flights, for tokenizer and dynamics, in place of policies.
    estimate
        Only say what the run will need, measured by a few steps.
    prepare
        Only write the folder of the run, to be trained by torchrun.
    json
        Print one JSON object: the estimate, or where the run stopped.
    """
    from napari_mrissl.training import initial, recorded_flights
    from napari_mrissl.training.batches import shares
    from napari_mrissl.training.building import info_of, settings_for

    info_of(method)
    within("--processes", processes, 1, 64)
    changes = changes_of(setting, steps=steps, batch=batch, seed=seed, device=device)
    if shuffled:
        changes["shuffled"] = True
    if estimate:
        # Settings are checked before scans are read, which may take minutes.
        settings = settings_for(method, None, preset, changes)
        chosen, decoded = data_and_bytes(data, templates, validation, exclude, settings.seed)
        settings = settings_for(method, chosen, preset, changes)
        _show_estimate(settings, decoded, json=json)
        return
    if out is None:
        raise MrisslError("no folder for the run", where="--out", expected="a new folder")
    if out.exists():
        raise MrisslError("is there already", where=out, remedy="choose another name for --out")
    # As above; the seed may be among the single settings.
    settings = settings_for(method, None, preset, changes)
    shares(settings.optimisation.batch, settings.optimisation.accumulation, 0, processes)
    weights: Path | None = None
    if init is not None:
        weights, sha256 = initial.weights_file(init)
        settings = initial.begun_from(settings, weights, sha256)
    initial.check_needed(settings)
    chosen = data_of(data, templates, validation, exclude, settings.seed)
    settings = settings_for(method, chosen, preset, changes)
    if weights is not None:
        settings = initial.begun_from(settings, weights, sha256)
    with recorded_flights.recorded_flights(settings, flights) as (settings, file, left_out):
        if left_out:
            say(f"scans without recorded flights, left out: {left_out}")
        run = _created(out, settings, weights)
        if file is not None:
            recorded_flights.keep(run, file)
    if not prepare:
        state = trained(run, processes)
        report(run, state, json=json)
    elif json:
        show_json({"name": "queued", "step": 0, "steps": settings.optimisation.steps})


def changes_of(settings: tuple[str, ...], **named: Any) -> dict[str, Any]:
    """Single settings by key, of texts KEY=VALUE, and of options that were given."""
    changes: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise MrisslError(f"{text!r}", where="--set", expected="KEY=VALUE")
        changes[key] = value
    given = {_PLACES.get(name, name): value for name, value in named.items()}
    return changes | {name: value for name, value in given.items() if value is not None}


def data_of(
    paths: tuple[str, ...],
    templates: Path | None,
    validation: tuple[str, ...],
    exclude: tuple[str, ...],
    seed: int,
) -> DataSettings | dict[str, Any]:
    """Scans of paths, or the engine where that is the only word."""
    return data_and_bytes(paths, templates, validation, exclude, seed)[0]


def data_and_bytes(
    paths: tuple[str, ...],
    templates: Path | None,
    validation: tuple[str, ...],
    exclude: tuple[str, ...],
    seed: int,
) -> tuple[DataSettings | dict[str, Any], int | None]:
    """As `data_of`, with the bytes of all decoded scans; None for the engine."""
    engine = paths[0] if len(paths) == 1 and paths[0] in _ENGINES else None
    if not paths or engine is not None:
        kind = engine or "heads"
        if validation or exclude:
            raise MrisslError(
                "scans to validate on or to exclude", where="--data", expected="scans to train on"
            )
        chosen: dict[str, Any] = {"kind": kind}
        if templates is not None:
            from napari_mrissl.training.data.label_maps import label_map_records

            records = label_map_records(
                templates, "heads" if kind == "heads" else "ensembles", Progress("reading maps")
            )
            chosen["subjects"] = [record.model_dump(mode="json") for record in records]
        return chosen, None
    if templates is not None:
        raise MrisslError(
            "label maps for scans", where="--templates", expected="--data heads or ensembles"
        )
    from napari_mrissl.training.data import cohort

    found = cohort.load(
        paths,
        validation=validation or None,
        exclude=exclude,
        seed=seed,
        progress=Progress("reading scans"),
    )
    for note in found.notes:
        say(note)
    count = found.subject_count
    say(
        f"{count['train']} subjects to train on, {count['validation']} to validate on, "
        f"{found.cache_bytes / (1 << 30):.2f} GiB decoded"
    )
    return found.settings(), found.cache_bytes


def _created(out: Path, settings: RunSettings, weights: Path | None) -> Run:
    from napari_mrissl.training import initial
    from napari_mrissl.training.data.engine_subjects import remarks_on
    from napari_mrissl.training.run import Run

    notes = remarks_on(settings.data)
    if weights is not None:
        notes += initial.remarks(weights, settings)
    for note in notes:
        say(note)
    run = Run.create(out, settings, notes=notes)
    if weights is not None:
        initial.keep(run, weights)
    return run


def trained(run: Run, processes: int) -> RunState:
    """Train in this process, or in several children, with a line of progress."""
    from napari_mrissl.cli.child import show_cause, stopping_on_signals, train

    ended = threading.Event()
    line = threading.Thread(target=_follow, args=(run, ended), daemon=True)
    line.start()
    try:
        with stopping_on_signals() as interrupted:
            if processes == 1:
                return train(run, interrupted)
            return _in_children(run, processes, interrupted)
    except MrisslError as reason:
        show_cause(reason)
        raise
    finally:
        ended.set()
        line.join()


def _in_children(run: Run, processes: int, interrupted: threading.Event) -> RunState:
    from napari_mrissl.training import launch

    launch.start(run.folder, processes=processes, nice=0)
    while run.state().alive:
        if interrupted.wait(_LOOK_SECONDS):
            say("stopping after the running step")
            return launch.stop(run.folder, patience=_STOP_SECONDS)
    return run.state()


def _follow(run: Run, ended: threading.Event) -> None:
    """Say every few seconds how far the run is, until it has ended."""
    from napari_mrissl.training.events import ChanceEvent, EventTail, StepEvent, ValidationEvent

    tail = EventTail(run.folder)
    latest: StepEvent | None = None
    held_out: ValidationEvent | None = None
    chance: dict[str, float | None] = {}
    said, spoken = time.monotonic(), -1
    last_look = False
    while not last_look:
        last_look = ended.wait(_LOOK_SECONDS)
        for event in tail.poll():
            if isinstance(event, ChanceEvent):
                chance = event.terms
            elif isinstance(event, StepEvent):
                latest = event
            elif isinstance(event, ValidationEvent):
                held_out = event
        now = time.monotonic()
        due = last_look or spoken < 0 or now - said >= _EVERY_SECONDS
        if latest is None or latest.step == spoken or not due:
            continue
        said, spoken = now, latest.step
        shown = held_out or latest
        terms = ", ".join(
            f"{name} {_number(value)}"
            + (f" (chance {_number(chance[name])})" if name in chance else "")
            for name, value in shown.terms.items()
        )
        whose = "held-out subjects: " if held_out is not None else ""
        rate = f", {latest.samples_per_second:.3g} samples/s" if latest.samples_per_second else ""
        say(f"step {latest.step} of {run.settings.optimisation.steps}{rate}; {whose}{terms}")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def report(run: Run, state: RunState, *, json: bool) -> None:
    """Say where a run stopped; raises if it failed."""
    if state.name == "failed":
        raise MrisslError(state.reason or "failed", where=run.folder)
    say(f"{state.name} at step {state.step} of {state.steps}")
    if state.name == "stopped":
        say("mrissl run resume goes on from there")
    if json:
        show_json(run.summary())


def _show_estimate(settings: RunSettings, decoded: int | None, *, json: bool) -> None:
    from napari_mrissl.training.data.engine_subjects import painted_bytes
    from napari_mrissl.training.estimate import estimate

    gib = 1 << 30
    if decoded is None:
        decoded = painted_bytes(settings.data)
    # What does not fit the cache is kept on disk.
    held = min(decoded, int(settings.data.cache_gib * gib))
    found = estimate(settings)
    if json:
        show_json({**found.as_json(), "data_bytes": held})
        return
    step = found.seconds_per_step
    lines: dict[str, object] = {
        "parameters": f"{found.parameters:,}",
        "memory": f"{found.memory_bytes / gib:.2f} GiB" if found.memory_bytes else "unknown",
        "decoded scans": f"{held / gib:.2f} GiB of memory besides",
        "checkpoint": f"{found.checkpoint_bytes / gib:.3f} GiB",
        "one step": "unknown" if step is None else f"{step:.3g} s",
        "all steps": "unknown"
        if step is None
        else f"{step * settings.optimisation.steps / 3600:.2f} h",
        "making a sample": f"{found.seconds_per_sample:.3g} s",
    }
    if found.reason:
        lines["note"] = found.reason
    show(lines)
