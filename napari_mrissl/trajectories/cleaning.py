"""What a dataset keeps beside its episodes, taken away for good before it is shared."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.manifest import PREVIOUS, Manifest
from napari_mrissl.trajectories.places import (
    EPISODES,
    OPEN,
    QUARANTINE,
    REMOVED,
    episode_files,
    files_in,
)
from napari_mrissl.trajectories.unfinished import live
from napari_mrissl.volumes.atomic import sync_folder


def check_cleanable(folder: Path, manifest: Manifest) -> None:
    """Refuse a dataset that is being recorded into, or holds what only `repair` can judge.

    Raises
    ------
    MrisslError
        If so.
    """
    if any(os.path.realpath(path) in live for path in files_in(folder / OPEN, "*")):
        raise MrisslError(
            "a flight is being recorded into this dataset", where=folder, remedy="end it first"
        )
    listed = {entry.file for entry in manifest.entries}
    for path in episode_files(folder):
        if f"{EPISODES}/{path.name}" not in listed:
            raise MrisslError(
                "is not listed in the manifest",
                where=path,
                remedy="run mrissl trajectory repair on the dataset first",
            )


def take_away(folder: Path) -> list[str]:
    """Delete undone episodes, what repair set aside, journals, and the manifest before.

    Returns
    -------
    list of str
        Names of the files, below the folder.

    Raises
    ------
    MrisslError
        If the system refuses; what is left can be taken away by the next attempt.
    """
    places = [inside(folder, name) for name in (REMOVED, QUARANTINE, OPEN)]
    previous = inside(folder, PREVIOUS)
    gone = []
    try:
        for place in places:
            gone += [path for path in sorted(place.rglob("*")) if not path.is_dir()]
            if place.exists():
                shutil.rmtree(place)
        if previous.exists():
            previous.unlink()
            gone.append(previous)
        sync_folder(folder)
    except OSError as error:
        raise MrisslError(
            f"could not be cleaned ({error.strerror or type(error).__name__})",
            where=folder,
            expected="a dataset that can be written",
        ) from error
    return [path.relative_to(folder).as_posix() for path in gone]
