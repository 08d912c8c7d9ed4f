"""A multi-scale 3-D filter bank in physical millimetres."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.source import Estimate, register_source
from napari_mrissl.volumes import Volume

Group = Literal["intensity", "gaussian", "gradient", "hessian", "mind", "coordinates"]


class FilterBankSettings(BaseModel):
    """Which filters, at which scales.

    Attributes
    ----------
    groups
        Kinds of filters. ``"coordinates"`` (world mm / 100) is off by default: with it,
        a classifier learns where the user clicked rather than what is there.
    scales_mm
        Standard deviations of the Gaussian under ``gaussian``, ``gradient`` and
        ``hessian``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["filter_bank"] = "filter_bank"
    groups: tuple[Group, ...] = ("intensity", "gaussian", "gradient", "hessian")
    scales_mm: tuple[float, ...] = Field(default=(1.0, 2.0, 4.0), min_length=1, max_length=8)


class FilterBank:
    """The filter bank as a `FeatureSource`."""

    name = "filter bank"
    version = 1

    def __init__(self, settings: FilterBankSettings) -> None:
        self.settings = settings

    def channel_names(self) -> tuple[str, ...]:
        """One name per channel, in order."""
        names = ["intensity"] if "intensity" in self.settings.groups else []
        for scale in self.settings.scales_mm:
            names += [f"gaussian {scale:g} mm"] if "gaussian" in self.settings.groups else []
            names += [f"gradient {scale:g} mm"] if "gradient" in self.settings.groups else []
        return tuple(names)

    def estimate(self, volume: Volume) -> Estimate:
        """RAM, disk and time that `compute_into` will take."""
        voxels, channels = volume.data.size, len(self.channel_names())
        return Estimate(voxels * 4 * 8, voxels * 4 * channels, voxels * channels * 1e-7)

    def compute_into(
        self,
        volume: Volume,
        out: NDArray[np.float32],
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> None:
        """Fill `out`, (C, S, A, R) float32."""
        from scipy import ndimage

        low, high = volume.value_range()
        values = volume.data.astype(np.float32) * volume.slope + volume.intercept
        values[~np.isfinite(values)] = low
        scaled = ((values - low) / (high - low)).astype(np.float32)
        for channel, name in enumerate(self.channel_names()):
            stop_if(cancelled)
            if progress:
                progress(channel / len(out), name)
            if name == "intensity":
                out[channel] = scaled
            else:
                sigma = float(name.split()[1]) / volume.spacing
                kind = name.split()[0]
                if kind == "gaussian":
                    out[channel] = ndimage.gaussian_filter(scaled, sigma)
                else:
                    out[channel] = ndimage.gaussian_gradient_magnitude(scaled, sigma)
        if progress:
            progress(1.0, "features")


register_source(FilterBankSettings, FilterBank)
