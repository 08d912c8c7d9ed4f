"""Pairs of scans on disk: one, or the lines of a CSV table; a bad pair does not stop the others."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.directories import made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.registration.landmarks import read_landmarks
from napari_mrissl.registration.outputs import Extras, check_folder, write_registration
from napari_mrissl.registration.registering import register
from napari_mrissl.registration.settings import RegistrationSettings
from napari_mrissl.volumes import Volume, read
from napari_mrissl.volumes.labels import labels_of

_MOST_BYTES = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")

_READ, _REGISTERED = 0.05, 0.85
"""Parts of the work on a pair at which it was read, and was registered."""


@dataclass(frozen=True)
class PairFiles:
    """The files of one registration.

    Attributes
    ----------
    fixed, moving
        The scans.
    labels, fixed_labels
        Label maps of the moving and of the fixed scan.
    mask, fixed_mask
        Where the moving and the fixed scan are compared: voxels that are not 0.
    landmarks
        A table, see `landmarks.read_landmarks`.
    name
        Of the folder for its results, in a batch.
    """

    fixed: Path
    moving: Path
    labels: Path | None = None
    fixed_labels: Path | None = None
    mask: Path | None = None
    fixed_mask: Path | None = None
    landmarks: Path | None = None
    name: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a pair: its figures, or one sentence."""

    name: str
    facts: dict[str, Any] | None = None
    error: str | None = None


def register_pair(
    pair: PairFiles,
    folder: Path,
    settings: RegistrationSettings,
    *,
    voxel_field: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
    note: Callable[[str], object] = lambda text: None,
) -> dict[str, Any]:
    """Read two scans, register them, and write all files of `outputs` into a folder.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; nothing is left on disk.
    MrisslError
        If a file cannot be read, does not belong to its scan, or the scans cannot be registered.
    """
    check_folder(folder, overwrite=overwrite)
    fixed, moving = _scan(pair.fixed, note), _scan(pair.moving, note)
    extras = Extras(
        _labels(pair.fixed_labels, fixed),
        _labels(pair.labels, moving),
        _mask(pair.fixed_mask, fixed),
        None if pair.landmarks is None else read_landmarks(pair.landmarks),
    )
    moving_mask = _mask(pair.mask, moving)
    began = time.perf_counter()

    def within(first: float, last: float) -> Progress | None:
        if progress is None:
            return None
        return lambda part, step: progress(first + (last - first) * part, step)

    found = register(
        fixed,
        moving,
        settings,
        fixed_mask=extras.fixed_mask,
        moving_mask=moving_mask,
        landmarks=extras.landmarks,
        progress=within(_READ, _REGISTERED),
        cancelled=cancelled,
    )
    found.seconds["all"] = time.perf_counter() - began
    facts = write_registration(
        folder,
        found,
        fixed,
        moving,
        extras,
        voxel_field=voxel_field,
        overwrite=overwrite,
        progress=within(_REGISTERED, 1.0),
        cancelled=cancelled,
    )
    if progress is not None:
        progress(1.0, "written")
    return facts


def read_table(path: Path) -> list[PairFiles]:
    """The pairs of a CSV table with columns ``fixed`` and ``moving``, and any of `PairFiles`.

    Places are relative to the table's folder. Without a ``name`` a pair is called by its line.

    Raises
    ------
    MrisslError
        If it is no such table.
    """
    known = [one.name for one in fields(PairFiles)]
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise MrisslError(f"more than {_MOST_BYTES} bytes", where=path, expected="a table")
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True)
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MrisslError("could not be read", where=path, expected="a CSV table") from error
    columns = list(reader.fieldnames or ())
    for name in ("fixed", "moving"):
        if name not in columns:
            raise MrisslError(f"has no column {name}", where=path, expected=", ".join(known))
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise MrisslError(f"column {unknown[0]!r}", where=path, expected=", ".join(known))
    pairs = []
    for number, row in enumerate(rows, 1):
        given = {key: value.strip() for key, value in row.items() if key and value}
        if not (given.get("fixed") and given.get("moving")):
            raise MrisslError(f"line {number + 1} names no two scans", where=path)
        name = given.pop("name", "") or f"pair-{number:03d}"
        if not _NAME.fullmatch(name):
            raise MrisslError(
                f"name {name!r} in line {number + 1}", where=path, expected="letters and digits"
            )
        places = {key: path.parent / value for key, value in given.items() if value}
        pairs.append(PairFiles(**places, name=name))
    names = [pair.name.casefold() for pair in pairs]
    for name in names:
        if names.count(name) > 1:
            raise MrisslError(f"two pairs are called {name!r}", where=path)
    if not pairs:
        raise MrisslError("holds no pair", where=path, expected="a line for each")
    return pairs


def register_pairs(
    pairs: Sequence[PairFiles],
    folder: Path,
    settings: RegistrationSettings,
    *,
    voxel_field: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
    tell: Callable[[Outcome], object] = lambda outcome: None,
) -> list[Outcome]:
    """Register pairs one after the other, each into a folder of its name.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; pairs that are done stay.
    MrisslError
        If the folder cannot be made.
    """
    made_directory(folder, remedy="choose another folder")
    outcomes = []
    for number, pair in enumerate(pairs):

        def say(part: float, step: str, number: int = number, name: str = pair.name) -> None:
            if progress is not None:
                progress((number + part) / len(pairs), f"{name}: {step}")

        try:
            facts = register_pair(
                pair,
                folder / pair.name,
                settings,
                voxel_field=voxel_field,
                overwrite=overwrite,
                progress=say,
                cancelled=cancelled,
            )
            outcome = Outcome(pair.name, facts)
        except MrisslError as error:
            outcome = Outcome(pair.name, error=str(error))
        outcomes.append(outcome)
        tell(outcome)
    return outcomes


def _scan(path: Path, note: Callable[[str], object]) -> Volume:
    volume = read(path)
    for text in volume.notes:
        note(f"{path.name}: {text}")
    return volume


def _labels(path: Path | None, volume: Volume) -> NDArray[Any] | None:
    if path is None:
        return None
    labels = labels_of(read(path), volume, path)
    if labels.size and int(labels.min()) < 0:
        raise MrisslError("holds labels below 0", where=path, expected="whole numbers from 0")
    return labels


def _mask(path: Path | None, volume: Volume) -> NDArray[np.bool_] | None:
    labels = _labels(path, volume)
    return None if labels is None else labels != 0
