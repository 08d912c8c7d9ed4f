"""Array-likes that compute what napari asks for: scaled voxels, oblique scans, oblique labels.

napari asks for ``data[9, :, :]``, ``data[9:10, :, :]`` (image layers project by default),
single cells while painting, and for everything in 3D.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_mrissl.slicing import render_grid, render_labels
from napari_mrissl.ui.layers.world import to_napari
from napari_mrissl.volumes.volume import Volume

MAX_CELLS = 2**27
"""Cells of a display grid: 512 MiB of float32, asked for in 3D only."""

Ranges = tuple[range, range, range]


@dataclass(frozen=True, slots=True, eq=False)
class WorldGrid:
    """A grid along the world axes (S, A, R) with cubic cells that covers a volume.

    Attributes
    ----------
    shape
        Cells along (S, A, R).
    step
        Side length of a cell, mm.
    origin
        World RAS mm of the centre of cell (0, 0, 0).
    """

    shape: tuple[int, int, int]
    step: float
    origin: NDArray[np.float64]

    @classmethod
    def around(
        cls, volume: Volume, *, every_voxel: bool = False, max_cells: int = MAX_CELLS
    ) -> WorldGrid:
        """The grid of the volume's smallest voxel side, or coarser to stay in ``max_cells``.

        With ``every_voxel`` it is so fine that every voxel holds a cell's centre. At the
        voxel's own size up to a fifth of the voxels would be nearest to no cell: painting
        left holes that nobody saw.
        """
        extent = volume.extent[::-1]
        step = float(volume.spacing.min())
        if every_voxel:
            # A cube of side s holds a point of any lattice of step s / sqrt(3).
            step = min(step, float(np.prod(volume.spacing)) ** (1 / 3) / 3**0.5)
        while True:
            shape = np.maximum(1, np.ceil(extent / step - 1e-6).astype(int))
            if np.prod(shape, dtype=np.float64) <= max_cells:
                break
            step *= 1.05
        s, a, r = (int(n) for n in shape)
        return cls((s, a, r), step, volume.center - step * (shape[::-1] - 1) / 2)

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) from cell index (s, a, r) to world RAS mm."""
        affine = np.zeros((4, 4))
        affine[2, 0] = affine[1, 1] = affine[0, 2] = self.step
        affine[:3, 3] = self.origin
        affine[3, 3] = 1
        return affine

    @property
    def placement(self) -> dict[str, Any]:
        """``scale`` and ``translate`` of the napari layer."""
        return {"scale": (self.step,) * 3, "translate": tuple(to_napari(self.origin))}


class LazyGrid(ABC):
    """A 3-D array-like whose blocks are computed on request; numpy's indexing rules hold."""

    ndim = 3

    def __init__(self, shape: tuple[int, int, int], dtype: DTypeLike) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)

    @abstractmethod
    def block(self, ranges: Ranges) -> NDArray[Any]:
        """The cells (len, len, len) at these indices along each axis."""

    @property
    def size(self) -> int:
        """Number of cells."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array, once computed."""
        return self.size * self.dtype.itemsize

    def astype(self, dtype: DTypeLike) -> NDArray[Any]:
        """All cells, computed, in another dtype."""
        return np.asarray(self).astype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> NDArray[Any]:
        cells = self.block((range(self.shape[0]), range(self.shape[1]), range(self.shape[2])))
        return cells if dtype is None else cells.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        ranges, within = self._locate(key)
        return self.block(ranges)[within]

    def _locate(self, key: Any) -> tuple[Ranges, tuple[Any, ...]]:
        """The smallest box of cells that holds a key, and the key within that box."""
        ranges, within = [], []
        for part, length in zip(_expanded(key, self.ndim), self.shape, strict=True):
            if isinstance(part, slice):
                ranges.append(range(length)[part])
                within.append(slice(None))
            elif np.ndim(part) == 0:
                cell = range(length)[int(part)]
                ranges.append(range(cell, cell + 1))
                within.append(0)
            else:
                indices = np.asarray(part)
                if indices.size and not -length <= indices.min() <= indices.max() < length:
                    raise IndexError(f"index out of bounds for axis with size {length}")
                indices = np.where(indices < 0, indices + length, indices).astype(np.intp)
                first = int(indices.min()) if indices.size else 0
                ranges.append(range(first, int(indices.max()) + 1 if indices.size else 0))
                within.append(indices - first)
        return (ranges[0], ranges[1], ranges[2]), tuple(within)


class ScaledVoxels(LazyGrid):
    """Voxels of an axis-aligned volume in value units: slope * stored number + intercept."""

    def __init__(self, volume: Volume) -> None:
        super().__init__(volume.shape, np.float32)
        self.volume = volume

    def block(self, ranges: Ranges) -> NDArray[np.float32]:
        """The values of these voxels."""
        stored = self.volume.data[tuple(_as_slice(r) for r in ranges)]
        # A signalling NaN, which a damaged file may hold, is said at the first sum with it.
        with np.errstate(invalid="ignore"):
            values = stored * np.float64(self.volume.slope) + self.volume.intercept
        return _single(values)

    def __deepcopy__(self, memo: dict[int, Any]) -> ScaledVoxels:
        return self


