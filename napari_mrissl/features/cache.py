"""Features on disk: computed once per volume and settings, found again, evicted when old."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deflate
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from napari_mrissl.directories import cache_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.features.source import Estimate, FeatureSource, FeatureStack, source_for
from napari_mrissl.volumes import Volume

_log = logging.getLogger(__name__)
_FORMAT = 2
_ARRAY, _ENTRY = "features.npy", "entry.json"
_UNFINISHED = "unfinished-"
_CHECKED_TOGETHER = 1 << 24

_limit_gib = 8.0
# Arrays whose checksum held in this process, by path, size and time of change.
_verified: set[tuple[str, int, int]] = set()


class _DamagedError(Exception):
    """An entry that cannot be trusted, with the reason."""


def set_cache_limit(gib: float) -> None:
    """Let all features together take this much disk, in GiB, from now on in this process."""
    global _limit_gib
    _limit_gib = float(gib)


def cache_limit_bytes() -> int:
    """How much disk all features together may take.

    ``$MRISSL_FEATURE_CACHE_GIB``, else what `set_cache_limit` said, else 8 GiB.

    Raises
    ------
    MrisslError
        If the variable is not a positive number.
    """
    text = os.environ.get("MRISSL_FEATURE_CACHE_GIB", str(_limit_gib))
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < 2**30:
        raise MrisslError(
            f"{text!r}", where="MRISSL_FEATURE_CACHE_GIB", expected="a positive number of GiB"
        )
    return int(limit * 2**30)


def estimate(volume: Volume, settings: BaseModel) -> Estimate:
    """RAM, disk and time that computing these features will take."""
    return source_for(settings).estimate(volume)


def cached(volume: Volume, settings: BaseModel) -> FeatureStack | None:
    """The features, memory-mapped, when they were computed before; None otherwise.

    A damaged entry is removed, logged, and counts as absent. The checksum of an entry is
    verified at its first use in a process, at the speed at which the disk reads it.
    """
    source = source_for(settings)
    folder = _folder(volume, source)
    if not folder.is_dir():
        return None
    try:
        data = _open(folder, volume, source)
    except (_DamagedError, OSError, EOFError, ValueError, KeyError, TypeError) as reason:
        _log.warning("cached features are damaged (%s) and will be computed again", reason)
        _remove(folder)
        return None
    os.utime(folder / _ENTRY)  # the time of last use decides what is evicted first
    return FeatureStack(data, source.channel_names(), volume.identity, settings)


def compute(
    volume: Volume,
    settings: BaseModel,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> FeatureStack:
    """The features, from the cache or computed into it, channel by channel.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; nothing is left on disk.
    MrisslError
        If the disk or the cache's limit is too small; said before starting.
    """
    found = cached(volume, settings)
    if found is not None:
        return found
    source = source_for(settings)
    folder = _folder(volume, source)
    clear_unfinished()
    _make_room(source.estimate(volume).disk_bytes)
    with scratch_folder() as unfinished:
        _write(unfinished, volume, source, progress, cancelled)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        _sync(folder.parent)
    return read_back(volume, settings)


def read_back(volume: Volume, settings: BaseModel) -> FeatureStack:
    """Features that were computed just now.

    Raises
    ------
    MrisslError
        If they are not there.
    """
    stack = cached(volume, settings)
    if stack is None:
        raise MrisslError(
            "the features just computed cannot be read back",
            where="feature cache",
            remedy="check the disk",
        )
    return stack


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder beside the entries for a block of work; it goes even if this process is killed.

    Raises
    ------
    MrisslError
        If it cannot be made.
    """
    folder = _root() / f"{_UNFINISHED}{os.getpid()}-{uuid.uuid4().hex}"
    try:
        made_directory(folder).chmod(0o700)
        yield folder
    finally:
        _remove(folder)


def discard(volume: Volume, settings: BaseModel) -> None:
    """Remove these features from disk, if they are there; who reads them now may go on."""
    _remove(_folder(volume, source_for(settings)))


def clear_cache() -> None:
    """Remove all features from disk."""
    for folder in _root().iterdir():
        _remove(folder)


def _root() -> Path:
    return made_directory(cache_directory() / "features")


