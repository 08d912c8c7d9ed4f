"""Labelled scans as they are read: on one grid, in whole numbers, every scan once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.segmentation.finetuning.inputs import LabelledInput
from napari_mrissl.segmentation.finetuning.task_settings import (
    MOST_CLASSES,
    UNLABELLED,
    LabelClass,
)
from napari_mrissl.segmentation.prompt_files import read_prompts
from napari_mrissl.segmentation.prompts import Prompts, labelled_voxels
from napari_mrissl.training.data.facts import Facts, measured
from napari_mrissl.training.data.groups import grouped
from napari_mrissl.volumes import Volume, read
from napari_mrissl.volumes.labels import check_grid, check_one_frame

_LARGEST = 65535
_NOTHING = -1
"""In labels as they are read: not labelled."""

Progress = Callable[[float, str], object]


@dataclass(frozen=True, eq=False)
class ReadScan:
    """A scan with its labels.

    Attributes
    ----------
    volume, source
        The scan, and its file.
    labels
        (S, A, R) int32 as given; -1 where nothing is known.
    classes
        What the scan's prompts say of their classes.
    facts
        Of the scan.
    split
        What it is for.
    group
        The same number for scans of one person and for copies.
    """

    volume: Volume
    source: Path
    labels: NDArray[np.int32]
    classes: tuple[LabelClass, ...]
    facts: Facts
    split: Literal["train", "validation"]
    group: int = 0


def read_scans(
    inputs: Sequence[LabelledInput], unlabelled: int | None = None, progress: Progress | None = None
) -> list[ReadScan]:
    """Read scans and labels, and refuse what cannot be learned from.

    Raises
    ------
    MrisslError
        If a scan is given twice, one cannot be read, labels are on another grid or no whole
        numbers, nothing at all is labelled in one, or a person is on both sides.
    """
    if not any(not given.held_out for given in inputs):
        raise MrisslError("no scan is for training", where="labels", remedy="label one first")
    found = []
    for number, given in enumerate(inputs):
        found.append(_read(given, unlabelled))
        if progress is not None:
            progress((number + 1) / len(inputs), "reading scans")
    keys = [
        (given.subject or _person(scan.source), scan.facts.identity, scan.facts.values)
        for given, scan in zip(inputs, found, strict=True)
    ]
    groups = grouped(keys)
    _check_apart(found, groups)
    return [
        ReadScan(s.volume, s.source, s.labels, s.classes, s.facts, s.split, group)
        for s, group in zip(found, groups, strict=True)
    ]


def class_table(scans: Sequence[ReadScan], given: Sequence[LabelClass]) -> tuple[LabelClass, ...]:
    """All classes, by label: those given, and others that occur; 0 is background.

    Raises
    ------
    MrisslError
        If a given class occurs in no training scan, a class occurs in held-out scans only,
        or there are fewer than two or too many.
    """
    training: set[int] = set()
    measured_on: set[int] = set()
    said: dict[int, LabelClass] = {}
    for scan in scans:
        values = {int(value) for value in np.unique(scan.labels)} - {_NOTHING}
        (training if scan.split == "train" else measured_on).update(values)
        for entry in scan.classes:
            known = said.setdefault(entry.label, entry)
            if known.name != entry.name and entry.label not in {one.label for one in given}:
                raise MrisslError(
                    f"label {entry.label} is {printable(known.name)!r} in one scan and "
                    f"{printable(entry.name)!r} in another",
                    where="classes",
                    expected="one name for each label",
                    remedy="give each class a number of its own, or both the same name",
                )
    said |= {entry.label: entry for entry in given}
    for entry in given:
        # Prompts need not mark what is nothing.
        if entry.label and entry.label not in training:
            raise MrisslError(
                f"class {entry.label} ({entry.name}) is labelled in no training scan",
                where="classes",
                remedy="label some of it, or take the class out",
            )
    if only := sorted(measured_on - training):
        raise MrisslError(
            f"class {only[0]} occurs in held-out scans only",
            where="labels",
            remedy="train on a scan that has it",
        )
    if len(training) < 2:
        names = ", ".join(map(str, sorted(training))) or "none"
        raise MrisslError(
            f"labels of one class only ({names}) in the training scans",
            where="labels",
            expected="two classes or more",
            remedy="label something else too, for instance background",
        )
    if len(training) > MOST_CLASSES:
        raise MrisslError(
            f"{len(training)} different labels",
            where="labels",
            expected=f"at most {MOST_CLASSES}",
            remedy="give label maps with whole numbers for classes, not grey values",
        )
    return tuple(said.get(label) or _default(label) for label in sorted(training))


def encoded(labels: NDArray[np.int32], classes: Sequence[LabelClass]) -> NDArray[np.uint8]:
    """Labels as numbers of classes, `UNLABELLED` where nothing is known."""
    table = np.full(max(entry.label for entry in classes) + 2, UNLABELLED, np.uint8)
    for number, entry in enumerate(classes):
        table[entry.label] = number
    # The last entry is what -1 stands for.
    known: NDArray[np.uint8] = table[np.clip(labels, _NOTHING, len(table) - 1)]
    return known


def _default(label: int) -> LabelClass:
    return LabelClass(label=label, name=f"class {label}" if label else "background")


def _read(given: LabelledInput, unlabelled: int | None) -> ReadScan:
    volume = given.image if isinstance(given.image, Volume) else read(given.image)
    source = volume.source if isinstance(given.image, Volume) else given.image
    if source is None:
        raise MrisslError(
            "is in memory only", where=volume.name, remedy="save the scan to a file first"
        )
    if volume.frame != 0:
        raise MrisslError(
            f"frame {volume.frame} of a file with {volume.frames}",
            where=volume.name,
            expected="the first frame",
            remedy="save the frame as a scan of its own",
        )
    if given.labels is None and given.prompts is None:
        raise MrisslError("has neither labels nor prompts", where=volume.name)
    if volume.data.min() == volume.data.max():
        raise MrisslError(
            "all voxels have the same value", where=volume.name, remedy="leave this scan out"
        )
    labels = np.full(volume.shape, _NOTHING, np.int32)
    if given.labels is not None:
        labels = _dense(volume, given.labels, unlabelled)
    classes: tuple[LabelClass, ...] = ()
    if given.prompts is not None:
        prompts = _prompts(given.prompts)
        _mark(labels, volume, prompts, alone=given.labels is None)
        classes = tuple(
            LabelClass(label=entry.label, name=entry.name, color=entry.color)
            for entry in prompts.classes
            if not entry.is_background
        )
    if (labels == _NOTHING).all():
        raise MrisslError("no voxel is labelled", where=volume.name, remedy="label some of it")
    split: Literal["train", "validation"] = "validation" if given.held_out else "train"
    return ReadScan(volume, source, labels, classes, measured(volume), split)


def _dense(
    volume: Volume, labels: Path | NDArray[Any], unlabelled: int | None
) -> NDArray[np.int32]:
    """A label map on the volume's grid, as int32 with -1 for not labelled."""
    where: Path | str
    if isinstance(labels, Path):
        where, other = labels, read(labels)
        check_grid(other, volume, where, volume.name)
        check_one_frame(other, where)
        values: NDArray[Any] = other.data
        if (other.slope, other.intercept) != (1.0, 0.0):
            values = other.slope * values.astype(np.float64) + other.intercept
    else:
        where, values = f"labels of {volume.name}", np.asarray(labels)
        if values.shape != volume.shape:
            raise MrisslError(
                f"array of shape {values.shape}", where=where, expected=f"{volume.shape}"
            )
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            odd = ~(np.isfinite(values) & (np.rint(values) == values))
        if odd.any():
            raise MrisslError(
                f"holds {values[odd].flat[0]:g}, which is no label",
                where=where,
                expected="whole numbers",
                remedy="give a label map, not probabilities or a resampled one",
            )
    low, high = int(values.min()), int(values.max())
    whole = values.astype(np.int64) if max(-low, high) > _LARGEST else values.astype(np.int32)
    known = np.ones(whole.shape, bool) if unlabelled is None else whole != unlabelled
    if known.any():
        low, high = int(whole[known].min()), int(whole[known].max())
        if low < 0 or high > _LARGEST:
            raise MrisslError(
                f"holds the label {low if low < 0 else high}",
                where=where,
                expected=f"labels from 0 to {_LARGEST}",
            )
    return np.where(known, whole, _NOTHING).astype(np.int32)


