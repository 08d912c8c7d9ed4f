"""How similar the features of one voxel are to those of all others: cosine, best match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.slicing.foreground import otsu_threshold
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

Comparison = Literal["plain", "standardised"]
"""Features as they are, or each channel less its mean and divided by its spread."""

_AT_ONCE = 512
"""Blocks between two looks at whether to stop: about a million voxels."""

_SAMPLED = 60_000
_LEAST_SPREAD = 1e-6


class Match(NamedTuple):
    """The voxel most like the one that was asked for.

    Attributes
    ----------
    voxel
        Index (s, a, r).
    similarity
        Cosine, -1 to 1.
    """

    voxel: tuple[int, int, int]
    similarity: float


@dataclass(frozen=True, eq=False)
class Compared:
    """Features of one volume, made ready for comparisons; they are not copied.

    A feature vector f counts as (f - offset) * weight. One over its length is kept, so that
    a comparison with all voxels reads the features once.

    Attributes
    ----------
    data
        (C, S, A, R) float32, C-contiguous, possibly memory-mapped.
    offset, weight
        (C,) float32.
    inverse
        (S, A, R) float32: one over the length; 0 where the length is 0.
    """

    data: NDArray[np.float32]
    offset: NDArray[np.float32]
    weight: NDArray[np.float32]
    inverse: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        data: NDArray[np.float32],
        volume: Volume,
        comparison: Comparison = "plain",
        cancelled: IsCancelled | None = None,
    ) -> Compared:
        """Prepare features (C, S, A, R) of a volume; reads them once.

        Standardised are channels by their mean and standard deviation over a sample of the
        volume's foreground, so that no channel counts for more by its unit alone.

        Raises
        ------
        MrisslError
            If features are not on the volume's grid or not finite.
        Cancelled
            If `cancelled` answered True.
        """
        channels = len(data)
        if data.shape[1:] != volume.shape or channels == 0:
            raise MrisslError(
                f"features of shape {data.shape}",
                where=volume.name,
                expected=f"channels on the volume's grid {volume.shape}",
            )
        data = np.ascontiguousarray(data, np.float32).view(np.ndarray)
        offset, weight = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        if comparison == "standardised":
            chosen = channels_at(data, foreground_sample(volume))
            offset = chosen.mean(axis=1, dtype=np.float64).astype(np.float32)
            spread = chosen.std(axis=1, dtype=np.float64)
            # A channel that is the same everywhere says nothing.
            weight = np.where(spread > _LEAST_SPREAD, 1 / np.maximum(spread, _LEAST_SPREAD), 0)
        inverse = np.empty(data.shape[1:], np.float32)
        made = cls(data, offset, weight.astype(np.float32), inverse)
        flat, lengths = made._flat, inverse.reshape(-1)
        from napari_mrissl.features.similarity_kernels import inverse_lengths

        _over_blocks(
            lambda first, last: inverse_lengths(
                flat, made.weight, made.offset, lengths, first, last
            ),
            flat.shape[1],
            cancelled,
        )
        if not np.isfinite(lengths).all():
            raise MrisslError("features that are not finite, or beyond all use", where=volume.name)
        return made

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the volume."""
        s, a, r = self.inverse.shape
        return s, a, r

    @property
    def _flat(self) -> NDArray[np.float32]:
        return self.data.reshape(len(self.data), -1)

    def at(self, voxel: ArrayLike) -> NDArray[np.float32]:
        """The direction (C,) of a voxel's features, of length 1; zeros where there is none.

        Raises
        ------
        MrisslError
            If the voxel (s, a, r) is outside.
        """
        s, a, r = (int(n) for n in np.asarray(voxel))
        if not all(0 <= n < side for n, side in zip((s, a, r), self.shape, strict=True)):
            raise MrisslError(f"voxel {(s, a, r)}", expected=f"one within {self.shape}")
        vector = (self.data[:, s, a, r] - self.offset) * self.weight
        return np.asarray(vector * self.inverse[s, a, r], np.float32)

    def box(
        self,
        query: NDArray[np.float32],
        ranges: tuple[range, range, range],
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Cosines (len, len, len) float32 of a box of voxels, as a plane that is in view."""
        from napari_mrissl.features.similarity_kernels import similarity_box

        shape = tuple(len(one) for one in ranges)
        cosines = np.empty(shape, np.float32) if out is None else out
        weights, shift = self._sums(query)
        corner = np.array([one.start for one in ranges], np.int64)
        over_rows(
            lambda first, last: similarity_box(
                self.data, weights, shift, self.inverse, corner, cosines, first, last
            ),
            shape[0] * shape[1],
            cosines.size,
        )
        return cosines

    def voxels(self, query: NDArray[np.float32], numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosines of voxels by their flat numbers, any shape; NaN for negative numbers."""
        from napari_mrissl.features.similarity_kernels import similarity_at

        weights, shift = self._sums(query)
        chosen = np.ascontiguousarray(numbers, np.int64).reshape(-1)
        cosines = np.empty(chosen.size, np.float32)
        flat, lengths = self._flat, self.inverse.reshape(-1)
        over_rows(
            lambda first, last: similarity_at(
                flat, weights, shift, lengths, chosen, cosines, first, last
            ),
            chosen.size,
            chosen.size,
        )
        return cosines.reshape(numbers.shape)

    def whole(
        self,
        query: NDArray[np.float32],
        out: NDArray[np.float32] | None = None,
        cancelled: IsCancelled | None = None,
    ) -> tuple[NDArray[np.float32], Match]:
        """Cosines (S, A, R) of all voxels, and the best match; asks to stop now and then.

        Raises
        ------
        Cancelled
            If `cancelled` answered True; `out` is then half filled.
        """
        from napari_mrissl.features.similarity_kernels import BLOCK, similarity

        cosines = np.empty(self.shape, np.float32) if out is None else out
        weights, shift = self._sums(query)
        flat, lengths, values = self._flat, self.inverse.reshape(-1), cosines.reshape(-1)
        blocks = -(-values.size // BLOCK)
        best, where = np.empty(blocks, np.float32), np.empty(blocks, np.int64)
        _over_blocks(
            lambda first, last: similarity(
                flat, weights, shift, lengths, values, best, where, first, last
            ),
            values.size,
            cancelled,
        )
        top = int(best.argmax())
        s, a, r = (int(n) for n in np.unravel_index(where[top], self.shape))
        return cosines, Match((s, a, r), float(best[top]))

    def lengths(self) -> NDArray[np.float32]:
        """The length (S, A, R) of every voxel's features."""
        return np.divide(1, self.inverse, out=np.zeros_like(self.inverse), where=self.inverse > 0)

    def _sums(self, query: NDArray[np.float32]) -> tuple[NDArray[np.float32], np.float32]:
        """Weights of the channels, and what is to be taken off their sum."""
        weights = np.asarray(query, np.float32) * self.weight
        return weights, np.float32(np.dot(weights.astype(np.float64), self.offset))


def foreground_sample(volume: Volume, count: int = _SAMPLED) -> NDArray[np.int64]:
    """Flat numbers of about ``count`` voxels of a volume's foreground, on an even grid.

    Foreground is what lies above Otsu's threshold; where that leaves fewer than a hundred
    voxels, as in a volume of one value, all voxels of the grid count.
    """
    total = volume.data.size
    # About a third of a scan is foreground.
    step = max(1, round((total / (3 * count)) ** (1 / 3)))
    axes = [np.arange(min(step // 2, n - 1), n, step) for n in volume.shape]
    numbers = np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), volume.shape).reshape(-1)
    values = volume.data[np.ix_(*axes)].astype(np.float64).reshape(-1) * volume.slope
    values = np.where(np.isfinite(values), values, np.nanmin(values, initial=0.0))
    low, high = np.percentile(values, (0.5, 99.5))
    clipped = np.clip(values, low, high)
    if low < high:
        chosen = numbers[clipped > otsu_threshold(clipped)]
        if len(chosen) >= 100:
            numbers = chosen
    return np.asarray(numbers, np.int64)


def channels_at(data: NDArray[np.float32], numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """The features (C, N) of voxels by their flat numbers."""
    flat = data.reshape(len(data), -1)
    return np.stack([np.take(channel, numbers) for channel in flat])


def prepare() -> None:
    """Compile what a click needs, or load it from the cache, before the first click."""
    rng = np.random.default_rng(0)
    data = rng.random((2, 4, 4, 4), np.float32)
    data.flags.writeable = False
    volume = Volume.from_stored(np.asarray(255 * data[0], np.uint8), np.eye(4), name="small")
    made = Compared.of(data, volume)
    query = made.at((1, 1, 1))
    made.box(query, (range(1, 2), range(4), range(4)))
    made.voxels(query, np.arange(8, dtype=np.int64))
    made.whole(query)


def _over_blocks(
    run: Callable[[int, int], object], voxels: int, cancelled: IsCancelled | None
) -> None:
    from napari_mrissl.features.similarity_kernels import BLOCK

    blocks = -(-voxels // BLOCK)
    for start in range(0, blocks, _AT_ONCE):
        stop_if(cancelled)
        stop = min(start + _AT_ONCE, blocks)

        def part(first: int, last: int, start: int = start) -> None:
            run(start + first, start + last)

        over_rows(part, stop - start, (stop - start) * BLOCK)
