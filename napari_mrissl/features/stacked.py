"""Sources of features one after the other, as one stack of channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.features.source import Estimate, FeatureSource
from napari_mrissl.volumes import Volume


class Stacked:
    """Several sources as one: their channels follow each other.

    Parameters
    ----------
    parts
        In their order.
    """

    def __init__(self, parts: Sequence[FeatureSource]) -> None:
        self._parts = tuple(parts)

    def channel_names(self) -> tuple[str, ...]:
        """Those of the first part, then those of the next."""
        return tuple(name for part in self._parts for name in part.channel_names())

    def estimate(self, volume: Volume) -> Estimate:
        """RAM of the largest, disk and time of all."""
        found = [part.estimate(volume) for part in self._parts]
        return Estimate(
            max(one.ram_bytes for one in found),
            sum(one.disk_bytes for one in found),
            sum(one.seconds for one in found),
        )

    def compute_into(
        self,
        volume: Volume,
        out: NDArray[np.float32],
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> None:
        """Fill `out`, (C, S, A, R) float32, one part after the other."""
        start = 0
        total = sum(part.estimate(volume).seconds for part in self._parts)
        spent = 0.0
        for part in self._parts:
            stop = start + len(part.channel_names())
            share = part.estimate(volume).seconds / total

            def tell(done: float, step: str, before: float = spent, share: float = share) -> None:
                if progress is not None:
                    progress(before + share * done, step)

            part.compute_into(volume, out[start:stop], tell, cancelled)
            start, spent = stop, spent + share
