"""Which files a run's data are: a folder, scans, a list, a BIDS tree, a CSV table or a pack.

Whose scan a file is, is told by the table's column, by a BIDS name (``sub-01``), or, in a
tree whose folders hold files of the same names (``a/t1.nii.gz``, ``b/t1.nii.gz``), by the
folder; any other file counts as a subject of its own.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import is_pack
from napari_mrissl.training.data.facts import Facts
from napari_mrissl.training.data.known_packs import facts_of_entry, noted
from napari_mrissl.volumes import READABLE_SUFFIXES

Part = Literal["train", "validation", "test"]

LARGEST_TABLE = 16 << 20
"""Bytes of a list or table that are read."""

_BIDS_SUBJECT = re.compile(r"(?:^|_)sub-([A-Za-z0-9]+)")
_LABEL_FOLDER = re.compile(r"(labels?|masks?|segmentations?)(tr|ts)?", re.IGNORECASE)
_LABEL_NAME = re.compile(r"([_-](labels?|dseg|seg|mask|probseg))$", re.IGNORECASE)
_NOT_RAW = {"derivatives", "sourcedata", "code", "stimuli"}
_BY_TABLE = "table "
_SCANS_OF_BIDS = ("anat", "ct", "pet")
_PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Packed:
    """What a pack says of one scan.

    Attributes
    ----------
    pack
        The pack's uuid.
    facts
        Of the scan.
    labels
        Identity of its label map, in the same pack.
    """

    pack: str
    facts: Facts
    labels: str | None = None


@dataclass(frozen=True)
class Entry:
    """One scan's file and what its source says of it.

    Attributes
    ----------
    path
        File, or folder with a DICOM series.
    person
        Key that is the same for scans of one person; holds paths, never leaves this process.
    part
        Where the source says so.
    labels
        Its label map, where the source names one.
    named
        Whether the user named this very file; one that was found by searching a folder is
        left out, with a note, where it cannot be read.
    packed
        Where it is no file of its own; then ``path`` is only a name.
    """

    path: Path
    person: str
    part: Part | None = None
    labels: Path | None = None
    named: bool = True
    packed: Packed | None = None


@dataclass(frozen=True)
class Found:
    """What sources hold, in order, each file once.

    Attributes
    ----------
    entries
        The scans.
    label_maps
        How many files were left out because they are named as label maps.
    """

    entries: tuple[Entry, ...]
    label_maps: int = 0


def find(paths: Iterable[str | Path], *, packs: bool = False) -> Found:
    """The scans of folders, files, ``.txt`` lists, BIDS trees, ``.csv`` and ``.tsv`` tables.

    A table has a column ``path``, relative to the table, and may have ``subject``,
    ``split`` (train, validation, test) and ``label``. A list has one path a line; lines
    that begin with ``#`` are comments. Packs, in folders or behind URLs, are looked into only
    where ``packs`` says that whoever asks can read them.

    Raises
    ------
    MrisslError
        If there is nothing at a path, no scan in it, or a table cannot be understood.
    """
    entries: dict[Path, Entry] = {}
    label_maps = 0
    for given in paths:
        found = _of_pack(given) if packs and is_pack(given) else _of_files(given)
        label_maps += found.label_maps
        for entry in found.entries:
            known = entries.get(entry.path)
            entries[entry.path] = entry if known is None else _joined(known, entry)
    return Found(tuple(entries.values()), label_maps)


def _of_pack(given: str | Path) -> Found:
    manifest = noted(given).manifest
    return Found(
        tuple(
            Entry(
                # Packs have names of scans in common.
                Path(manifest.uuid, entry.name),
                f"pack {entry.subject}",
                entry.split,
                packed=Packed(manifest.uuid, facts_of_entry(entry), entry.labels),
            )
            for entry in manifest.entries
            if entry.role == "scan"
        )
    )


def _of_files(given: str | Path) -> Found:
    path = Path(os.path.abspath(given))
    if not os.path.exists(path):
        raise MrisslError("no such file or folder", where=path, remedy="check the name")
    found = _of(path)
    if not found.entries:
        raise MrisslError(
            "no scans found", where=path, expected=f"files {', '.join(READABLE_SUFFIXES)}"
        )
    return found


def _of(path: Path) -> Found:
    name = path.name.lower()
    if path.is_file() and name.endswith((".csv", ".tsv")):
        return Found(tuple(_table(path)))
    if path.is_file() and name.endswith(".txt"):
        return Found(tuple(_list(path)))
    if path.is_file() or _is_series(path):
        return Found((Entry(path, person_of(path)),))
    return _bids(path) or _folder(path)


def _joined(first: Entry, second: Entry) -> Entry:
    """What two sources say of one file; a table knows best whose it is."""
    if first.part and second.part and first.part != second.part:
        raise MrisslError(
            f"named for {first.part} and for {second.part}",
            where=first.path,
            expected="every scan in one part only",
        )
    return replace(
        first,
        person=second.person if second.person.startswith(_BY_TABLE) else first.person,
        part=first.part or second.part,
        labels=first.labels or second.labels,
        named=first.named or second.named,
    )


def _table(path: Path) -> Iterator[Entry]:
    delimiter = "\t" if path.name.lower().endswith(".tsv") else ","
    rows = csv.DictReader(_text(path).splitlines(), delimiter=delimiter)
    columns = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    if "path" not in columns:
        raise MrisslError(
            f"columns {', '.join(sorted(filter(None, columns))) or 'none'}",
            where=path,
            expected="a column path, and subject, split, label where known",
        )
    for number, row in enumerate(rows, 2):

        def cell(column: str, row: dict[str, str | None] = row) -> str:
            return (row.get(columns.get(column, "")) or "").strip()

        place = f"{path.name}, line {number}"
        scan = _beside(path, cell("path"), place)
        split = cell("split").lower()
        if split and split not in _PARTS:
            raise MrisslError(f"split {split!r}", where=place, expected="train, validation or test")
        # The same name in two tables is the same person.
        person = f"{_BY_TABLE}{cell('subject')}" if cell("subject") else person_of(scan)
        labels = _beside(path, cell("label"), place) if cell("label") else None
        yield Entry(scan, person, _PARTS.get(split), labels)


def _list(path: Path) -> Iterator[Entry]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            scan = _beside(path, line.strip(), f"{path.name}, line {number}")
            yield Entry(scan, person_of(scan))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_TABLE + 1)
        if len(content) > LARGEST_TABLE:
            raise MrisslError("more than 16 MiB", where=path, expected="a list of scans")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error
    except UnicodeDecodeError as error:
        raise MrisslError("no UTF-8 text", where=path, expected="a list of scans") from error


def _beside(table: Path, written: str, place: str) -> Path:
    if not written or "\0" in written:
        raise MrisslError("no path", where=place)
    path = Path(os.path.abspath(table.parent / written))
    if not os.path.exists(path):
        raise MrisslError(
            f"no file {path.name}", where=place, expected="a path relative to the table"
        )
    return path


def _bids(root: Path) -> Found | None:
    """Anatomical scans of a BIDS tree; None where it is none."""
    subjects = sorted(path for path in root.glob("sub-*") if path.is_dir())
    if not subjects:
        return None
    files = [path for subject in subjects for path in _walk(subject)]
    wanted = [path for path in files if path.parent.name in _SCANS_OF_BIDS]
    return _entries(root, wanted) if wanted else None


def _folder(root: Path) -> Found:
    return _entries(root, list(_walk(root)))


def _entries(root: Path, files: list[Path]) -> Found:
    scans = [path for path in files if not _LABEL_NAME.search(_stem(path))]
    by_folder = _folders_are_subjects(root, scans)
    entries = (
        Entry(path, f"folder {path.parent}" if by_folder else person_of(path), named=False)
        for path in scans
    )
    return Found(tuple(entries), len(files) - len(scans))


def _folders_are_subjects(root: Path, scans: list[Path]) -> bool:
    """Whether several folders hold files of the same names, none of which names a subject."""
    if any(_BIDS_SUBJECT.search(part) for path in scans for part in path.relative_to(root).parts):
        return False
    names = Counter(path.name for path in scans if path.parent != root)
    return any(count > 1 for count in names.values())


def person_of(path: Path) -> str:
    """Whose scan a path is: a key for the BIDS subject in its folder, or else the file itself."""
    matches = [match for part in path.parts if (match := _BIDS_SUBJECT.search(part))]
    if not matches:
        return str(path)
    # The file's own name counts most; a folder far above may be called sub-something too.
    subject = f"sub-{matches[-1][1]}"
    above = path.parts.index(subject) if subject in path.parts else len(path.parts) - 1
    return f"{subject} in {Path(*path.parts[:above])}"


def _walk(root: Path) -> Iterator[Path]:
    """Scans below a folder in the order of their names; label folders are left out."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".")
            and name.lower() not in _NOT_RAW
            and not _LABEL_FOLDER.fullmatch(name)
        )
        if any(name.lower().endswith(".dcm") for name in files):
            yield Path(folder)
            continue
        for name in sorted(files):
            if not name.startswith(".") and _has_scan_suffix(name):
                yield Path(folder) / name


def _has_scan_suffix(name: str) -> bool:
    # The .img of a pair is read with its .hdr.
    lower = name.lower()
    return lower.endswith(READABLE_SUFFIXES) and not lower.endswith((".img", ".img.gz"))


def _is_series(path: Path) -> bool:
    return path.is_dir() and any(name.lower().endswith(".dcm") for name in os.listdir(path))


def _stem(path: Path) -> str:
    name = path.name
    suffixes = [s for s in READABLE_SUFFIXES if name.lower().endswith(s)]
    return name[: len(name) - max(map(len, suffixes), default=0)]


def as_part(entries: Iterable[Entry], part: Part) -> list[Entry]:
    """The same entries, meant for one part whatever their source says."""
    return [replace(entry, part=part) for entry in entries]