class RenderedImage(LazyGrid):
    """An oblique volume on a world-aligned grid, trilinear, in value units.

    Cells outside the scan show its lowest value, so that they do not stand out.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.grid = WorldGrid.around(volume)
        super().__init__(self.grid.shape, np.float32)
        self._outside = _single(np.float64(volume.value_range(0, 100)[0]))
        self._whole: weakref.ref[NDArray[np.float32]] | None = None
        self._back: tuple[int, ...] = (0, 1, 2)

    def block(self, ranges: Ranges) -> NDArray[np.float32]:
        """These cells, rendered; the whole grid is kept for as long as napari shows it."""
        affine, shape, back = _thinnest_first(self.grid.affine, ranges)
        if 0 in shape:
            return np.empty([len(r) for r in ranges], np.float32)
        all_cells = all(r == range(n) for r, n in zip(ranges, self.shape, strict=True))
        whole = self._whole() if self._whole is not None else None
        if whole is not None:
            found = whole.transpose(self._back)
            # A view of a part would keep everything alive after 3D is left.
            return found if all_cells else found[tuple(_as_slice(r) for r in ranges)].copy()
        # Our own array: views of it keep it alive, so the weak reference lasts as long.
        values = np.empty(shape, np.float32)
        valid = render_grid(self.volume, affine, shape, out=values).valid
        values[~valid] = self._outside
        if all_cells:
            self._whole, self._back = weakref.ref(values), back
        return values.transpose(back)

    def __deepcopy__(self, memo: dict[int, Any]) -> RenderedImage:
        return self


class RenderedLabels(LazyGrid):
    """Labels on an oblique volume's own grid, shown and painted on a world-aligned one.

    The truth is `labels`; a cell shows the label of its nearest voxel, and a cell that
    is set to another label sets its nearest voxel.
    """

    def __init__(self, volume: Volume, labels: NDArray[Any]) -> None:
        self.volume = volume
        self.labels = labels
        self.grid = WorldGrid.around(volume, every_voxel=True)
        super().__init__(self.grid.shape, labels.dtype)

    def block(self, ranges: Ranges) -> NDArray[Any]:
        """The labels of these cells; 0 outside the scan."""
        return self._nearest(self.labels, ranges)

    def __setitem__(self, key: Any, value: Any) -> None:
        ranges, within = self._locate(key)
        current = np.asarray(self.block(ranges)[within])
        wanted = np.broadcast_to(np.asarray(value).astype(self.dtype), current.shape)
        # Only cells that change are written: napari writes whole boxes back, and an
        # unchanged cell must not undo what a neighbour did to the voxel they share.
        changed = current != wanted
        if not changed.any():
            return
        indices = []
        for axis, length in enumerate(self.labels.shape):
            # Rendered like the labels, so that reading and writing agree on every tie;
            # broadcasting costs no memory.
            numbers = np.arange(1, length + 1, dtype=np.int32)
            numbers = numbers.reshape([-1 if k == axis else 1 for k in range(3)])
            numbers = np.broadcast_to(numbers, self.labels.shape)
            indices.append(np.asarray(self._nearest(numbers, ranges)[within])[changed] - 1)
        inside = indices[0] >= 0
        self.labels[tuple(i[inside] for i in indices)] = wanted[changed][inside]

    def __deepcopy__(self, memo: dict[int, Any]) -> RenderedLabels:
        return RenderedLabels(self.volume, self.labels.copy())

    def _nearest(self, labels: NDArray[Any], ranges: Ranges) -> NDArray[Any]:
        affine, shape, back = _thinnest_first(self.grid.affine, ranges)
        if 0 in shape:
            return np.empty([len(r) for r in ranges], labels.dtype)
        return render_labels(labels, self.volume.affine, affine, shape).transpose(back)


def _single(values: Any) -> Any:
    """As float32; what a damaged scaling puts beyond its range becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def _thinnest_first(
    affine: NDArray[np.float64], ranges: Ranges
) -> tuple[NDArray[np.float64], tuple[int, int, int], tuple[int, ...]]:
    """Affine and shape of a block with its shortest axis first, and the way back.

    The renderer works plane by plane: one plane of many pixels beats many of one row.
    """
    moved = affine.copy()
    moved[:3, :3] *= [r.step for r in ranges]
    moved[:3, 3] += affine[:3, :3] @ [r.start for r in ranges]
    order = [int(k) for k in np.argsort([len(r) for r in ranges], kind="stable")]
    shape = (len(ranges[order[0]]), len(ranges[order[1]]), len(ranges[order[2]]))
    return moved[:, [*order, 3]], shape, tuple(int(k) for k in np.argsort(order))


def _as_slice(cells: range) -> slice:
    stop = cells.stop if cells.stop >= 0 else None
    return slice(cells.start, stop, cells.step)


def _expanded(key: Any, ndim: int) -> tuple[Any, ...]:
    """One part per axis: masks as indices, ``...`` and missing axes as full slices."""
    if isinstance(key, np.ndarray) and key.dtype == bool and key.ndim == ndim:
        return key.nonzero()
    parts = key if isinstance(key, tuple) else (key,)
    if any(p is None or (np.asarray(p).dtype == bool if np.ndim(p) else False) for p in parts):
        raise IndexError("only integers, slices, integer arrays and one 3-D mask are indices")
    dots = [n for n, p in enumerate(parts) if p is Ellipsis]
    missing = (slice(None),) * (ndim - len(parts) + len(dots))
    at = dots[0] if dots else len(parts)
    full = (*parts[:at], *missing, *parts[at + len(dots[:1]) :])
    if len(full) != ndim:
        raise IndexError(f"{len(parts)} indices for a {ndim}-D array")
    return full
