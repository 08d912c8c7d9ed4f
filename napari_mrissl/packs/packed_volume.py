"""`PackedVolume`: a volume whose voxels are read in chunks, when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry.affines import as_affine
from napari_mrissl.packs import shards
from napari_mrissl.packs.chunks import Chunks
from napari_mrissl.packs.manifest import PackEntry
from napari_mrissl.packs.places import Place
from napari_mrissl.volumes.budget import check_voxels
from napari_mrissl.volumes.volume import StoredGrid, Volume

_USUAL = (0.5, 99.5)


class PackedVolume(Volume):
    """A `Volume` of a pack; safe to use from several threads, within one process.

    `region` reads the chunks of a box that were not read yet; `data` reads all of them. What
    was read stays in memory for as long as the volume does.

    Parameters
    ----------
    entry
        What the manifest says of it.
    place
        Where the pack lies.

    Raises
    ------
    MrisslError
        If its voxels would not fit the memory, its shard is larger than one can be, or its
        affine is none.
    """

    entry: PackEntry
    chunks: Chunks

    def __init__(self, entry: PackEntry, place: Place) -> None:
        check_voxels(entry.nbytes, Path(entry.name))
        if entry.bytes > shards.largest_shard(entry):
            raise shards.damaged(entry, "its shard is said to be larger than one can be")
        affine = as_affine(entry.matrix)
        # The fields of a frozen dataclass, but for the voxels.
        self.__dict__.update(
            affine=affine,
            stored=StoredGrid(entry.shape, affine),
            slope=entry.slope,
            intercept=entry.intercept,
            name=entry.name,
            file_sha256=None,
            frames=1,
            frame=0,
            notes=(),
            disagreements=(),
            source=None,
            identity=entry.identity,
            entry=entry,
            chunks=Chunks(entry, place),
        )

    def __repr__(self) -> str:
        return f"PackedVolume({self.name!r}, shape={self.shape})"

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a packed volume stays in its process: open the pack in the other one")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (S, A, R)."""
        return self.entry.shape

    @property
    def held_bytes(self) -> int:
        """The most memory that it may come to take."""
        return self.entry.nbytes

    @property
    def data(self) -> NDArray[Any]:
        """All voxels (S, A, R); those that are missing are read now.

        Raises
        ------
        MrisslError
            If the shard cannot be read or is damaged.
        """
        return self.chunks.whole()

    def region(self, lower: ArrayLike, upper: ArrayLike) -> NDArray[Any]:
        """See `Volume.region`; voxels of chunks that are not needed may be zeros.

        Raises
        ------
        MrisslError
            If the shard cannot be read or is damaged.
        """
        # Interpolation takes the voxel below a place, at most the last but one, and the next.
        last = np.maximum(np.array(self.shape) - 2, 0)
        first = np.clip(np.floor(lower), 0, last).astype(int)
        end = np.minimum(np.clip(np.floor(upper), 0, last).astype(int) + 2, self.shape)
        s, a, r = first.tolist()
        s_end, a_end, r_end = end.tolist()
        return self.chunks.between((s, a, r), (s_end, a_end, r_end))

    def value_range(self, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
        """As `Volume.value_range`; the usual percentiles are known from the manifest."""
        if (low, high) == _USUAL:
            return self.entry.window
        return super().value_range(low, high)