def _description(volume: Volume, source: FeatureSource) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "identity": volume.identity,
        # Not part of the identity, but of the values that are filtered.
        "scaling": [volume.slope, volume.intercept],
        "source": source.name,
        "version": source.version,
        "settings": source.settings.model_dump(mode="json"),
        "names": list(source.channel_names()),
        "shape": [len(source.channel_names()), *volume.shape],
    }


def _folder(volume: Volume, source: FeatureSource) -> Path:
    text = json.dumps(_description(volume, source), sort_keys=True)
    return _root() / hashlib.sha256(text.encode()).hexdigest()[:40]


def _open(folder: Path, volume: Volume, source: FeatureSource) -> NDArray[np.float32]:
    entry = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
    checksum = entry.pop("crc32")
    if entry != _description(volume, source):
        raise _DamagedError("its description was changed")
    data = np.load(folder / _ARRAY, mmap_mode="r", allow_pickle=False)
    if data.dtype != np.float32 or list(data.shape) != entry["shape"]:
        raise _DamagedError("its array has another shape")
    state = _state(folder / _ARRAY)
    if state not in _verified:
        if _checksum(folder / _ARRAY) != checksum:
            raise _DamagedError("its values do not match their checksum")
        _verified.add(state)
    return data  # type: ignore[no-any-return]


def _checksum(path: Path) -> int:
    """CRC-32 of a file, read in pieces."""
    checksum = 0
    with path.open("rb") as file:
        while piece := file.read(_CHECKED_TOGETHER):
            checksum = deflate.crc32(piece, checksum)
    return checksum


def _state(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


def _write(
    folder: Path,
    volume: Volume,
    source: FeatureSource,
    progress: Progress | None,
    cancelled: IsCancelled | None,
) -> None:
    description = _description(volume, source)
    path = folder / _ARRAY
    shape = tuple(description["shape"])
    with path.open("wb") as file:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        offset = file.tell()
        size = offset + 4 * int(np.prod(shape))
        try:
            # A sparse file would end the process by SIGBUS when the disk fills up.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS and Windows: the free space was looked at before
                file.truncate(size)
        except OSError as reason:
            raise MrisslError(
                f"no room for {_gib(size)} of features ({reason.strerror})",
                where="feature cache",
                remedy="free some disk space or set MRISSL_CACHE_DIR",
            ) from reason
    out = np.memmap(path, np.float32, "r+", offset, shape)
    source.compute_into(volume, out, progress, cancelled)
    out.flush()
    del out
    with (folder / _ENTRY).open("w", encoding="utf-8") as file_:
        json.dump({**description, "crc32": _checksum(path)}, file_, indent=1)
        file_.flush()
        os.fsync(file_.fileno())
    _sync(folder)


def _make_room(needed: int) -> None:
    limit = cache_limit_bytes()
    if needed > limit:
        raise MrisslError(
            f"features need {_gib(needed)}, the cache may take {_gib(limit)}",
            where="feature cache",
            remedy="choose fewer filters or raise MRISSL_FEATURE_CACHE_GIB",
        )
    entries = sorted((e for e in _root().iterdir() if e.is_dir()), key=_last_use)
    total = sum(_size(e) for e in entries)
    for entry in entries:
        if total + needed <= limit:
            break
        if not entry.name.startswith(_UNFINISHED):
            total -= _size(entry)
            _remove(entry)
    free = shutil.disk_usage(_root()).free
    if free < needed * 1.05:
        raise MrisslError(
            f"features need {_gib(needed)}, free are {_gib(free)}",
            where="feature cache",
            remedy="free some disk space or set MRISSL_CACHE_DIR",
        )


def _last_use(entry: Path) -> float:
    try:
        return (entry / _ENTRY).stat().st_mtime
    except OSError:
        return 0.0


def _size(entry: Path) -> int:
    return sum(f.stat().st_size for f in entry.iterdir() if f.is_file())


def clear_unfinished() -> None:
    """Remove what killed processes left; other living processes are not disturbed."""
    for folder in _root().glob(f"{_UNFINISHED}*"):
        try:
            os.kill(int(folder.name.split("-")[1]), 0)
        except (ProcessLookupError, ValueError):
            _remove(folder)
        except PermissionError:
            continue


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
