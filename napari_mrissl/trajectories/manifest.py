"""The manifest of a dataset: checksummed, replaced whole, with the generation before beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import inside, read_bytes
from napari_mrissl.trajectories.entries import Entry, canonical, entry_of, is_rate, is_text
from napari_mrissl.volumes.atomic import write_atomically

MANIFEST = "dataset.json"
PREVIOUS = "dataset.previous.json"
SOFTWARE = f"napari-mrissl {__version__}"
LARGEST_BYTES = 1 << 26

_FORMAT = "napari-mrissl dataset"
_VERSION = 1
_MOST_PARTS = 5_000_000
_MOST_TASKS = 10_000
_START = b'{"checksum":"'
_MOST_KNOWN = 8
_guard = threading.Lock()
_known: dict[str, tuple[tuple[int, ...], Manifest]] = {}
_FIELDS = {"episodes", "format", "hertz", "removed", "software", "tasks", "version"}


class DamagedManifest(MrisslError):
    """A manifest that is not as it was written; an older one may do."""


@dataclass(frozen=True)
class Manifest:
    """What a dataset holds.

    Attributes
    ----------
    hertz
        Frames a second of all episodes.
    tasks
        Texts that `Entry.task_index` counts in.
    entries
        The episodes in order.
    removed
        Undone episodes that can be redone, the latest last.
    """

    hertz: float
    tasks: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    removed: tuple[Entry, ...] = ()
    software: str = field(default=SOFTWARE)

    @property
    def next_number(self) -> int:
        """Number of the next episode."""
        return self.entries[-1].episode_index + 1 if self.entries else 0

    @property
    def next_index(self) -> int:
        """``index`` of the next frame."""
        last = self.entries[-1] if self.entries else None
        return last.first_index + last.frames if last else 0

    def with_task(self, task: str) -> tuple[Manifest, int]:
        """This manifest with a task among its tasks, and the task's number."""
        if task in self.tasks:
            return self, self.tasks.index(task)
        if len(self.tasks) >= _MOST_TASKS:
            raise MrisslError(f"{len(self.tasks)} task texts already", expected="fewer")
        return replace(self, tasks=(*self.tasks, task)), len(self.tasks)

    def encoded(self) -> bytes:
        """The file's content: canonical JSON, its checksum over all of it but itself."""
        episodes = ",".join(entry.json for entry in self.entries)
        removed = ",".join(entry.json for entry in self.removed)
        body = (
            f'"episodes":[{episodes}],"format":{canonical(_FORMAT)},'
            f'"hertz":{canonical(self.hertz)},"removed":[{removed}],'
            f'"software":{canonical(SOFTWARE)},"tasks":{canonical(self.tasks)},'
            f'"version":{_VERSION}}}'
        ).encode()
        checksum = hashlib.sha256(b"{" + body).hexdigest().encode()
        return _START + checksum + b'",' + body


