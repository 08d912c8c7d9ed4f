"""The runs this user has made or opened on this machine."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import whereabouts
from napari_mrissl.training.run import Run


def remember(folder: str | Path) -> Run:
    """Note where a run lies, e.g. one that was copied here; returns it.

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
    whereabouts.note(run.identity.uuid, known.model_copy(update={"path": path}))
    return run


def runs() -> list[Run]:
    """The runs that are still where they were, newest first."""
    found = []
    for uuid in whereabouts.known_runs():
        known = whereabouts.recall(uuid)
        if known is None:
            continue
        try:
            run = Run.open(known.path)
        except MrisslError:
            continue  # Moved, removed, or on a disk that is not there now.
        # Another run may lie at its place.
        if run.identity.uuid == uuid:
            found.append(run)
    return sorted(found, key=lambda run: (run.identity.created, run.identity.uuid), reverse=True)
