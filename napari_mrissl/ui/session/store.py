"""Sessions on disk: a folder each in the user's data directory, held by the window that writes it.

sessions/<32 hex digits>/session.json       the record, replaced whole
                         voxels/<sha256>    painted and computed labels, deflated
                         lock               held while the window lives
sessions/looking                            held for the moment in which locks are tried
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import shutil
import time
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.session.records import LARGEST, SessionRecord, dump, parse
from napari_mrissl.volumes.atomic import write_atomically

LOGGER = logging.getLogger(__name__)

KEPT = 10
"""Sessions without a title that are kept; those saved by hand stay until they are deleted."""

DAYS_WITH_LABELS = 90
"""How long sessions with labels of their own are kept besides: they may be nowhere else."""

LARGEST_LABELS = 512 << 20
"""Bytes of labels in one layer beyond which they are not kept."""

_NAME = re.compile(r"[0-9a-f]{32}")
_PATIENCE = 5.0


class OpenSession:
    """A new session of a living window; the lock ends with the process, however it ends."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self.folder = made_directory(sessions_directory() / self.name)
        self._voxels = self.folder / "voxels"
        self._lock = _lock(self.folder)
        self._lock.acquire(timeout=_PATIENCE)

    def write(self, record: SessionRecord) -> None:
        """Replace the record, and remove labels that it does not name."""
        content = dump(record)
        write_atomically(self.folder / "session.json", lambda file: _put(file, content))
        named = {layer.voxels for layer in record.layers}
        for path in self._voxels.glob("*"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    def write_labels(self, labels: NDArray[np.integer]) -> str:
        """Keep labels (S, A, R); their checksum is how a record names them."""
        little = np.ascontiguousarray(labels, labels.dtype.newbyteorder("<"))
        raw = memoryview(little.reshape(-1).view(np.uint8))
        name = hashlib.sha256(raw).hexdigest()
        if not (self._voxels / name).exists():
            made_directory(self._voxels)
            # Labels are long runs: the fastest level is as small as the best one, nearly.
            packed = zlib.compress(raw, 1)
            write_atomically(self._voxels / name, lambda file: _put(file, packed))
        return name

    def take_over(self, earlier: str, name: str) -> None:
        """Keep labels of an earlier session in this one too."""
        source, target = sessions_directory() / earlier / "voxels" / name, self._voxels / name
        if not target.exists() and source.is_file() and not source.is_symlink():
            made_directory(self._voxels)
            packed = source.read_bytes()
            write_atomically(target, lambda file: _put(file, packed))

    def close(self) -> None:
        """Let go of it; a session in which nothing was written leaves nothing."""
        empty = not (self.folder / "session.json").exists()
        if empty:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release(force=True)


@dataclass(frozen=True)
class StoredSession:
    """A session that no living window holds.

    Attributes
    ----------
    name
        Of its folder.
    record
        What it says.
    problems
        Sentences about parts of it that could not be understood.
    """

    name: str
    record: SessionRecord
    problems: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is."""
        return sessions_directory() / self.name


def sessions_directory() -> Path:
    """The folder of all sessions."""
    return made_directory(data_directory() / "sessions")


def stored_sessions() -> list[StoredSession]:
    """Sessions that no living window holds, newest first, without those gone on with since."""
    folders = _folders()
    held = _held(folders)
    found: list[StoredSession] = []
    continued: set[str] = set()
    for folder in folders:
        try:
            one = read_session(folder.name)
        except MrisslError as error:
            LOGGER.warning("a session cannot be read: %s", error)
            continue
        if one.record.continues:
            continued.add(one.record.continues)
        if folder.name not in held and one.record.layers:
            found.append(one)
    # One saved by hand is there for good, however often it was gone on with.
    left = [one for one in found if one.record.title or one.name not in continued]
    return sorted(left, key=lambda one: one.record.saved.timestamp(), reverse=True)


def last_session() -> StoredSession | None:
    """The newest session that no living window holds."""
    return next((one for one in stored_sessions() if one.record.title is None), None)


def read_session(name: str) -> StoredSession:
    """A session by the name of its folder.

    Raises
    ------
    MrisslError
        If there is none or its file cannot be understood at all.
    """
    path = sessions_directory() / name / "session.json"
    try:
        if not _NAME.fullmatch(name) or path.is_symlink():
            raise FileNotFoundError(2, "no such session")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise MrisslError(f"could not be read ({error.strerror})", where=path) from error
    record, problems = parse(content, path.name)
    return StoredSession(name, record, tuple(problems))


def read_labels(folder: Path, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[np.integer]:
    """Labels kept with a session, on the grid of the volume they belong to.

    Raises
    ------
    MrisslError
        If they are not there, damaged, or of another shape.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size > LARGEST_LABELS:
        raise MrisslError("too large for kept labels", expected="at most 512 MiB")
    path = folder / "voxels" / name
    try:
        if path.is_symlink():
            raise FileNotFoundError(2, "no such file")
        unpacker = zlib.decompressobj()
        # One byte more than there may be, so that too many are noticed without making them.
        raw = unpacker.decompress(path.read_bytes()[: 2 * size + 65536], size + 1)
    except OSError as error:
        raise MrisslError(f"kept labels could not be read ({error.strerror})") from error
    except zlib.error as error:
        raise MrisslError("kept labels are damaged") from error
    if len(raw) != size or hashlib.sha256(raw).hexdigest() != name:
        raise MrisslError("kept labels are damaged", expected=f"{size} bytes and their checksum")
    return np.frombuffer(bytearray(raw), kind).reshape(shape).astype(kind.newbyteorder("="))


def keep_titled(name: str, title: str) -> None:
    """Copy a session under a title of the user's; it is never removed by itself.

    Raises
    ------
    MrisslError
        If the disk refuses.
    """
    source = read_session(name)
    folder = sessions_directory() / uuid.uuid4().hex
    try:
        if (source.folder / "voxels").is_dir():
            shutil.copytree(source.folder / "voxels", folder / "voxels")
    except OSError as error:
        raise MrisslError(f"session could not be copied ({error.strerror})") from error
    made_directory(folder)
    content = dump(source.record.model_copy(update={"title": title, "continues": None}))
    write_atomically(folder / "session.json", lambda file: _put(file, content))


def remove_old(but: Iterable[str] = ()) -> None:
    """Remove old sessions that nobody holds or named, but for the last ten and recent labels."""
    spared = set(but)
    for folder in _folders():
        # Left by a process that was killed before it wrote anything.
        if not (folder / "session.json").exists() and folder.name not in spared and _rests(folder):
            _remove(folder)
    nameless = [one for one in stored_sessions() if one.record.title is None]
    recently = time.time() - DAYS_WITH_LABELS * 86_400
    for one in nameless[KEPT:]:
        labels = any(layer.voxels is not None for layer in one.record.layers) or one.problems
        if one.name not in spared and not (labels and one.record.saved.timestamp() > recently):
            _remove(one.folder)


def _remove(folder: Path) -> None:
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return
    shutil.rmtree(folder, ignore_errors=True)
    lock.release(force=True)


def _rests(folder: Path) -> bool:
    """Whether a folder is older than the moment between its making and its lock's."""
    try:
        return time.time() - folder.stat().st_mtime > 60
    except OSError:
        return False


def _folders() -> list[Path]:
    found = sessions_directory().iterdir()
    return [p for p in found if _NAME.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]


def _held(folders: Iterable[Path]) -> set[str]:
    """Names of those that a living window holds."""
    # A lock is tried by taking it: two who try at once would each think a window holds it.
    looking = FileLock(sessions_directory() / "looking", thread_local=False)
    with contextlib.suppress(Timeout, OSError):  # a stopped process: better a guess than none
        looking.acquire(timeout=_PATIENCE, poll_interval=0.01)
    try:
        return {folder.name for folder in folders if not _free(folder)}
    finally:
        looking.release(force=True)


def _free(folder: Path) -> bool:
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    lock.release(force=True)
    return True


def _lock(folder: Path) -> FileLock:
    # Taken and given back by different threads.
    return FileLock(folder / "lock", thread_local=False)


def _put(file: object, content: bytes) -> None:
    file.write(content)  # type: ignore[attr-defined]
