"""The pool of binary shapes that label ensembles are painted with."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.shapes import procedural_masks
from napari_mrissl.volumes import READABLE_SUFFIXES, read

MEMORY_LIMIT = 1 << 30
"""Bytes that a pool may take unless told otherwise: 1 GiB, about 30,000 organs."""

_MERGED = {"rib_": "all_ribs", "vertebrae_": "all_vertebrae"}
_SCANS = frozenset(("ct", "mri", "image"))
_MOST_LABELS = 4096
_LARGEST_LABEL = (1 << 16) - 1
_SOME_CHANGES = 0.5
_NEARLY_ISOTROPIC = 1.01

Progress = Callable[[float], object]


@dataclass(frozen=True, eq=False)
class Templates:
    """Binary shapes, each cut to its box, one bit a voxel.

    Attributes
    ----------
    bits
        (bytes,) uint8: all shapes, one after the other, rows padded to whole bytes, lowest
        bit first.
    starts
        (n,) int64: where each shape begins in `bits`.
    extents
        (n, 3) int64: voxels along each axis of its box.
    """

    bits: NDArray[np.uint8]
    starts: NDArray[np.int64]
    extents: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> NDArray[np.bool_]:
        """One shape as a boolean array."""
        number = range(len(self))[number]
        s, a, r = (int(n) for n in self.extents[number])
        width = -(-r // 8)
        start = int(self.starts[number])
        packed = self.bits[start : start + s * a * width].reshape(s, a, width)
        return np.unpackbits(packed, axis=2, count=r, bitorder="little").astype(bool)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.bits.nbytes + self.starts.nbytes + self.extents.nbytes

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all shapes in their order."""
        digest = hashlib.sha256(np.ascontiguousarray(self.extents, "<i8").tobytes())
        digest.update(self.bits.data)
        return digest.hexdigest()

    @classmethod
    def from_masks(
        cls, masks: Iterable[NDArray[np.bool_]], *, limit: int = MEMORY_LIMIT
    ) -> Templates:
        """A pool of given binary 3-D shapes; empty ones are left out.

        Raises
        ------
        MrisslError
            If nothing is left, or the pool needs more than ``limit`` bytes.
        """
        pool = _Pool(limit)
        for mask in masks:
            pool.add(mask)
        return pool.finish()

    @classmethod
    def from_arrays(
        cls, maps: Iterable[tuple[NDArray[Any], Sequence[float]]], *, limit: int = MEMORY_LIMIT
    ) -> Templates:
        """Every label but 0 of every label map, e.g. of the viewer's Labels layers.

        Parameters
        ----------
        maps
            Pairs of a 3-D label map and its voxel size along each axis; a map whose voxels
            are no cubes is resampled (nearest) to cubes of the same volume.
        limit
            Bytes that the pool may take.

        Raises
        ------
        MrisslError
            If a map is no 3-D label map, if all are empty, or if the pool is too large.
        """
        pool = _Pool(limit)
        for number, (labels, spacing) in enumerate(maps, 1):
            pool.add_map(labels, spacing, f"label map {number}")
        return pool.finish()

    @classmethod
    def from_folder(
        cls, folder: str | Path, *, limit: int = MEMORY_LIMIT, progress: Progress | None = None
    ) -> Templates:
        """Every label but 0 of every label map in a folder and its subfolders.

        A binary mask is a map with one label. As in the reference, files ``rib_*`` and
        ``vertebrae_*`` of one folder make one template each, and files named ``ct``,
        ``mri`` or ``image`` are left out, as are empty masks.

        Parameters
        ----------
        folder
            Label maps in any format that `volumes.read` opens.
        limit
            Bytes that the pool may take.
        progress
            Called with the fraction done, 0 to 1.

        Raises
        ------
        MrisslError
            If the folder holds no label maps, if a file is none, or if the pool is too large.
        """
        folder = Path(folder)
        groups = label_map_files(folder)
        pool = _Pool(limit)
        for number, paths in enumerate(groups):
            if progress is not None:
                progress(number / len(groups))
            merged: NDArray[Any] | None = None
            for path in paths:
                volume = read(path)
                values = volume.data
                if (volume.slope, volume.intercept) != (1.0, 0.0):
                    values = volume.slope * values + volume.intercept
                if len(paths) == 1:
                    pool.add_map(values, volume.spacing, path.name)
                elif merged is None:
                    merged = _checked(values, path.name) > 0
                elif merged.shape == values.shape:
                    merged |= _checked(values, path.name) > 0
                else:
                    raise MrisslError(
                        f"shape {values.shape}",
                        where=path,
                        expected=f"{merged.shape} as the other parts of the same structure",
                    )
            if merged is not None:
                pool.add_map(merged, volume.spacing, paths[0].parent.name)
        if progress is not None:
            progress(1.0)
        return pool.finish()

    @classmethod
    def procedural(cls, seed: int = 0, count: int = 120) -> Templates:
        """Shapes made by rule, for when there are no label maps: blobs, ellipsoids, tubes,
        sheets and cells of smooth noise, in turn; the same for the same seed.
        """
        return cls.from_masks(itertools.islice(procedural_masks(seed), count))


