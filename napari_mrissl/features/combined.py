"""The filter bank and a network together, as one stack of channels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.features.filter_bank import FilterBankSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.source import Estimate, FeatureSource, register_source, source_for
from napari_mrissl.volumes import Volume


class CombinedSettings(BaseModel):
    """Which filters, and which network.

    Attributes
    ----------
    filters
        Their channels come first.
    network
        Its channels follow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["combined"] = "combined"
    filters: FilterBankSettings = FilterBankSettings()
    network: NetworkSettings = NetworkSettings()


class Combined:
    """Both as a `FeatureSource`.

    Attributes
    ----------
    settings
        With the identity of the weights in place of their name.
    """

    name = "filter bank and network"

    def __init__(self, settings: CombinedSettings) -> None:
        filters, network = source_for(settings.filters), source_for(settings.network)
        self._parts: tuple[FeatureSource, ...] = (filters, network)
        self.settings = settings.model_copy(update={"network": network.settings})

    @property
    def version(self) -> int:
        """Changes with either's."""
        filters, network = (part.version for part in self._parts)
        return 1000 * filters + network

    def channel_names(self) -> tuple[str, ...]:
        """Those of the filter bank, then those of the network."""
        return tuple(name for part in self._parts for name in part.channel_names())

    def estimate(self, volume: Volume) -> Estimate:
        """RAM of the larger, disk and time of both."""
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


register_source(CombinedSettings, Combined)
