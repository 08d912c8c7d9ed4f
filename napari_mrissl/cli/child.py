"""The process that trains a run: ``python -m napari_mrissl.cli.child RUN``, also under torchrun.

``--devices`` prints what this machine can train on, and ``--estimate SETTINGS`` (a file, or
``-`` for standard input) what a run will need: torch stays out of the viewer's process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from napari_mrissl.cli.terminal import one_sentence, say, show_json
from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.training.states import RunState


def train(
    run: Run, interrupted: threading.Event, registry: Mapping[str, TaskInfo] | None = None
) -> RunState:
    """Find a run's scans and train it in this process.

    Raises
    ------
    MrisslError
        If a scan is not known on this machine, or training fails.
    """
    from napari_mrissl.training import initial, recorded_flights
    from napari_mrissl.training.data import cohort
    from napari_mrissl.training.loop import fit
    from napari_mrissl.training.parting import told_to_others

    with told_to_others():
        if registry is None:
            registry = methods_with(run.settings.method)
            if run.settings.method not in TASKS:
                from napari_mrissl.segmentation.finetuning import place_labels

                place_labels(run)
        recorded_flights.place(run)
        scans = cohort.subjects(run.settings, "train")
        if scans is None:
            raise MrisslError("no scan is for training", where="data")
        held_out = cohort.subjects(run.settings, "validation")
        weights = initial.of(run)
    return fit(run, registry, scans, held_out, interrupted=interrupted, initial=weights)


def methods_with(method: str) -> Mapping[str, TaskInfo]:
    """The methods of pretraining, and finetuning where it is asked for."""
    if method in TASKS:
        return TASKS
    from napari_mrissl.segmentation.finetuning import REGISTRY

    return {**TASKS, **REGISTRY}


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """Let SIGTERM and the first Ctrl-C set an event, for a block: stop after the running step."""
    interrupted = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        interrupted.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_cause(reason: MrisslError) -> None:
    """Print where an error came from that is not the user's, for whoever mends it."""
    cause = reason.__cause__
    if cause is not None and not isinstance(cause, MrisslError):
        traceback.print_exception(cause)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three; the exit code is 0, or 2 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m napari_mrissl.cli.child")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("run", nargs="?", type=Path, help="the folder of a run")
    wanted.add_argument("--devices", action="store_true", help="list devices as JSON")
    wanted.add_argument("--estimate", metavar="SETTINGS", help="estimate what a run needs")
    given = parser.parse_args(arguments)
    try:
        if given.devices:
            from napari_mrissl.training.estimate import devices

            sys.stdout.write(json.dumps(devices()) + "\n")
        elif given.estimate:
            from napari_mrissl.training.estimate import estimate

            settings = _settings(given.estimate)
            show_json(estimate(settings, methods_with(settings.method)).as_json())
        else:
            with stopping_on_signals() as interrupted:
                train(Run.open(given.run), interrupted)
    except MrisslError as reason:
        show_cause(reason)
        say(one_sentence(str(reason)))
        return 2
    return 0


def _settings(place: str) -> RunSettings:
    from napari_mrissl.training.building import checked

    try:
        text = sys.stdin.read() if place == "-" else Path(place).read_text(encoding="utf-8")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise MrisslError(
            "settings could not be read", where=Path(place), expected="a run's settings as JSON"
        ) from error
    return checked(RunSettings, content, where="settings")


if __name__ == "__main__":
    sys.exit(main())
