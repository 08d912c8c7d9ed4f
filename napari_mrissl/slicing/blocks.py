"""Voxels rearranged into small blocks: twice as fast for many slices of any orientation.

In C order the eight neighbours of a point lie on four distant cache lines, and so do
those of the next point in most directions. In blocks of 4 x 4 x 4 voxels, sixteen by
sixteen by sixteen voxels together, most of them share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.volumes.volume import Volume

_SMALL, _LARGE = 4, 16


@dataclass(frozen=True, eq=False)
class BlockedVolume:
    """A volume with a copy of its voxels, in their stored type, arranged in blocks.

    `napari_mrissl.slicing.render` takes it in place of the volume. The copy takes as much
    memory as the volume (its sides rounded up to 16) and pays for itself after a few
    hundred slices: for training, not for a viewer.

    Attributes
    ----------
    volume
        The volume itself.
    flat
        The rearranged voxels, read-only.
    places
        Three int64 arrays: voxel (s, a, r) is ``flat[places[0][s] + places[1][a] +
        places[2][r]]``.
    """

    volume: Volume
    flat: NDArray[Any]
    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, volume: Volume) -> BlockedVolume:
        """Rearrange the voxels of a volume; takes about as long as copying it twice."""
        counts = [-(-side // _LARGE) for side in volume.shape]
        below = (_LARGE // _SMALL, _SMALL)
        padded = np.zeros([n * _LARGE for n in counts], volume.data.dtype)
        padded[tuple(slice(side) for side in volume.shape)] = volume.data
        split = padded.reshape([part for n in counts for part in (n, *below)])
        # Axes (s, a, r) of large blocks, then of small ones, then of voxels.
        flat = split.transpose(0, 3, 6, 1, 4, 7, 2, 5, 8).reshape(-1)
        flat.flags.writeable = False
        steps = ((counts[1] * counts[2], 16, 16), (counts[2], 4, 4), (1, 1, 1))
        s, a, r = (_places(n, *step) for n, step in zip(volume.shape, steps, strict=True))
        return cls(volume, flat, (s, a, r))


def _places(side: int, large: int, small: int, voxel: int) -> NDArray[np.int64]:
    """Share of one axis in the place of a voxel; steps in blocks and in voxels."""
    index = np.arange(side, dtype=np.int64)
    place = (
        index // _LARGE * large * _LARGE**3
        + index // _SMALL % (_LARGE // _SMALL) * small * _SMALL**3
        + index % _SMALL * voxel
    )
    place.flags.writeable = False
    return place
