"""Scans of any source become a pack: read, written as shards, and named by nobody's name."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.packs import PackEntry, PackWriter, is_url, shards
from napari_mrissl.packs.checking import OF_THE_MANIFEST
from napari_mrissl.training.data.facts import Facts, facts_and_volume
from napari_mrissl.training.data.groups import grouped
from napari_mrissl.training.data.known_packs import noted
from napari_mrissl.training.data.sources import Entry, Part, find
from napari_mrissl.trajectories.locks import locked
from napari_mrissl.volumes import read
from napari_mrissl.volumes.errors import WriteError
from napari_mrissl.volumes.labels import check_one_frame

Progress = Callable[[float], object]
Role = Literal["scan", "labels"]

_SECRET = "pack_secret"  # noqa: S105 - the name of the file that holds it
_NOT_YET = "subject"


@dataclass(frozen=True)
class Made:
    """What a packing did.

    Attributes
    ----------
    uuid
        Of the pack.
    entries
        All volumes of the pack now, label maps among them.
    added
        How many of them are new in its manifest.
    copies
        Files that hold a volume which another file held before.
    left_out
        How many files are not in it; the notes say why.
    notes
        Sentences for the screen; they may hold names of files.
    """

    uuid: str
    entries: tuple[PackEntry, ...]
    added: int
    copies: int
    left_out: int
    notes: tuple[str, ...] = ()


@dataclass
class _Stored:
    """One file's volumes in the pack, and what the file says its values are."""

    path: Path
    values: str
    person: str
    part: Part | None
    entry: PackEntry
    labels: PackEntry | None = None


class _Packing:
    """The pack as it grows, from what its manifest says."""

    def __init__(self, entries: Iterable[PackEntry]) -> None:
        self.entries = {entry.identity: entry for entry in entries}
        self._counts = Counter(entry.role for entry in self.entries.values())

    def add(self, stored: _Stored) -> bool:
        """Put a file's volumes at the end; False where its scan was there already."""
        if stored.labels is not None:
            if stored.labels.identity in self.entries:
                self._renew(stored.labels)
            else:
                self._append(stored.labels, "labels", None, None)
        labels = stored.labels.identity if stored.labels else None
        known = self.entries.get(stored.entry.identity)
        if known is None:
            self._append(stored.entry, "scan", stored.part, labels)
            return True
        if known.role == "labels":
            raise MrisslError(f"{known.name} is a label map and a scan", where="data")
        if stored.part and known.split and stored.part != known.split:
            raise MrisslError(
                f"{known.name} is named for {known.split} and for {stored.part}",
                where="data",
                expected="every scan in one part only",
            )
        self._renew(stored.entry, split=known.split or stored.part, labels=labels or known.labels)
        return False

    def _renew(self, entry: PackEntry, **given: object) -> None:
        """Keep what the manifest alone says of a volume; its shard may have been written anew."""
        known = self.entries[entry.identity]
        said = {name: getattr(known, name) for name in OF_THE_MANIFEST}
        self.entries[entry.identity] = entry.model_copy(update=said | given)

    def _append(self, entry: PackEntry, role: Role, part: Part | None, labels: str | None) -> None:
        self._counts[role] += 1
        name = f"{role}-{self._counts[role]:06d}"
        said = {"name": name, "role": role, "split": part, "labels": labels}
        self.entries[entry.identity] = entry.model_copy(update=said)


