"""Which label map or prompts belong to which scan: by name, in two folders."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.finetuning.inputs import LabelledInput
from napari_mrissl.training.data.sources import find
from napari_mrissl.volumes import READABLE_SUFFIXES

_ENDINGS = ("", "_dseg", "_seg", "_label", "_labels", "_mask")
_PROMPTS = (".csv", ".json")
_BIDS_SUBJECT = re.compile(r"(?:^|_)sub-([A-Za-z0-9]+)")
_BIDS_SUFFIX = re.compile(r"_[A-Za-z0-9]+$")
_NAMED = 5


def labelled_pairs(
    images: str | Path,
    labels: str | Path | None = None,
    *,
    prompts: str | Path | None = None,
    subjects: Sequence[str] = (),
    held_out: Sequence[str] = (),
) -> list[LabelledInput]:
    """Scans of a folder, a table or one file, with label maps, prompts, or both.

    A label map has the scan's name, or that name with ``_dseg``, ``_seg``, ``_label`` or
    ``_mask`` behind it (in a BIDS name in place of its suffix); prompts have it with ``.csv``
    or ``.json``. Scans with neither are left out unless they were named. A table may name
    label maps, subjects and the split itself, see `napari_mrissl.training.data.sources.find`.

    Parameters
    ----------
    images, labels, prompts
        Folders, or files for a single scan.
    subjects
        Names of the scans to learn from, without their endings, or BIDS subjects; without
        it all that have labels.
    held_out
        Names of scans to measure on.

    Raises
    ------
    MrisslError
        If a folder is missing, a named scan is not there or has no labels, or none has any.
    """
    root = Path(os.path.abspath(images))
    entries = find([root]).entries
    if labels is None and prompts is None and not any(entry.labels for entry in entries):
        raise MrisslError("neither label maps nor prompts", expected="--labels or --prompts")
    found: dict[Path, LabelledInput] = {}
    for entry in entries:
        relative = entry.path.relative_to(root) if root.is_dir() else Path(entry.path.name)
        own = entry.labels or _labels_of(labels, relative, single=len(entries) == 1)
        marked = _prompts_of(prompts, relative, single=len(entries) == 1)
        found[entry.path] = LabelledInput(entry.path, own, marked, subject=entry.person)
    parts = {entry.path: entry.part for entry in entries}
    chosen = [_named(found, name) for name in subjects]
    measured = [_named(found, name) for name in held_out]
    if not held_out:
        measured = [path for path, part in parts.items() if part == "validation"]
    if not subjects:
        chosen = [
            path
            for path, known in found.items()
            if path not in measured
            and parts[path] in (None, "train")
            and (known.labels is not None or known.prompts is not None)
        ]
    for path in (*chosen, *measured):
        if found[path].labels is None and found[path].prompts is None:
            raise MrisslError(
                "has neither a label map nor prompts", where=path, expected="files of its name"
            )
    if not chosen:
        raise MrisslError(
            "no scan has a label map or prompts of its name",
            where=root,
            expected="e.g. images/a.nii.gz and labels/a.nii.gz",
        )
    pairs = [found[path] for path in dict.fromkeys(chosen)]
    return pairs + [replace(found[path], held_out=True) for path in dict.fromkeys(measured)]


def _named(found: dict[Path, LabelledInput], name: str) -> Path:
    matching = [path for path in found if name in _names(path)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise MrisslError(f"{len(matching)} scans are called {name!r}", expected="a whole name")
    known = ", ".join(sorted(stem(path) for path in found)[:_NAMED])
    raise MrisslError(f"no scan {name!r}", where="--subjects", expected=f"names such as {known}")


def _names(path: Path) -> set[str]:
    names = {path.name, stem(path)}
    if subject := _BIDS_SUBJECT.search(stem(path)):
        names |= {subject[1], f"sub-{subject[1]}"}
    return names


def stem(path: Path) -> str:
    """The name of a scan's file without its ending, ``.nii.gz`` being one."""
    name = path.name
    lengths = [len(s) for s in READABLE_SUFFIXES if name.lower().endswith(s)]
    return name[: len(name) - max(lengths, default=0)]


def _labels_of(labels: str | Path | None, relative: Path, *, single: bool) -> Path | None:
    if labels is None:
        return None
    place = Path(labels)
    if not place.exists():
        raise MrisslError("no such file or folder", where=place, remedy="check the name")
    if place.is_file():
        return _only(place, single=single)
    folder, name = place / relative.parent, stem(relative)
    stems = [name + ending for ending in _ENDINGS]
    if _BIDS_SUBJECT.search(name):
        # The scan's own name comes first: a folder may hold label maps under both.
        stems += [_BIDS_SUFFIX.sub("", name) + ending for ending in _ENDINGS[1:]]
    candidates = [folder / relative.name]
    candidates += [folder / (one + suffix) for one in stems for suffix in READABLE_SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def _prompts_of(prompts: str | Path | None, relative: Path, *, single: bool) -> Path | None:
    if prompts is None:
        return None
    place = Path(prompts)
    if not place.exists():
        raise MrisslError("no such file or folder", where=place, remedy="check the name")
    if place.is_file():
        return _only(place, single=single)
    candidates = [place / relative.parent / (stem(relative) + suffix) for suffix in _PROMPTS]
    return next((path for path in candidates if path.is_file()), None)


def _only(place: Path, *, single: bool) -> Path:
    if not single:
        raise MrisslError(
            "one file for several scans", where=place, expected="a folder with a file for each"
        )
    return place
