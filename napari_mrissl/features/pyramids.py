"""Maps of a volume at their own resolutions, read as if they were channels on its voxels.

All maps of a decoder side by side on the voxels of a scan are many times the scan: here they
are brought there only as a few voxels, or mixed into few channels before.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from napari_mrissl.features.patch_grid import PatchGrid
from napari_mrissl.features.source import source_for
from napari_mrissl.volumes import Volume

Image = NDArray[np.float32]

_KEPT_BYTES = 1 << 30
_SLAB_BYTES = 1 << 26


class Pyramid:
    """Maps of a volume.

    Parameters
    ----------
    grid
        Over the volume.
    maps
        (C, z, y, x) each, on the grid or on coarser cells of it.
    """

    def __init__(self, grid: PatchGrid, maps: Sequence[Image]) -> None:
        self.grid = grid
        self.maps = tuple(maps)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(one.nbytes for one in self.maps)

    def rows(self, chosen: NDArray[np.integer]) -> Image:
        """(n, C) all channels at voxels, given by their place in the flattened volume."""
        voxels = np.unravel_index(chosen, self.grid.volume.shape)
        parts = []
        for one in self.maps:
            cells = self.grid.cells(self.grid.shape[0] // one.shape[1])
            places = [axis[at] for axis, at in zip(cells, voxels, strict=True)]
            below = [np.floor(place).astype(np.intp) for place in places]
            found = np.zeros((len(one), len(chosen)), np.float32)
            for ends in itertools.product((0, 1), repeat=3):
                share = np.ones(len(chosen))
                corner = []
                for end, place, first, n in zip(ends, places, below, one.shape[1:], strict=True):
                    share *= 1 - np.abs(place - first - end)
                    corner.append(np.minimum(first + end, n - 1))
                found += share.astype(np.float32) * one[:, corner[0], corner[1], corner[2]]
            parts.append(found)
        return np.concatenate(parts).T

    def mixed(self, matrix: NDArray[np.floating]) -> Iterator[tuple[slice, Image]]:
        """Slabs of the volume, and in them (K, s, A, R) what a matrix (K, C) makes of the channels.

        The matrix goes first: interpolation is the same for all channels.
        """
        width = len(matrix)
        ends = np.cumsum([0, *(len(one) for one in self.maps)])
        coarse = [
            np.tensordot(matrix[:, a:b].astype(np.float32), one, (1, 0))
            for one, (a, b) in zip(self.maps, itertools.pairwise(ends), strict=True)
        ]
        mixes = [self.grid.mixes(self.grid.shape[0] // one.shape[1]) for one in self.maps]
        deep, tall, wide = self.grid.volume.shape
        step = max(1, _SLAB_BYTES // (4 * width * tall * wide))
        for first in range(0, deep, step):
            slab = slice(first, min(first + step, deep))
            out = np.zeros((width, slab.stop - slab.start, tall, wide), np.float32)
            for one, (z, y, x) in zip(coarse, mixes, strict=True):
                for channel, cells in enumerate(one):
                    fine = np.matmul(y, np.tensordot(z[slab], cells, (1, 0)))
                    out[channel] += np.matmul(fine, x.T)
            yield slab, out


@runtime_checkable
class GivesPyramids(Protocol):
    """A source of features that are linear in some maps of their own resolutions."""

    def pyramid(self, volume: Volume) -> Pyramid | None:
        """The maps; None where these settings' features are not linear in them."""
        ...


_lock = Lock()
_kept: OrderedDict[tuple[str, str], Pyramid] = OrderedDict()


def pyramid_of(volume: Volume, settings: BaseModel) -> Pyramid | None:
    """The maps behind features, computed now or kept from before; None where there are none.

    Channels are those of `features.compute`, which needs the disk for all of them.
    """
    source = source_for(settings)
    if not isinstance(source, GivesPyramids):
        return None
    key = (f"{volume.identity} {volume.slope} {volume.intercept}", repr(source.settings))
    with _lock:
        found = _kept.get(key)
    if found is None:
        found = source.pyramid(volume)
    if found is not None:
        with _lock:
            _kept[key] = found
            _kept.move_to_end(key)
            while len(_kept) > 1 and sum(one.nbytes for one in _kept.values()) > _KEPT_BYTES:
                _kept.popitem(last=False)
    return found
