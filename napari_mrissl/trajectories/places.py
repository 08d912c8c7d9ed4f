"""The folders of a dataset, the files in them, and how a file moves from one to another."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import EPISODE_FILE, Entry

EPISODES, OPEN, REMOVED, QUARANTINE = "episodes", "open", "removed", "quarantine"


def episode_files(folder: Path) -> list[Path]:
    """Files of episodes, listed or not, in order of number and writing."""
    found = []
    for path in files_in(folder / EPISODES, "*.parquet"):
        match = EPISODE_FILE.fullmatch(f"{EPISODES}/{path.name}")
        if match:
            found.append((int(match[1]), int(match[2] or 0), path))
    return [path for *_, path in sorted(found)]


def files_in(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder of the dataset by name; none where the folder is not there."""
    if folder.is_symlink():
        raise MrisslError(
            "leads out of the dataset's folder",
            where=folder,
            remedy="do not use this dataset; it may be hostile",
        )
    try:
        return sorted(folder.glob(pattern))
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=folder
        ) from error


def aside(folder: Path, path: Path, place: str, name: str | None = None) -> Path:
    """Move a file of a dataset to another of its folders, beside what is there already.

    Raises
    ------
    MrisslError
        If the system refuses.
    """
    target = inside(folder, f"{place}/{name or path.name}")
    try:
        make_folder(target.parent)
        stem, number = target.stem, 1
        while target.exists():
            number += 1
            target = target.with_name(f"{stem}.{number}{target.suffix}")
        os.rename(path, target)
        for changed in (path.parent, target.parent):
            sync_folder(changed)
    except OSError as error:
        raise MrisslError(
            f"could not be moved to {place} ({error.strerror or type(error).__name__})",
            where=path,
            expected="a dataset that can be written",
        ) from error
    return target


def removed_name(entry: Entry) -> str:
    """What the file of an undone episode is called in ``removed``."""
    return f"{entry.uid}-{entry.sha256[:12]}.parquet"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, or raise a `MrisslError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MrisslError(
            f"folder could not be made ({reason})",
            where=folder,
            expected="a folder that can be written",
            remedy="choose another folder",
        ) from error


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems cannot sync a folder; the files themselves are synced.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
