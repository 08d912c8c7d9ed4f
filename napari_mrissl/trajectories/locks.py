"""One writing process per dataset: a lock in the user's data directory, named by the real path.

The lock does not lie in the dataset, so no process id or host enters what is shared.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError

_PATIENCE_SECONDS = 0.5

# At DEBUG it logs where the lock lies: a path, and in it the user's name.
logging.getLogger("filelock").setLevel(logging.INFO)


@dataclass
class _Held:
    """A lock this process holds, and for how many."""

    lock: BaseFileLock
    owner: Path
    pid: int
    holders: int = 1
    alone: threading.RLock = field(default_factory=threading.RLock)


_guard = threading.Lock()
_held: dict[str, _Held] = {}


class DatasetLock:
    """The right to write into a dataset, from construction until `release`.

    Within one process several may hold it: an episode is written while the next one is
    recorded. A lock whose process was killed is free again at once.

    Parameters
    ----------
    folder
        The dataset; it need not exist yet.

    Raises
    ------
    MrisslError
        If another process holds it, naming its process id and since when, or the data
        directory cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self._key = _key(folder)
        self._released = False
        with _guard:
            held = _held.get(self._key)
            # A forked child has the entry, but not the right.
            if held is not None and held.pid == os.getpid():
                held.holders += 1
            else:
                held = _held[self._key] = _acquired(self._key, Path(folder))
            self.alone = held.alone

    def release(self) -> None:
        """Give the right back; doing so twice is harmless."""
        with _guard:
            held = _held.get(self._key)
            if self._released or held is None or held.pid != os.getpid():
                return
            self._released = True
            held.holders -= 1
            if not held.holders:
                del _held[self._key]
                with contextlib.suppress(OSError):
                    held.owner.unlink()
                held.lock.release()


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Be alone with a dataset for a block, among processes and among threads.

    Raises
    ------
    MrisslError
        As `DatasetLock`.
    """
    lock = DatasetLock(folder)
    try:
        with lock.alone:
            yield
    finally:
        lock.release()


def holder(folder: str | Path) -> int | None:
    """The process that holds a dataset's lock (0 if it does not say), or None if it is free."""
    key = _key(folder)
    with _guard:
        held = _held.get(key)
        if held is not None and held.pid == os.getpid():
            return held.pid
        lock = _lock(key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return (_owner(_owner_file(key)) or (0, 0.0))[0]
        except OSError as error:
            raise _unusable(error) from error
        lock.release()
    return None


def _acquired(key: str, folder: Path) -> _Held:
    lock, owner = _lock(key), _owner_file(key)
    try:
        lock.acquire(timeout=_PATIENCE_SECONDS, poll_interval=0.02)
    except Timeout:
        raise MrisslError(
            f"another process{_said(owner)} is writing into this dataset",
            where=folder,
            remedy="finish there first, or choose another folder",
        ) from None
    except OSError as error:
        raise _unusable(error) from error
    try:
        # Not synced to disk: it says nothing any more once the machine is off.
        temporary = owner.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"pid": os.getpid(), "since": time.time()}), "utf-8")
        os.replace(temporary, owner)
    except OSError as error:
        lock.release()
        raise _unusable(error) from error
    return _Held(lock, owner, os.getpid())


def _key(folder: str | Path) -> str:
    try:
        return hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()
    except ValueError as error:  # a NUL character
        raise MrisslError("is no name of a folder", where=Path(folder)) from error


def _folder() -> Path:
    return made_directory(data_directory() / "locks")


def _lock(key: str) -> BaseFileLock:
    # Taken in one thread and given back in another: an episode is finished by a worker.
    return FileLock(_folder() / f"{key}.lock", thread_local=False)


def _owner_file(key: str) -> Path:
    return _folder() / f"{key}.json"


def _owner(path: Path) -> tuple[int, float] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        return int(content["pid"]), float(content["since"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _said(path: Path) -> str:
    owner = _owner(path)
    if owner is None:
        return ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner[1]))
    return f" (process {owner[0]}, since {since})"


def _unusable(error: OSError) -> MrisslError:
    return MrisslError(
        f"lock could not be made ({error.strerror or type(error).__name__})",
        where="data directory",
        expected="a folder that can be written",
        remedy="set MRISSL_DATA_DIR to such a folder",
    )