class _Pool:
    """Packs shapes, and refuses once they take too much memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[NDArray[np.uint8]] = []
        self._extents: list[tuple[int, ...]] = []
        self._bytes = 0

    def add(self, mask: NDArray[np.bool_]) -> None:
        box = ndimage.find_objects(mask.view(np.uint8) if mask.dtype == bool else mask)
        if not box or box[0] is None:
            return
        mask = mask[box[0]]
        self._bytes += mask.shape[0] * mask.shape[1] * -(-mask.shape[2] // 8)
        if self._bytes > self._limit:
            raise MrisslError(
                f"templates of more than {self._limit >> 20} MiB",
                where=f"template {len(self._parts) + 1}",
                remedy="take fewer label maps or allow more memory",
            )
        self._parts.append(np.packbits(mask, axis=2, bitorder="little").reshape(-1))
        self._extents.append(mask.shape)

    def add_map(self, labels: NDArray[Any], spacing: ArrayLike, name: str) -> None:
        values, numbers = numbered_labels(labels, name)
        if not len(values):
            return
        steps = np.asarray(spacing, np.float64)
        if steps.shape != (3,) or not np.all(np.isfinite(steps)) or np.any(steps <= 0):
            raise MrisslError(
                f"spacing {steps.tolist()}", where=name, expected="three positive lengths"
            )
        for number, box in enumerate(ndimage.find_objects(numbers), 1):
            self.add(_cubic(numbers[box] == number, steps))

    def finish(self) -> Templates:
        if not self._parts:
            raise MrisslError(
                "no labels", where="templates", expected="label maps with labels other than 0"
            )
        sizes = [len(part) for part in self._parts]
        starts = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
        return Templates(np.concatenate(self._parts), starts, np.array(self._extents, np.int64))


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
        If it is no 3-D label map: other numbers, one label everywhere, or an image.
    """
    labels = _checked(labels, name)
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


def _checked(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """A 3-D array of whole numbers, none negative."""
    if labels.ndim != 3:
        raise MrisslError(
            f"an array with {labels.ndim} axes", where=name, expected="a 3-D label map"
        )
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind == "f":
        # Some tools store labels as floating point numbers.
        if not np.all(np.isfinite(labels)) or np.any(labels != np.floor(labels)):
            raise MrisslError(
                "values that are no whole numbers", where=name, expected="a label map"
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iu":
        raise MrisslError(f"voxels of type {labels.dtype}", where=name, expected="whole numbers")
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise MrisslError(
            f"the label {labels.min()}", where=name, expected="0 for background, positive labels"
        )
    return labels


def _numbered(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The labels other than 0, and the map with 1, 2, 3, ... in their place."""
    if labels.max() > _LARGEST_LABEL:
        found, places = np.unique(labels, return_inverse=True)
        places = places.reshape(labels.shape)
        return (found[1:], places) if found[0] == 0 else (found, places + 1)
    # A table is many times faster than sorting all voxels.
    here = np.bincount(labels.reshape(-1), minlength=1) > 0
    here[0] = False
    table = (np.cumsum(here) * here).astype(np.uint16)
    return np.flatnonzero(here), table[labels]


def _looks_like_an_image(labels: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether most neighbours differ, as grey values do and labels do not."""
    if len(values) < 32:
        return False
    here, there = labels[..., :-1], labels[..., 1:]
    either = (here > 0) | (there > 0)
    return float(np.mean((here != there)[either])) > _SOME_CHANGES


def _cubic(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The mask on cubic voxels of the same volume."""
    if spacing.max() <= _NEARLY_ISOTROPIC * spacing.min():
        return mask
    step = float(np.prod(spacing)) ** (1 / 3)
    for axis, size in enumerate(spacing):
        count = max(1, round(mask.shape[axis] * size / step))
        places = ((np.arange(count) + 0.5) * mask.shape[axis] / count).astype(np.intp)
        mask = np.take(mask, places, axis)
    return mask


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
