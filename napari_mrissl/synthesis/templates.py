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
from napari_mrissl.synthesis.label_maps import (
    label_map_files,
    numbered_labels,
    read_label_map,
    sizes,
    stored_labels,
    whole_numbers,
)
from napari_mrissl.synthesis.shapes import procedural_masks

MEMORY_LIMIT = 1 << 30
"""Bytes that a pool may take unless told otherwise: 1 GiB, about 30,000 organs."""

_NEARLY_ISOTROPIC = 1.01

Progress = Callable[[float], object]


@dataclass(frozen=True, eq=False)
class Templates:
    """Binary shapes, each cut to its box, one bit a voxel.

    A pool never takes more than its ``limit``, 1 GiB unless told otherwise. While it is
    made, the map that is just being read comes on top: its own voxels, and 2 bytes a voxel
    (6 for floating point numbers) of at most 512 million.

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
        cls,
        maps: Iterable[tuple[NDArray[Any], ArrayLike]],
        *,
        limit: int = MEMORY_LIMIT,
        names: Sequence[str] = (),
    ) -> Templates:
        """Every label but 0 of every label map, e.g. of the viewer's Labels layers.

        Parameters
        ----------
        maps
            Pairs of a 3-D label map and its voxel size along each axis; a map whose voxels
            are no cubes is resampled (nearest) to cubes of the same volume.
        limit
            Bytes that the pool may take.
        names
            What to call the maps in an error; numbered if left out.

        Raises
        ------
        MrisslError
            If a map is no 3-D label map, if all are empty, or if the pool is too large.
        """
        pool = _Pool(limit)
        for number, (labels, spacing) in enumerate(maps):
            name = names[number] if names else f"label map {number + 1}"
            pool.add_map(labels, spacing, name)
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
                volume = read_label_map(path)
                values = stored_labels(volume)
                if len(paths) == 1:
                    pool.add_map(values, volume.spacing, path.name)
                    continue
                mask = whole_numbers(values, path.name) > 0
                if merged is None:
                    merged = mask
                elif merged.shape == mask.shape:
                    merged |= mask
                else:
                    raise MrisslError(
                        f"a size of {sizes(mask.shape)} voxels",
                        where=path,
                        expected=f"{sizes(merged.shape)} as the other parts of the structure",
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
        # Grows in place: parts to be joined in the end would be there twice.
        self._bits = bytearray()
        self._starts: list[int] = []
        self._extents: list[tuple[int, ...]] = []

    def add(self, mask: NDArray[np.bool_]) -> None:
        box = ndimage.find_objects(mask.view(np.uint8) if mask.dtype == bool else mask)
        if not box or box[0] is None:
            return
        mask = mask[box[0]]
        size = mask.shape[0] * mask.shape[1] * -(-mask.shape[2] // 8)
        if len(self._bits) + size > self._limit:
            raise MrisslError(
                f"templates of more than {self._limit >> 20} MiB",
                where=f"template {len(self._starts) + 1}",
                remedy="take fewer label maps or allow more memory",
            )
        self._starts.append(len(self._bits))
        self._bits += np.packbits(mask, axis=2, bitorder="little").data.cast("B")
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
        if not self._starts:
            raise MrisslError(
                "no labels", where="templates", expected="label maps with labels other than 0"
            )
        bits = np.frombuffer(self._bits, np.uint8)
        return Templates(bits, np.array(self._starts, np.int64), np.array(self._extents, np.int64))


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
