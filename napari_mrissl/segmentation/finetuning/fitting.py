"""Finetuning in this process, for scripts and comparisons: prepare, train, say how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled, stop_if
from napari_mrissl.segmentation.finetuning.inputs import LabelledInput
from napari_mrissl.segmentation.finetuning.preparing import place_labels, prepare
from napari_mrissl.segmentation.finetuning.settings import FinetuneSettings
from napari_mrissl.segmentation.finetuning.task_settings import REGISTRY
from napari_mrissl.training.run import Run

Progress = Callable[[float, str], object]
IsCancelled = Callable[[], bool]

_LOOK_SECONDS = 0.2
_READING_PART = 0.05


def finetune(
    settings: FinetuneSettings,
    scans: Sequence[LabelledInput],
    out: str | Path,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Path:
    """Make a run and train it to its end, here; returns its folder.

    Parameters
    ----------
    settings
        What to train, and how long.
    scans
        To learn from, and held-out ones to measure on.
    out
        The new folder of the run.
    progress
        Called with the part done, 0 to 1, and a few words, from this and another thread.
    cancelled
        Asked now and then, from this and another thread; True stops after the running step.

    Raises
    ------
    Cancelled
        If it was asked for; the run is kept, and `go_on` trains it to its end.
    MrisslError
        If something does not fit, or training fails.
    """
    stop_if(cancelled)

    def read(part: float, said: str) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(_READING_PART * part, said)

    run = prepare(settings, scans, out, progress=read)
    return go_on(run.folder, progress=progress, cancelled=cancelled)


def go_on(
    folder: str | Path,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Path:
    """Train a run that was prepared, stopped or killed to its end, here; returns its folder.

    A finished one is left as it is.

    Raises
    ------
    Cancelled
        If it was asked for.
    MrisslError
        If a scan is not where it was, or training fails.
    """
    from napari_mrissl.training import initial
    from napari_mrissl.training.data import cohort
    from napari_mrissl.training.loop import fit

    run = Run.open(folder)
    if run.settings.method not in REGISTRY:
        raise MrisslError("is no finetuning", where=run.folder)
    if run.state().name == "finished":
        return run.folder
    place_labels(run)
    train = cohort.subjects(run.settings, "train")
    if train is None:
        raise MrisslError("no scan is for training", where="data")
    held_out = cohort.subjects(run.settings, "validation")
    with _watched(run, progress, cancelled) as interrupted:
        state = fit(
            run, REGISTRY, train, held_out, interrupted=interrupted, initial=initial.of(run)
        )
    if state.name == "stopped":
        raise Cancelled
    if progress is not None:
        progress(1.0, "finished")
    return run.folder


@contextmanager
def _watched(
    run: Run, progress: Progress | None, cancelled: IsCancelled | None
) -> Iterator[threading.Event]:
    """An event that is set when the work is to stop; progress is told meanwhile."""
    interrupted, ended = threading.Event(), threading.Event()
    if cancelled is not None and cancelled():
        interrupted.set()

    def watch() -> None:
        told = -1
        while not ended.wait(_LOOK_SECONDS):
            if cancelled is not None and cancelled():
                interrupted.set()
            state = run.state()
            if progress is not None and state.step > told:
                told = state.step
                part = state.step / max(1, state.steps)
                progress(_READING_PART + (1 - _READING_PART) * part, f"step {told}")

    watcher = threading.Thread(target=watch, name="finetuning", daemon=True)
    watcher.start()
    try:
        yield interrupted
    finally:
        ended.set()
        watcher.join()