def _prompts(prompts: Path | Prompts) -> Prompts:
    return read_prompts(prompts) if isinstance(prompts, Path) else prompts


def _mark(labels: NDArray[np.int32], volume: Volume, prompts: Prompts, *, alone: bool) -> None:
    if prompts.volume_identity not in (None, volume.identity):
        raise MrisslError(
            "the prompts were placed on another scan",
            where=volume.name,
            expected="prompts of this scan",
        )
    voxels = labelled_voxels(volume, prompts)
    if len(voxels.labels) == 0 and alone:
        raise MrisslError(
            f"none of {len(prompts.points)} prompts is inside the scan",
            where=volume.name,
            expected="world coordinates in RAS mm",
        )
    # Prompts have no 0: what they call background is what label maps leave at 0.
    nothing = [entry.label for entry in prompts.classes if entry.is_background]
    known = np.where(np.isin(voxels.labels, nothing), 0, voxels.labels)
    labels[tuple(voxels.indices.T)] = known


def _check_apart(scans: Sequence[ReadScan], groups: Sequence[int]) -> None:
    seen: set[str] = set()
    sides: dict[int, ReadScan] = {}
    for scan, group in zip(scans, groups, strict=True):
        other = sides.setdefault(group, scan)
        if other.split != scan.split:
            raise MrisslError(
                f"{scan.volume.name} and {other.volume.name} are of the same subject, or copies of "
                "one scan, and one of them is held out",
                where="labels",
                expected="every subject on one side only",
                remedy="take one of them out",
            )
        if scan.facts.identity in seen:
            raise MrisslError(
                "is given twice",
                where=scan.volume.name,
                remedy="give its label map and prompts together",
            )
        seen.add(scan.facts.identity)


def _person(source: Path) -> str:
    from napari_mrissl.training.data.sources import find

    (entry,) = find([source]).entries
    return entry.person
