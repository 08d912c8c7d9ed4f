"""Label maps from anywhere: which files hold them, and what is refused as one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes import READABLE_SUFFIXES, Volume, read
from napari_mrissl.volumes.labels import check_one_frame

LEAST_SIDE = 2
"""Voxels along an axis; a single slice is no volume."""

MOST_VOXELS = 1 << 29
"""Of one map; beside its own voxels a map takes 2 bytes a voxel while it is read, or 6 where
they are floating point numbers."""

_MERGED = {"rib_": "all_ribs", "vertebrae_": "all_vertebrae"}
_SCANS = frozenset(("ct", "mri", "image"))
_MOST_LABELS = 4096
_LARGEST_LABEL = (1 << 16) - 1
_FEW_LABELS = 32
_SOME_CHANGES = 0.5


def read_label_map(path: Path) -> Volume:
    """A label map.

    Raises
    ------
    MrisslError
        If it cannot be read, or holds several frames.
    """
    volume = read(path)
    check_one_frame(volume, path)
    return volume


def stored_labels(volume: Volume) -> NDArray[Any]:
    """The labels (S, A, R), with the file's slope and intercept."""
    if (volume.slope, volume.intercept) == (1.0, 0.0):
        return volume.data
    values: NDArray[Any] = volume.slope * volume.data + volume.intercept
    return values


def numbered_labels(labels: NDArray[Any], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The labels other than 0 of a label map, and the map with 1, 2, 3, ... in their place.

    Parameters
    ----------
    labels
        3-D whole numbers, 0 for background; floating point whole numbers will do.
    name
        What to call the map in an error.

    Raises
    ------
    MrisslError
        If it is no 3-D label map: other numbers, one label everywhere, an image, fewer than
        two voxels along an axis, or more than 512 million in all.
    """
    labels = whole_numbers(labels, name)
    if not labels.any():
        return np.empty(0, np.int64), labels
    if labels.min() == labels.max():
        raise MrisslError(
            f"the one label {labels.flat[0]} everywhere",
            where=name,
            expected="a label map with background 0",
        )
    values, numbers = _numbered(labels)
    if len(values) > _MOST_LABELS or _looks_like_an_image(labels, values):
        raise MrisslError(
            f"{len(values)} different values that change from voxel to voxel",
            where=name,
            expected="a label map",
            remedy="this looks like an image; give its segmentation",
        )
    return values, numbers


def whole_numbers(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """A 3-D array of whole numbers, none negative; the same array where it is one already.

    Raises
    ------
    MrisslError
        As `numbered_labels`.
    """
    check_size(labels.shape, name)
    if labels.dtype.kind == "b":
        return labels.view(np.uint8)
    if labels.dtype.kind == "f":
        labels = _of_floats(labels, name)
    if labels.dtype.kind not in "iu":
        raise MrisslError(f"voxels of type {labels.dtype}", where=name, expected="whole numbers")
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise MrisslError(
            f"the label {labels.min()}", where=name, expected="0 for background, positive labels"
        )
    return labels


def check_size(shape: tuple[int, ...], name: str) -> None:
    """Refuse what is no volume, or one too large, before its voxels are looked at.

    Raises
    ------
    MrisslError
        Unless there are three axes of at least 2 voxels, and at most 512 million in all.
    """
    if len(shape) != 3:
        raise MrisslError(
            f"an array with {len(shape)} axes", where=name, expected="a 3-D label map"
        )
    if min(shape) < LEAST_SIDE:
        raise MrisslError(
            f"a size of {sizes(shape)} voxels",
            where=name,
            expected=f"a 3-D label map, at least {LEAST_SIDE} voxels along each axis",
        )
    if math.prod(shape) > MOST_VOXELS:
        raise MrisslError(
            f"a size of {sizes(shape)} voxels",
            where=name,
            expected=f"at most {MOST_VOXELS >> 20} million voxels",
            remedy="crop it or take a coarser copy",
        )


def sizes(shape: tuple[int, ...]) -> str:
    """E.g. ``"12 x 30 x 1"``."""
    return " x ".join(str(length) for length in shape)


def _of_floats(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Some tools store labels as floating point numbers; slice by slice, to need no memory."""
    largest = labels.max()
    dtype = np.int32 if np.isfinite(largest) and largest <= np.iinfo(np.int32).max else np.int64
    out = np.empty(labels.shape, dtype)
    for plane, numbers in zip(labels, out, strict=True):
        if not np.all(np.isfinite(plane)) or np.any(plane != np.floor(plane)):
            raise MrisslError(
                "values that are no whole numbers", where=name, expected="a label map"
            )
        numbers[:] = plane
    return out


def _numbered(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The labels other than 0, and the map with 1, 2, 3, ... in their place.

    Slice by slice: numpy's look-ups take eight bytes a voxel.
    """
    large = labels.max() > _LARGEST_LABEL
    if large:
        found = np.unique(np.concatenate([np.unique(plane) for plane in labels]))
    else:
        # A table is many times faster than sorting all voxels.
        here = np.zeros(_LARGEST_LABEL + 1, bool)
        for plane in labels:
            here[plane] = True
        found = np.flatnonzero(here)
        table = (np.cumsum(here) - here[0]).astype(np.uint16)
    shift = 0 if found[0] == 0 else 1
    values = found[1 - shift :]
    if len(values) > _LARGEST_LABEL:
        return values, labels
    numbers = np.empty(labels.shape, np.uint16)
    for plane, out in zip(labels, numbers, strict=True):
        out[:] = np.searchsorted(found, plane) + shift if large else table[plane]
    return values, numbers


def _looks_like_an_image(labels: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether most neighbours differ, as grey values do and labels do not."""
    if len(values) < _FEW_LABELS:
        return False
    changes, places = 0, 0
    for plane in labels:
        here, there = plane[:, :-1], plane[:, 1:]
        either = (here > 0) | (there > 0)
        changes += int(np.count_nonzero((here != there) & either))
        places += int(np.count_nonzero(either))
    return changes > _SOME_CHANGES * places


def label_map_files(folder: Path) -> list[list[Path]]:
    """The label maps of a folder and its subfolders, those that belong together in one list.

    Raises
    ------
    MrisslError
        If there is no such folder, or no label map in it.
    """
    if not folder.is_dir():
        raise MrisslError("no such folder", where=folder, expected="a folder with label maps")
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        lowered = path.name.lower()
        suffix = max((s for s in READABLE_SUFFIXES if lowered.endswith(s)), key=len, default="")
        # A header's voxels lie in a second file that is read with it.
        if not suffix or suffix in (".dcm", ".img", ".img.gz") or not path.is_file():
            continue
        stem = lowered[: -len(suffix)]
        if stem in _SCANS:
            continue
        name = next((name for start, name in _MERGED.items() if stem.startswith(start)), lowered)
        groups.setdefault((path.parent, name), []).append(path)
    if not groups:
        raise MrisslError(
            "no label maps", where=folder, expected="files such as NIfTI, MGH, NRRD or MetaImage"
        )
    return list(groups.values())
