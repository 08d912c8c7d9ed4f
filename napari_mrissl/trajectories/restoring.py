"""What a dataset holds when its manifest, a process or a disk let it down."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import manifest as manifests
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import Entry
from napari_mrissl.trajectories.episodes import check_content, read_metadata
from napari_mrissl.trajectories.manifest import MANIFEST, PREVIOUS, DamagedManifest, Manifest
from napari_mrissl.trajectories.places import (
    EPISODES,
    OPEN,
    QUARANTINE,
    REMOVED,
    aside,
    episode_files,
    files_in,
    removed_name,
)
from napari_mrissl.trajectories.unfinished import holds_nothing, live

DEFAULT_HERTZ = 20.0


@dataclass(frozen=True)
class Loaded:
    """A manifest as good as it can be had.

    Attributes
    ----------
    manifest
        The newest, or what was put together without it.
    notes
        A sentence for each thing that was not as it should be.
    damaged
        Whether the newest manifest could not be used.
    """

    manifest: Manifest
    notes: tuple[str, ...] = ()
    damaged: bool = False


def load(folder: Path, *, again: bool = False) -> Loaded:
    """The manifest of a dataset; where it is damaged, the one before and the episodes' own word.

    Parameters
    ----------
    again
        Trust what this process knows of an unchanged file.

    Raises
    ------
    MrisslError
        If the folder holds no dataset, or one that may be hostile.
    """
    try:
        return Loaded(manifests.read_again(folder) if again else manifests.read(folder))
    except DamagedManifest as error:
        wrong = error
    stored = episode_files(folder)
    try:
        base, which = manifests.read(folder, PREVIOUS), "the generation before"
    except DamagedManifest:
        if not stored:
            if os.path.lexists(folder / MANIFEST):
                raise wrong from None
            raise MrisslError(
                "no dataset here", where=folder, expected=f"a folder with {MANIFEST}"
            ) from wrong
        base, which = Manifest(hertz=0.0), "the episodes themselves"
    notes = [f"{str(wrong).rstrip('.')}; {which} told what the dataset holds."]
    there = {f"{EPISODES}/{path.name}" for path in stored}
    lost = [entry for entry in base.entries if entry.file not in there]
    notes += [f"{Path(entry.file).name} is not there any more." for entry in lost]
    kept = tuple(entry for entry in base.entries if entry.file in there)
    found, refused = adopted(folder, replace(base, entries=kept))
    # Not one episode was readable: any rate will do.
    found = replace(found, hertz=found.hertz or DEFAULT_HERTZ)
    notes += [str(error) for error in refused]
    return Loaded(found, tuple(notes), damaged=True)


def adopted(folder: Path, manifest: Manifest) -> tuple[Manifest, list[MrisslError]]:
    """The manifest with those unlisted episodes that vouch for themselves, and the other errors.

    Older writings of listed episodes, and undone ones, are neither.
    """
    listed = {entry.file for entry in manifest.entries}
    uids = {entry.uid for entry in (*manifest.entries, *manifest.removed)}
    refused: list[MrisslError] = []
    for path in reversed(episode_files(folder)):
        name = f"{EPISODES}/{path.name}"
        if name in listed:
            continue
        try:
            entry = read_metadata(inside(folder, name), name)
            if entry.uid in uids:
                continue
            check_content(path, entry)
            manifest = _with(manifest, entry, path)
            uids.add(entry.uid)
        except MrisslError as error:
            refused.append(error)
    return manifest, refused


def renew(folder: Path, manifest: Manifest) -> None:
    """Write a manifest in the place of a damaged one, which is set aside.

    Raises
    ------
    MrisslError
        If the system refuses.
    """
    newest = inside(folder, MANIFEST)
    if newest.exists():
        aside(folder, newest, QUARANTINE)
    manifests.write(folder, manifest)


def settled(folder: Path, manifest: Manifest) -> Manifest:
    """Finish what a killed process had begun: files go where the manifest says they are.

    Raises
    ------
    MrisslError
        If the system refuses.
    """
    for place in ("", EPISODES, OPEN, QUARANTINE):
        for path in files_in(folder / place, ".mrissl-*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    listed = {entry.file for entry in manifest.entries}
    strays = [p for p in episode_files(folder) if f"{EPISODES}/{p.name}" not in listed]
    if strays:
        before = manifest
        manifest, _ = adopted(folder, manifest)
        if manifest is not before:
            manifests.write(folder, manifest)
        _put_away(folder, manifest, strays)
    uids = {entry.uid for entry in manifest.entries}
    for path in files_in(folder / OPEN, "*.jsonl"):
        if os.path.realpath(path) not in live and (path.stem in uids or holds_nothing(path)):
            aside(folder, path, REMOVED)
    return manifest


def _put_away(folder: Path, manifest: Manifest, strays: list[Path]) -> None:
    listed = {entry.file for entry in manifest.entries}
    uids = {entry.uid for entry in (*manifest.entries, *manifest.removed)}
    undone = {(entry.uid, entry.sha256): removed_name(entry) for entry in manifest.removed}
    for path in strays:
        name = f"{EPISODES}/{path.name}"
        if name in listed:
            continue
        try:
            own = read_metadata(inside(folder, name), name)
        except MrisslError:
            # Not ours to judge in passing: `repair` sets it aside and says so.
            continue
        if own.uid in uids:
            aside(folder, path, REMOVED, undone.get((own.uid, own.sha256)))


def _with(manifest: Manifest, entry: Entry, path: Path) -> Manifest:
    """The manifest with one more entry at its place."""
    if manifest.hertz and entry.hertz != manifest.hertz:
        raise MrisslError(f"has {entry.hertz:g} frames a second", where=path)
    grown, task = replace(manifest, hertz=entry.hertz).with_task(entry.task)
    entries = sorted(
        (*grown.entries, replace(entry, task_index=task)), key=lambda e: e.episode_index
    )
    for before, after in itertools.pairwise(entries):
        if (
            after.episode_index == before.episode_index
            or after.first_index < before.first_index + before.frames
        ):
            raise MrisslError("takes the number of another episode", where=path)
    return replace(grown, entries=tuple(entries))