def pack(
    paths: Iterable[str | Path],
    folder: str | Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Made:
    """Pack scans, and the label maps that tables name beside them, into a local folder.

    What is in the pack already stays as it is; a packing that was killed goes on with what it
    had not completed. Scans of one person get one word for their subject, made from a secret
    of this user, so that scans that are added later are known to be of the same person.

    Parameters
    ----------
    paths
        See `sources.find`.
    folder
        A pack, or a new folder.
    workers
        Threads that read and write.
    progress
        Called with the fraction of files done; what it raises ends the packing.

    Raises
    ------
    MrisslError
        If there are no scans, one that was named cannot be read, a label map does not fit its
        scan, the folder is no pack, or another process writes into it.
    """
    if is_url(folder):
        raise MrisslError(
            "a URL",
            where="pack",
            expected="a folder of this machine",
            remedy="pack into a folder, and copy it there",
        )
    folder = Path(os.path.abspath(folder))
    found = find(paths)
    with locked(folder):
        writer = PackWriter(folder)
        before = len(writer.manifest.entries)
        packing = _Packing(writer.manifest.entries)
        stored, refused = _stored(writer, found.entries, workers, progress)
        same, others = _of_same_values(stored)
        copies = sum(not packing.add(one) for one in same)
        copies -= len({one.entry.identity for one in same} & set(writer.manifest.by_identity))
        if not packing.entries:
            said = "no scan could be read" + (f" ({refused[0]})" if refused else "")
            raise MrisslError(said, where="data", expected="scans to pack")
        entries = _with_subjects(tuple(packing.entries.values()), stored)
        manifest = writer.commit(entries)
    noted(folder)
    left_out = (*refused, *others)
    notes = [f"left out: {sentence}" for sentence in left_out]
    counts = {
        "files named as label maps, left out": found.label_maps,
        "scans with several volumes, of which the first is in the pack": sum(
            entry.frames > 1 for entry in manifest.entries
        ),
        "scans that other programs put elsewhere in space": sum(
            entry.disputed for entry in manifest.entries
        ),
    }
    notes += [f"{what}: {count}" for what, count in counts.items() if count]
    added = len(manifest.entries) - before
    return Made(manifest.uuid, manifest.entries, added, copies, len(left_out), tuple(notes))


def _stored(
    writer: PackWriter, entries: Sequence[Entry], workers: int, progress: Progress | None
) -> tuple[list[_Stored], list[str]]:
    """Every file's volumes, in order, and complaints about those that cannot be read."""

    def store(entry: Entry) -> _Stored | MrisslError:
        try:
            return _store(writer, entry)
        except MrisslError as error:
            # What the pack's own disk refuses is no matter of the scan.
            if entry.named or isinstance(error, WriteError):
                raise
            return error

    done: list[_Stored] = []
    refused: list[str] = []
    with ThreadPoolExecutor(workers, "packing") as pool:
        try:
            for number, result in enumerate(pool.map(store, entries), 1):
                if isinstance(result, MrisslError):
                    refused.append(str(result))
                else:
                    done.append(result)
                if progress is not None:
                    progress(number / len(entries))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return done, refused


def _of_same_values(stored: Sequence[_Stored]) -> tuple[list[_Stored], list[str]]:
    """Those whose values are those in the pack, and a complaint about each other one."""
    same = [one for one in stored if one.values == one.entry.values]
    others = [
        f"{printable(one.path.name)}: the voxels are in the pack with another slope and intercept; "
        f"to take these, delete {shards.folder_of(one.entry.identity)} in it and pack this scan "
        "again, and not the other"
        for one in stored
        if one.values != one.entry.values
    ]
    return same, others


def _store(writer: PackWriter, entry: Entry) -> _Stored:
    subject = _subject(entry.person)
    scan, facts = _volume_stored(writer, entry.path, subject)
    labels = None
    if entry.labels is not None:
        labels, _ = _volume_stored(writer, entry.labels, subject, of=(entry.path, facts))
    return _Stored(entry.path, facts.values, subject, entry.part, scan, labels)


def _volume_stored(
    writer: PackWriter, path: Path, subject: str, of: tuple[Path, Facts] | None = None
) -> tuple[PackEntry, Facts]:
    """One file's volume in the pack, written only where it is not there; ``of`` its scan."""
    facts, volume = facts_and_volume(path)
    if of is not None:
        _check_labels(facts, path, of)
    stored = writer.stored(facts.identity, _NOT_YET, subject)
    if stored is None:
        said = {
            "values": facts.values,
            "name": _NOT_YET,
            "subject": subject,
            "ct": facts.ct,
            "frames": facts.frames,
            "disputed": facts.disputed,
        }
        stored = writer.write(volume or read(path), said)
    return stored, facts


def _check_labels(labels: Facts, path: Path, of: tuple[Path, Facts]) -> None:
    scan, facts = of
    check_one_frame(labels, path)
    if labels.shape != facts.shape:
        raise MrisslError(
            f"labels of {labels.shape} voxels", where=path, expected=f"{facts.shape} as {scan.name}"
        )


def _with_subjects(entries: Sequence[PackEntry], stored: Sequence[_Stored]) -> list[PackEntry]:
    """The entries with one word for all scans of a person, and of those who share a scan."""
    keys: list[list[Any]] = [[entry.subject, entry.values, entry.identity] for entry in entries]
    keys += [[one.person, one.entry.values, one.entry.identity] for one in stored]
    groups = grouped(keys)
    words: dict[int, str] = {}
    for group, entry in zip(groups, entries, strict=False):
        if entry.role == "scan":
            words.setdefault(group, entry.subject)
    return [
        entry.model_copy(update={"subject": words.get(group, entry.subject)})
        for group, entry in zip(groups, entries, strict=False)
    ]


def _subject(person: str) -> str:
    """A word for a person that says nothing to whoever has not this user's secret."""
    key = _secret()
    return "subject-" + hmac.new(key, os.fsencode(person), hashlib.sha256).hexdigest()[:16]


def _secret() -> bytes:
    path = data_directory() / _SECRET
    made = path.with_name(f"{_SECRET}-{secrets.token_hex(8)}")
    try:
        if not path.exists():
            with os.fdopen(
                os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(secrets.token_bytes(32))
            # Of two that make it at once, one is first and both read the same.
            with contextlib.suppress(FileExistsError):
                os.link(made, path)
            made.unlink()
        return path.read_bytes()
    except OSError as error:
        raise MrisslError(
            f"cannot be written ({error.strerror or type(error).__name__})",
            where="data directory",
            remedy="set MRISSL_DATA_DIR to a folder that can be",
        ) from error
