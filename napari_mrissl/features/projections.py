"""Many channels as three colours: principal components on one basis for several volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.features.similarity import channels_at, foreground_sample
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

COLOURS = 3
_SHOWN = (1.0, 99.0)
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Projection:
    """A basis of three directions among channels, and the range that colours cover.

    Attributes
    ----------
    mean
        (C,) taken off first.
    weight
        (C,) what each channel is multiplied by then: one, or one over its spread.
    axes
        (3, C) directions of length 1, at right angles; zeros where there are fewer channels.
        The entry largest in size is positive.
    low, high
        (3,) what becomes 0 and 1.
    explained
        (3,) share of the variance.
    """

    mean: NDArray[np.float64]
    weight: NDArray[np.float64]
    axes: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    explained: NDArray[np.float64]

    def coordinates(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Features (C, N) along the three directions (3, N), not clipped."""
        centred = (features - self.mean[:, None]) * self.weight[:, None]
        return np.asarray(self.axes @ centred, np.float64)

    def colours(
        self, data: NDArray[np.float32], cancelled: IsCancelled | None = None
    ) -> NDArray[np.uint8]:
        """Features (C, S, A, R) as red, green and blue (S, A, R, 3), read once.

        Raises
        ------
        MrisslError
            If there are other channels than the basis was fitted on.
        Cancelled
            If `cancelled` answered True.
        """
        from napari_mrissl.features.similarity_kernels import BLOCK, colours

        if len(data) != len(self.mean):
            raise MrisslError(
                f"{len(data)} channels", where="colours", expected=f"{len(self.mean)}, as fitted"
            )
        scale = 255 / np.maximum(self.high - self.low, 1e-12)
        rows = self.axes * self.weight
        weights = (rows * scale[:, None]).astype(np.float32)
        shifts = ((rows @ self.mean + self.low) * scale).astype(np.float32)
        flat = np.ascontiguousarray(data, np.float32).view(np.ndarray).reshape(len(data), -1)
        out = np.empty((flat.shape[1], COLOURS), np.uint8)
        blocks, slab = -(-len(out) // BLOCK), 512
        for start in range(0, blocks, slab):
            stop_if(cancelled)
            stop = min(start + slab, blocks)

            def part(first: int, last: int, start: int = start) -> None:
                colours(flat, weights, shifts, out, start + first, start + last)

            over_rows(part, stop - start, (stop - start) * BLOCK)
        return out.reshape(*data.shape[1:], COLOURS)


def fit_projection(
    volumes: Sequence[tuple[Volume, NDArray[np.float32]]],
    *,
    standardised: bool = True,
    cancelled: IsCancelled | None = None,
) -> Projection:
    """Principal components of several volumes together, so that equal colours mean the same.

    Each volume gives as many sampled voxels of its foreground as the others, whatever its
    size. Colours go from the 1st to the 99th percentile of the sample.

    Parameters
    ----------
    volumes
        Volumes with their features (C, S, A, R), of the same channels.
    standardised
        Whether channels are divided by their spread over all the samples.
    cancelled
        Asked between volumes.

    Raises
    ------
    MrisslError
        If there is no volume, or channels differ in number.
    """
    if not volumes:
        raise MrisslError("no features", where="colours", expected="at least one volume")
    counts = {len(data) for _, data in volumes}
    if len(counts) > 1:
        raise MrisslError(
            f"volumes with {' and '.join(str(n) for n in sorted(counts))} channels",
            where="colours",
            expected="the same channels in all",
        )
    samples = []
    for volume, data in volumes:
        stop_if(cancelled)
        samples.append(channels_at(data, foreground_sample(volume)).astype(np.float64))
    least = min(one.shape[1] for one in samples)
    # Evenly thinned out to one size: a random choice would move the colours from run to run.
    even = [one[:, np.linspace(0, one.shape[1] - 1, least).astype(int)] for one in samples]
    pooled = np.concatenate(even, axis=1)
    mean, spread = pooled.mean(axis=1), pooled.std(axis=1)
    weight = np.ones(len(mean))
    if standardised:
        weight = np.where(spread > _LEAST_SPREAD, 1 / np.maximum(spread, _LEAST_SPREAD), 0.0)
    centred = (pooled - mean[:, None]) * weight[:, None]
    values, vectors = np.linalg.eigh(centred @ centred.T / centred.shape[1])
    axes = np.zeros((COLOURS, len(mean)))
    explained = np.zeros(COLOURS)
    total = max(float(values.sum()), 1e-300)
    for number in range(min(COLOURS, len(mean))):
        direction = vectors[:, -1 - number]
        axes[number] = direction * np.sign(direction[np.abs(direction).argmax()])
        explained[number] = max(float(values[-1 - number]), 0.0) / total
    if len(mean) < COLOURS:
        # One channel is grey; two leave blue to the first.
        axes[len(mean) :] = axes[0]
    found = axes @ centred
    low, high = np.percentile(found, _SHOWN, axis=1)
    return Projection(mean, weight, axes, low, high, explained)
