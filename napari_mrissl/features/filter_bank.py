"""A multi-scale 3-D filter bank in physical millimetres, on the voxel grid."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_mrissl.features import filters
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.source import Estimate, register_source
from napari_mrissl.volumes import Volume

Group = Literal["intensity", "gaussian", "gradient", "hessian", "mind", "coordinates"]
Length = Annotated[float, Field(ge=0.05, le=100)]

_SECONDS_PER_NUMBER = 1.6e-8
"""Seconds per voxel and channel, measured on two cores at 197 x 233 x 189."""

_WORKING_IMAGES = 3
"""Float32 images in memory beside the stack: the scan, one smoothed, one to spare."""


class FilterBankSettings(BaseModel):
    """Which filters, at which scales.

    Attributes
    ----------
    groups
        Kinds of filters. ``"mind"`` (12 channels) is off by default: from ten clicks a
        class its directions are noise, and tissue Dice fell with it. ``"coordinates"``
        (world mm / 100) is off: with it, a classifier learns where the user clicked
        rather than what is there.
    scales_mm
        Standard deviations of the Gaussian under ``gaussian``, ``gradient`` and
        ``hessian``.
    mind_radius_mm, mind_dilation_mm
        Patch radius and neighbour distance of MIND.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["filter_bank"] = "filter_bank"
    groups: tuple[Group, ...] = Field(
        default=("intensity", "gaussian", "gradient", "hessian"), min_length=1
    )
    scales_mm: tuple[Length, ...] = Field(default=(1.0, 2.0), min_length=1, max_length=8)
    mind_radius_mm: Length = 1.0
    mind_dilation_mm: Length = 2.0

    @field_validator("scales_mm")
    @classmethod
    def _distinct(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        # A channel is known by its name, which shows six digits of the scale.
        if len({f"{scale:g}" for scale in scales}) < len(scales):
            raise ValueError("two scales are the same")
        return scales

    @field_validator("groups")
    @classmethod
    def _once(cls, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        return tuple(dict.fromkeys(groups))


class FilterBank:
    """The filter bank as a `FeatureSource`."""

    name = "filter bank"
    version = 1

    def __init__(self, settings: FilterBankSettings) -> None:
        self.settings = settings

    def channel_names(self) -> tuple[str, ...]:
        """One name per channel: intensity, then each scale's filters, MIND, coordinates."""
        groups = self.settings.groups
        names = ["intensity"] if "intensity" in groups else []
        for scale in self.settings.scales_mm:
            if "gaussian" in groups:
                names.append(f"gaussian {scale:g} mm")
            if "gradient" in groups:
                names.append(f"gradient {scale:g} mm")
            if "hessian" in groups:
                names += [f"hessian {scale:g} mm {k}" for k in ("least", "middle", "most")]
        if "mind" in groups:
            names += [f"mind {k}" for k in range(filters.MIND_CHANNELS)]
        if "coordinates" in groups:
            names += ["x", "y", "z"]
        return tuple(names)

    def estimate(self, volume: Volume) -> Estimate:
        """RAM, disk and time that `compute_into` will take."""
        voxels, channels = volume.data.size, len(self.channel_names())
        return Estimate(
            ram_bytes=4 * voxels * _WORKING_IMAGES,
            disk_bytes=4 * voxels * channels + 4096,
            seconds=0.2 + _SECONDS_PER_NUMBER * voxels * channels,
        )

    def compute_into(
        self,
        volume: Volume,
        out: NDArray[np.float32],
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> None:
        """Fill `out`, (C, S, A, R) float32; asks `cancelled` every few slices."""
        names, spacing = self.channel_names(), volume.spacing
        image = filters.normalised(volume, cancelled)
        scratch = np.empty_like(image)

        def begin(name: str, count: int = 1) -> NDArray[np.float32]:
            stop_if(cancelled)
            at = names.index(name)
            if progress is not None:
                progress(at / len(names), name)
            return out[at : at + count]

        if "intensity" in names:
            begin("intensity")[0] = image
        for scale in self.settings.scales_mm:
            mm = f"{scale:g} mm"
            smoothed = begin(f"gaussian {mm}")[0] if f"gaussian {mm}" in names else scratch
            if any(mm in name for name in names):
                filters.gaussian(image, scale, spacing, smoothed, cancelled)
            if f"gradient {mm}" in names:
                magnitude = begin(f"gradient {mm}")[0]
                filters.gradient_magnitude(smoothed, scale, spacing, magnitude, cancelled)
            if f"hessian {mm} least" in names:
                eigenvalues = begin(f"hessian {mm} least", 3)
                filters.hessian_eigenvalues(smoothed, scale, spacing, eigenvalues, cancelled)
        if "mind 0" in names:
            channels = begin("mind 0", filters.MIND_CHANNELS)
            radius, dilation = self.settings.mind_radius_mm, self.settings.mind_dilation_mm
            filters.mind_ssc(image, spacing, radius, dilation, channels, cancelled)
        if "x" in names:
            _write_coordinates(volume, begin("x", 3))
        if progress is not None:
            progress(1.0, "features")


def _write_coordinates(volume: Volume, out: NDArray[np.float32]) -> None:
    """World coordinates in units of 100 mm."""
    matrix = volume.affine / 100
    s, a, r = np.ogrid[tuple(slice(n) for n in volume.shape)]
    for row, channel in zip(matrix[:3], out, strict=True):
        channel[:] = row[0] * s + row[1] * a + row[2] * r + row[3]


register_source(FilterBankSettings, FilterBank)
