"""Repair a dataset: keep what can be verified, set the rest aside, delete nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import manifest as manifests
from napari_mrissl.trajectories.checking import (
    Report,
    check_episode,
    check_removed,
    validate,
)
from napari_mrissl.trajectories.contained import inside, read_bytes
from napari_mrissl.trajectories.entries import Entry
from napari_mrissl.trajectories.journal import journal_bytes
from napari_mrissl.trajectories.locks import locked
from napari_mrissl.trajectories.manifest import PREVIOUS, DamagedManifest, Manifest
from napari_mrissl.trajectories.places import (
    EPISODES,
    OPEN,
    QUARANTINE,
    REMOVED,
    aside,
    episode_files,
    files_in,
    make_folder,
    removed_name,
    sync_folder,
)
from napari_mrissl.trajectories.restoring import load, renew, settled
from napari_mrissl.trajectories.unfinished import live, read_interrupted
from napari_mrissl.volumes.atomic import write_atomically
from napari_mrissl.volumes.errors import WriteError


def repair(folder: str | Path, progress: Callable[[float], None] | None = None) -> Report:
    """Make a dataset whole again; may be killed and run again, and again.

    A damaged manifest is put together from the generation before and the episodes' own
    metadata; finished episodes that no manifest lists are taken in; damaged files go to
    ``quarantine``, of damaged journals the good beginning stays.

    Raises
    ------
    MrisslError
        If there is no dataset, or one that may be hostile, another process is writing,
        or the disk refuses.
    """
    folder = Path(folder)
    done: list[str] = []
    with locked(folder):
        loaded = load(folder)
        manifest = loaded.manifest
        if loaded.damaged:
            renew(folder, manifest)
            done += [*loaded.notes, "The manifest was put together anew."]
        _mend_previous(folder, manifest, done)
        manifest = _settled(folder, manifest, done)
        manifest = _without_damaged(folder, manifest, done, progress)
        manifest = _settled(folder, manifest, done)
        _set_strays_aside(folder, manifest, done)
        for path in files_in(folder / OPEN, "*.jsonl"):
            if os.path.realpath(path) not in live:
                _mend_journal(folder, path, done)
    return replace(validate(folder), done=done)


def _mend_previous(folder: Path, manifest: Manifest, done: list[str]) -> None:
    previous = inside(folder, PREVIOUS)
    if not previous.exists():
        return
    try:
        manifests.read(folder, PREVIOUS)
    except DamagedManifest as error:
        aside(folder, previous, QUARANTINE)
        done.append(str(error))
        # Writing it again makes the present one the generation before.
        manifests.write(folder, manifest)


def _settled(folder: Path, manifest: Manifest, done: list[str]) -> Manifest:
    before = {entry.file for entry in manifest.entries}
    manifest = settled(folder, manifest)
    for entry in manifest.entries:
        if entry.file not in before:
            done.append(f"{Path(entry.file).name} was whole and is listed again.")
    return manifest


def _without_damaged(
    folder: Path,
    manifest: Manifest,
    done: list[str],
    progress: Callable[[float], None] | None,
) -> Manifest:
    """The manifest without what cannot be verified; it is written if that is less."""
    found: list[str] = []

    def good(entry: Entry, check: Callable[[Path, Entry], None]) -> bool:
        try:
            check(folder, entry)
        except MrisslError as error:
            found.append(str(error))
            return False
        return True

    entries = []
    for number, entry in enumerate(manifest.entries):
        if good(entry, check_episode):
            entries.append(entry)
        if progress:
            progress((number + 1) / len(manifest.entries))
    removed = [entry for entry in manifest.removed if good(entry, check_removed)]
    if not found:
        return manifest
    kept = replace(manifest, entries=tuple(entries), removed=tuple(removed))
    manifests.write(folder, kept)
    for entry in manifest.removed:
        stored = inside(folder, f"{REMOVED}/{removed_name(entry)}")
        if entry not in removed and stored.exists():
            aside(folder, stored, QUARANTINE)
    done += found
    return kept


def _set_strays_aside(folder: Path, manifest: Manifest, done: list[str]) -> None:
    listed = {entry.file for entry in manifest.entries}
    for path in episode_files(folder):
        if f"{EPISODES}/{path.name}" not in listed:
            aside(folder, path, QUARANTINE)
            done.append(f"{path.name} cannot be verified and is in {QUARANTINE}.")


def _mend_journal(folder: Path, path: Path, done: list[str]) -> None:
    """Leave the good beginning of a journal in its place, and the whole in quarantine."""
    try:
        told = read_interrupted(path)
    except MrisslError as error:
        aside(folder, path, QUARANTINE)
        done.append(str(error))
        return
    if told.damage is None:
        return
    _copy_to_quarantine(folder, path)
    content = journal_bytes(told.header, told.records, path)

    def put(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(path, put)
    done.append(f"{told.damage} {len(told.records)} events before it were kept.")


def _copy_to_quarantine(folder: Path, path: Path) -> None:
    """Before the journal is cut, so that a kill in between loses nothing."""
    try:
        content = read_bytes(path, 1 << 40)
        name = f"{path.stem}-{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
        target = inside(folder, f"{QUARANTINE}/{name}")
        make_folder(target.parent)

        def put(file: BinaryIO) -> None:
            file.write(content)

        write_atomically(target, put)
        sync_folder(target.parent)
    except OSError as error:
        raise WriteError(
            f"could not be copied to {QUARANTINE} ({error.strerror or type(error).__name__})",
            where=path,
        ) from error
