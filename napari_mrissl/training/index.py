"""The runs this user has made or opened on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import whereabouts
from napari_mrissl.training.layout import IDENTITY, SETTINGS
from napari_mrissl.training.run import Run

Marks = tuple[tuple[int, int, int], ...]


class Forgotten(NamedTuple):
    """A run that was taken off the list, and all that this machine knew of it."""

    folder: Path
    uuid: str
    known: whereabouts.Whereabouts


class OpenRuns:
    """Runs that stay open between looks, so that a look reads only what is new of each."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Marks, Run]] = {}

    def open(self, folder: str) -> Run:
        """A run, opened again only if its settings or its identity were written since.

        Raises
        ------
        MrisslError
            If the folder is none, or its settings cannot be read.
        """
        marks = _marks(folder)
        before, run = self._known.get(folder, (None, None))
        if run is None or not marks or marks != before:
            run = Run.open(folder)
            self._known[folder] = (marks, run)
        return run


def remember(folder: str | Path) -> Run:
    """Note where a run lies, e.g. one that was copied here; returns it.

    Of a run and its copy on this machine, the one that was noted first stays noted.

    Raises
    ------
    MrisslError
        If it is no run, or the data directory cannot be written.
    """
    run = Run.open(folder)
    path = str(run.folder)
    known = whereabouts.recall(run.identity.uuid)
    if known is None:
        known = whereabouts.Whereabouts(path=path)
    if not _holds(known.path, run.identity.uuid):
        known = known.model_copy(update={"path": path})
    whereabouts.note(run.identity.uuid, known)
    return run


def _holds(folder: str, uuid: str) -> bool:
    """Whether a run still lies where it did."""
    try:
        return Run.open(folder).identity.uuid == uuid
    except MrisslError:
        return False


def forget(folder: str | Path) -> Forgotten:
    """Take a run off the list; its folder and all files in it stay as they are.

    Raises
    ------
    MrisslError
        If it is no run, is being trained, or the data directory cannot be written.
    """
    run = Run.open(folder)
    state = run.state()
    if state.alive or state.active:
        raise MrisslError("is being trained", where=run.folder, remedy="stop it first")
    known = whereabouts.recall(run.identity.uuid)
    if known is None:
        known = whereabouts.Whereabouts(path=str(run.folder))
    whereabouts.drop(run.identity.uuid)
    return Forgotten(run.folder, run.identity.uuid, known)


def bring_back(gone: Forgotten) -> Forgotten:
    """List a run again, with all that was known of it.

    Raises
    ------
    MrisslError
        If the data directory cannot be written.
    """
    whereabouts.note(gone.uuid, gone.known)
    return gone


def runs(opened: OpenRuns | None = None) -> list[Run]:
    """The runs that are still where they were, newest first.

    Parameters
    ----------
    opened
        Of whoever looks again and again.
    """
    open_run = Run.open if opened is None else opened.open
    found = []
    for uuid in whereabouts.known_runs():
        known = whereabouts.recall(uuid)
        if known is None:
            continue
        try:
            run = open_run(known.path)
        except MrisslError:
            continue  # Moved, removed, or on a disk that is not there now.
        # Another run may lie at its place.
        if run.identity.uuid == uuid:
            found.append(run)
    return sorted(found, key=lambda run: (run.identity.created, run.identity.uuid), reverse=True)


def _marks(folder: str) -> Marks:
    """What changes when one of the two files is written again; empty if one is missing."""
    try:
        found = [os.stat(Path(folder) / name) for name in (SETTINGS, IDENTITY)]
    except (OSError, ValueError):
        return ()
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)
