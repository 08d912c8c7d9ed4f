"""Recorded flights in a run's folder: taken from a dataset once, so that a run needs it no more."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.navigation import recorded
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import checked
from napari_mrissl.training.data.places import note_place
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.volumes.atomic import write_atomically

FILE = "flights.safetensors"


@contextlib.contextmanager
def recorded_flights(
    settings: RunSettings, dataset: str | Path | None
) -> Iterator[tuple[RunSettings, Path | None, int]]:
    """Settings of a run that flies what a dataset holds, for a block; without one as they are.

    Scans over which nothing long enough was recorded take no part.

    Yields
    ------
    settings, file, left_out
        The file for `keep`, and how many scans take no part.

    Raises
    ------
    MrisslError
        If the method flies nothing, the data are painted, or no scan for training has flights.
    """
    if dataset is None:
        yield settings, None, 0
        return
    info = TASKS[settings.method]
    flown = settings.task.get("flights")
    if not isinstance(flown, dict):
        raise MrisslError(
            f"recorded flights for {info.name}", where="--flights", expected="tokenizer or dynamics"
        )
    if settings.data.kind != "scans":
        raise MrisslError(
            "recorded flights over painted data", where="--flights", expected="--data with scans"
        )
    flights = recorded.flights_of(dataset, int(flown["frames"]), float(flown["hertz"]))
    records = tuple(one for one in settings.data.subjects if one.identity in flights)
    if not any(record.split == "train" for record in records):
        raise MrisslError(
            "no scan for training has recorded flights that are long enough",
            where="--flights",
            expected="flights over the scans of --data",
        )
    kept = {record.identity: flights[record.identity] for record in records}
    with tempfile.TemporaryDirectory(prefix="mrissl-") as folder:
        file = Path(folder) / FILE
        sha256 = recorded.save(file, kept, float(flown["hertz"]))
        task: dict[str, Any] = {**settings.task, "flights": {**flown, "recorded": sha256}}
        task = checked(info.settings, task, "recorded flights").model_dump(mode="json")
        data = settings.data.model_copy(update={"subjects": records})
        left_out = len(settings.data.subjects) - len(records)
        yield settings.model_copy(update={"task": task, "data": data}), file, left_out


def keep(run: Run, file: Path) -> None:
    """Copy flights into a new run, so that it can go to another machine.

    Raises
    ------
    MrisslError
        If the disk refuses.
    """
    with open(file, "rb") as content:
        write_atomically(run.folder / FILE, lambda target: shutil.copyfileobj(content, target))


def place(run: Run) -> None:
    """Let this machine know the flights that lie in a run's own folder.

    To be called before a run is trained: it may have been moved since it was made.

    Raises
    ------
    MrisslError
        If the data directory cannot be written.
    """
    flown = run.settings.task.get("flights")
    sha256 = flown.get("recorded") if isinstance(flown, dict) else None
    if isinstance(sha256, str) and sha256 and (run.folder / FILE).is_file():
        note_place(sha256, run.folder / FILE)
