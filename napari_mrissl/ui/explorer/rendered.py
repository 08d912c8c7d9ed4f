"""Similarity and colours of an oblique scan on a world-aligned grid, computed when asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.features.similarity import Compared
from napari_mrissl.ui.layers.lazy import Ranges, RenderedImage
from napari_mrissl.ui.segmenter.planes import Plane, plane_voxels
from napari_mrissl.volumes import Volume

_OUTSIDE = -1.0


class LiveSimilarity(RenderedImage):
    """Cosines with a feature vector; the nearest voxels' own where they are not known yet.

    Attributes
    ----------
    live
        Features and the vector that they are compared to, until the whole volume's cosines
        are there; None then.
    """

    live: tuple[Compared, NDArray[np.float32]] | None = None

    def block(self, ranges: Ranges) -> NDArray[np.float32]:
        """See `RenderedImage.block`."""
        everything = all(r == range(n) for r, n in zip(ranges, self.shape, strict=True))
        if self.live is None or everything:
            return super().block(ranges)
        compared, query = self.live
        affine = self.grid.affine
        moved = affine.copy()
        moved[:3, :3] *= [r.step for r in ranges]
        moved[:3, 3] += affine[:3, :3] @ [r.start for r in ranges]
        shape = (len(ranges[0]), len(ranges[1]), len(ranges[2]))
        cosines = compared.voxels(query, plane_voxels(self.volume, Plane(moved, shape)))
        return np.where(np.isnan(cosines), np.float32(_OUTSIDE), cosines)


class RenderedColours:
    """Red, green and blue of an oblique scan as an array (S, A, R, 3) along the world's axes.

    Parameters
    ----------
    volume
        The scan.
    colours
        (S, A, R, 3) uint8 on its grid.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, volume: Volume, colours: NDArray[np.uint8]) -> None:
        self._parts = []
        for number in range(3):
            data = np.ascontiguousarray(colours[..., number])
            data.flags.writeable = False
            self._parts.append(
                RenderedImage(replace(volume, data=data, slope=1.0, intercept=0.0, notes=()))
            )
        self.grid = self._parts[0].grid
        self.shape = (*self._parts[0].shape, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        cells = self[:, :, :]
        return cells if dtype is None else cells.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        parts = key if isinstance(key, tuple) else (key,)
        which: Any = slice(None)
        if len(parts) == self.ndim and Ellipsis not in parts:
            parts, which = parts[:3], parts[3]
        cells = [np.rint(part[parts]).astype(np.uint8) for part in self._parts]
        return np.stack(cells, axis=-1)[..., which]

    def __deepcopy__(self, memo: dict[int, Any]) -> RenderedColours:
        return self
