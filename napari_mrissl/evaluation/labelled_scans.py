"""Scans with label maps, one of each subject, and how they are split and drawn for a comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.training.data.facts import facts_of
from napari_mrissl.training.data.groups import grouped
from napari_mrissl.training.data.sources import find
from napari_mrissl.volumes import Volume, read
from napari_mrissl.volumes.labels import labels_of

IMAGES, LABELS = "images", "labels"

Progress = Callable[[float], object]


@dataclass(frozen=True)
class LabelledScan:
    """A scan of one subject and its label map, both still on disk.

    Attributes
    ----------
    identity
        Of the scan's volume: what it is called in results.
    image, labels
        Their files; never shown and never saved.
    own
        Identities of all scans and label maps of this subject in the folder, copies too, and
        SHA-256 of their values: whoever was trained on one of them, or painted from it, knows
        the subject.
    """

    identity: str
    image: Path = field(repr=False)
    labels: Path = field(repr=False)
    own: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def read(self) -> tuple[Volume, NDArray[np.integer]]:
        """The scan and its labels, both (S, A, R).

        Raises
        ------
        MrisslError
            If one cannot be read, or they are on different grids.
        """
        volume = read(self.image)
        return volume, labels_of(read(self.labels), volume, self.labels)


@dataclass(frozen=True)
class LabelledScans:
    """A folder of scans with label maps.

    Attributes
    ----------
    scans
        One of each subject, ordered by identity, so that names of files decide nothing.
    labels
        Every label but 0 that occurs.
    fingerprint
        SHA-256 of what the scans and label maps hold.
    left_out
        Further scans of the same subjects, and copies.
    """

    scans: tuple[LabelledScan, ...]
    labels: tuple[int, ...]
    fingerprint: str
    left_out: int = 0

    def split(self, test: int, seed: int) -> tuple[list[LabelledScan], list[LabelledScan]]:
        """The scans that results are measured on, and those that training may draw from.

        Raises
        ------
        MrisslError
            If no scan would be left to train on.
        """
        if not 0 < test < len(self.scans):
            raise MrisslError(
                f"{test} of {len(self.scans)} subjects for testing",
                where="--test",
                expected=f"1 to {len(self.scans) - 1}",
            )

        def rank(scan: LabelledScan) -> str:
            return hashlib.sha256(f"{seed}/{scan.identity}".encode()).hexdigest()

        chosen = sorted(self.scans, key=rank)[:test]
        tested = [scan for scan in self.scans if scan in chosen]
        return tested, [scan for scan in self.scans if scan not in chosen]


def drawn(
    pool: Sequence[LabelledScan], shots: int, draw: int, seed: int
) -> tuple[LabelledScan, ...]:
    """The training scans of one draw; those of fewer shots are the first of those of more.

    Raises
    ------
    MrisslError
        If there are not as many.
    """
    if not 0 < shots <= len(pool):
        raise MrisslError(
            f"{shots} training scans", where="--shots", expected=f"1 to {len(pool)} for this split"
        )
    order = generator(seed, draw, "training scans").permutation(len(pool))
    return tuple(pool[number] for number in order[:shots])


def labelled_scans(folder: str | Path, progress: Progress | None = None) -> LabelledScans:
    """The scans of ``images`` with the label maps of the same names in ``labels``.

    Subjects are told apart as in training: by BIDS names, and copies by their voxels.

    Raises
    ------
    MrisslError
        If a folder is missing, a scan has no label map, or one cannot be read.
    """
    images, labels = Path(folder) / IMAGES, Path(folder) / LABELS
    for part in (images, labels):
        if not part.is_dir():
            raise MrisslError(
                "no such folder", where=part, expected="folders images and labels side by side"
            )
    entries = find([images]).entries
    keys, scans, maps, values, contents = [], [], [], set[int](), []
    for number, entry in enumerate(entries, 1):
        path = labels / entry.path.relative_to(images.absolute())
        if not path.exists():
            raise MrisslError(
                "has no label map", where=entry.path, expected="a file of its name in labels"
            )
        facts = facts_of(entry.path)
        scan = LabelledScan(facts.identity, entry.path, path)
        volume, label_map = scan.read()
        values |= {int(value) for value in np.unique(label_map)}
        keys.append((entry.person, facts.identity, facts.values))
        scans.append(scan)
        maps.append(facts_of(path))
        digest = hashlib.sha256(np.ascontiguousarray(label_map, np.int32).tobytes()).hexdigest()
        contents.append(f"{volume.identity}/{digest}")
        if progress is not None:
            progress(number / len(entries))
    first: dict[int, LabelledScan] = {}
    own: dict[int, set[str]] = {}
    groups = grouped(keys)
    for group, (_, identity, content), of_map in zip(groups, keys, maps, strict=True):
        own.setdefault(group, set()).update((identity, content, of_map.identity, of_map.values))
    for group, scan in sorted(zip(groups, scans, strict=True), key=lambda pair: pair[1].identity):
        first.setdefault(group, scan)
    wanted = tuple(sorted(values - {0}))
    if not wanted:
        raise MrisslError("hold nothing but 0", where=labels, expected="labels from 1")
    chosen = [replace(scan, own=frozenset(own[group])) for group, scan in first.items()]
    return LabelledScans(
        tuple(sorted(chosen, key=lambda scan: scan.identity)),
        wanted,
        hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest(),
        len(scans) - len(first),
    )