def parsed(content: bytes, path: Path) -> Manifest:
    """A manifest from a file's content.

    Raises
    ------
    DamagedManifest
        If the content is not as it was written.
    MrisslError
        If it was written so, but holds what no dataset of ours does.
    """
    split = len(_START) + 64
    checksum, body = content[len(_START) : split], content[split + 2 :]
    if not content.startswith(_START) or content[split : split + 2] != b'",':
        raise DamagedManifest("is no manifest of a dataset", where=path)
    if hashlib.sha256(b"{" + body).hexdigest().encode() != checksum:
        raise DamagedManifest("does not match its checksum", where=path)
    # Each part becomes an object of its own: a small file must not fill the memory.
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > _MOST_PARTS:
        raise MrisslError("manifest has too many parts", where=path)
    try:
        found = json.loads(b"{" + body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MrisslError("manifest is no usable JSON", where=path) from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise MrisslError("is no manifest of a dataset", where=path, expected=_FORMAT)
    if found.get("version") != _VERSION:
        raise MrisslError("dataset of another version", where=path, expected=f"version {_VERSION}")
    if set(found) != _FIELDS:
        raise MrisslError("manifest has other fields than expected", where=path)
    return _checked(found, path)


def _checked(found: dict[str, object], path: Path) -> Manifest:
    tasks, hertz, software = found["tasks"], found["hertz"], found["software"]
    episodes, removed = found["episodes"], found["removed"]
    if not is_rate(hertz):
        raise MrisslError("hertz of the dataset is not usable", where=path, expected="0.01 to 1000")
    if not isinstance(tasks, list) or len(tasks) > _MOST_TASKS or not all(map(is_text, tasks)):
        raise MrisslError("a task's text is not usable", where=path, expected="printable text")
    if not is_text(software):
        raise MrisslError("software of the dataset is not usable", where=path)
    if not isinstance(episodes, list) or not isinstance(removed, list):
        raise MrisslError("episodes of the dataset are no list", where=path)
    entries = tuple(entry_of(content, path) for content in episodes)
    for before, entry in zip((None, *entries), entries, strict=False):
        least = (before.episode_index + 1, before.first_index + before.frames) if before else (0, 0)
        if entry.episode_index < least[0] or entry.first_index < least[1]:
            raise MrisslError("episodes of the dataset are not in order", where=path)
        if entry.task_index >= len(tasks) or tasks[entry.task_index] != entry.task:
            raise MrisslError("an episode's task is not among the tasks", where=path)
    uids = [entry.uid for entry in entries]
    if len(set(uids)) != len(uids):
        raise MrisslError("an episode is listed twice", where=path)
    undone = tuple(entry_of(content, path) for content in removed)
    return Manifest(float(hertz), tuple(tasks), entries, undone, str(software))  # type: ignore[arg-type]


def read(folder: Path, name: str = MANIFEST) -> Manifest:
    """The manifest of a folder; see `parsed`.

    Raises
    ------
    DamagedManifest
        If it is not there, cannot be read, or is not as it was written.
    MrisslError
        If it leads elsewhere or is hostile.
    """
    path = inside(folder, name)
    try:
        content = read_bytes(path, LARGEST_BYTES)
    except OSError as error:
        raise DamagedManifest(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error
    return parsed(content, path)


def read_again(folder: Path) -> Manifest:
    """The manifest, not parsed anew where this process knows the file; for a lock's holder.

    Raises
    ------
    MrisslError
        As `read`.
    """
    signature = _signature(folder)
    with _guard:
        known = _known.get(os.path.realpath(folder))
    if known is not None and signature is not None and known[0] == signature:
        return known[1]
    manifest = read(folder)
    _note(folder, signature, manifest)
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    """Make a manifest the newest; the one there before becomes the previous generation.

    Raises
    ------
    MrisslError
        If the system refuses; the newest is then what it was.
    """
    content = manifest.encoded()
    newest = inside(folder, MANIFEST)
    if len(content) > LARGEST_BYTES:
        raise MrisslError(
            "dataset has too many episodes", where=newest, remedy="begin another dataset"
        )
    if newest.exists():
        _keep_generation(newest, inside(folder, PREVIOUS))

    def put(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(newest, put)
    _note(folder, _signature(folder), manifest)


def _signature(folder: Path) -> tuple[int, ...] | None:
    try:
        facts = os.stat(folder / MANIFEST)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _note(folder: Path, signature: tuple[int, ...] | None, manifest: Manifest) -> None:
    with _guard:
        if signature is not None:
            _known[os.path.realpath(folder)] = signature, manifest
        while len(_known) > _MOST_KNOWN:
            del _known[next(iter(_known))]


def _keep_generation(newest: Path, previous: Path) -> None:
    # A manifest is only ever replaced, so a second name is as good as a copy.
    link = newest.parent / f".mrissl-{secrets.token_hex(8)}.tmp"
    try:
        os.link(newest, link)
        os.replace(link, previous)
    except OSError:
        _copy(newest, previous)
    finally:
        # Renaming a second name of the very same file does nothing, and leaves it there.
        with contextlib.suppress(OSError):
            link.unlink()


def _copy(newest: Path, previous: Path) -> None:
    """For file systems without a second name; says so if the disk refuses that too."""

    def put(file: BinaryIO) -> None:
        file.write(read_bytes(newest, LARGEST_BYTES))

    write_atomically(previous, put)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
