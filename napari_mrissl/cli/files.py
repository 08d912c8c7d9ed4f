"""Files a command reads and writes: checked before the work, reported in a sentence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mrissl.cli.terminal import Progress, say
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.trajectories import Dataset
    from napari_mrissl.volumes import Volume


def open_scan(path: Path, frame: int | None = None) -> Volume:
    """Read a scan, or one frame of it, with progress and the reader's remarks on stderr."""
    from napari_mrissl.volumes import read

    volume = read(path, frame=frame, progress=Progress(f"reading {path.name}"))
    for note in volume.notes:
        say(note)
    return volume


def check_target(
    path: Path, suffixes: Sequence[str], *, overwrite: bool, source: Path | None = None
) -> Path:
    """A path that a result can go to, before the work that makes the result.

    Raises
    ------
    MrisslError
        If the suffix is another, the folder is not there, the file is and ``overwrite``
        was not given, or the file is the source itself.
    """
    if not path.name.lower().endswith(tuple(suffixes)):
        raise MrisslError("suffix is not known", where=path, expected=" or ".join(suffixes))
    _check_folder(path)
    if os.path.isdir(path):
        raise MrisslError("is a folder", where=path, expected="a file")
    there = os.path.exists(path)
    if source is not None and there and os.path.exists(source) and path.samefile(source):
        raise MrisslError("is the scan itself", where=path, remedy="give another name")
    if there and not overwrite:
        raise MrisslError(
            "file is there already", where=path, remedy="give another name or --overwrite"
        )
    return path


def check_dataset_folder(path: Path, hertz: float | None = None) -> Path:
    """A folder that an episode can go to, before it is made; it need not be there.

    Raises
    ------
    MrisslError
        If its parent is not there, it is a file, or it holds something else than a
        dataset, or one of another rate.
    """
    from napari_mrissl.trajectories import open_or_create

    _check_folder(path)
    if os.path.exists(path) and not os.path.isdir(path):
        raise MrisslError("is a file", where=path, expected="a folder")
    if os.path.isdir(path) and os.listdir(path):
        open_or_create(path, hertz)
    return path


def open_dataset(path: Path) -> Dataset:
    """Open a dataset for reading; what had to be made good is said on stderr."""
    from napari_mrissl.trajectories import Dataset

    dataset = Dataset.open(path)
    for note in dataset.notes:
        say(note)
    return dataset


def _check_folder(path: Path) -> None:
    # os.path answers "no" where pathlib raises, e.g. for names that are too long.
    if not os.path.isdir(path.parent):
        raise MrisslError(
            "folder is not there", where=path.absolute().parent, remedy="make the folder first"
        )
