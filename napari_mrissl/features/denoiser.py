"""Features of a denoiser: the maps of its decoder at one level of noise; without torch.

After Baranchuk et al. (arXiv:2112.03126): the scan is noised once, by noise that all scans
share, and looked at in one pass; no chain of steps is run. Inferred for three dimensions: the
scan is noised on a grid of the patches' voxels, and what patches that overlap say is averaged.
What needs torch is in `napari_mrissl.features.torch_denoiser` and imported when it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.of_networks import (
    TORCH_BYTES,
    ByTorch,
    WeightSettings,
    as_in_training,
    by_torch,
    file_of,
)
from napari_mrissl.features.patch_grid import PatchGrid
from napari_mrissl.features.pyramids import Pyramid
from napari_mrissl.features.source import Estimate, register_source
from napari_mrissl.networks.diffusion_cards import diffusion_card
from napari_mrissl.networks.weight_library import WeightFile, network_named
from napari_mrissl.volumes import Volume

SNR_DB = 10.0
"""Of the noise where nothing is chosen: about step 100 of 1000 of the linear schedule."""

PERCENTILES = (0.5, 99.5)
_SECONDS_PER_MULTIPLY_ADD = 3e-11
_SECONDS_TO_START = 3.0


class DenoiserSettings(WeightSettings):
    """Which denoiser, what of it, and how much noise.

    Attributes
    ----------
    weights
        A SHA-256. A run's folder or a file may be given too: this user's private index
        remembers its place, and here stands its SHA-256.
    scales
        ``"output"``, the decoder's map at full resolution; or ``"decoder"``, behind it those
        of its coarser levels, finest first.
    level
        One map of the decoder instead, from 0, the deepest.
    snr_db
        Signal-to-noise ratio of the noise, for voxels with a variance of 1; `SNR_DB` where
        neither this nor a step is given.
    step
        Of the noise instead, from 0.
    coordinates
        ``"true"``, or ``"zeroed"``: the network is told nothing.
    normalise
        As of `NetworkSettings`.
    percentiles, window
        As of `NetworkSettings`, both clipped; by default what the weights' card says.
    noise_seed
        Of the noise.
    untrained
        The seed of a denoiser as it is before training, beside the coordinates of the weights;
        None for the trained one.

    Raises
    ------
    MrisslError
        If a place is given that holds no weights of a denoiser.
    """

    kind: Literal["denoiser"] = "denoiser"
    scales: Literal["output", "decoder"] = "output"
    level: int | None = Field(default=None, ge=0, le=8)
    snr_db: float | None = Field(default=None, ge=-60, le=60)
    step: int | None = Field(default=None, ge=0)
    coordinates: Literal["true", "zeroed"] = "true"
    normalise: Literal["l2", "standardised", "none"] = "none"
    noise_seed: int = Field(default=0, ge=0)
    untrained: int | None = Field(default=None, ge=0)

    @classmethod
    def opened(cls, place: str | Path) -> WeightFile:
        """The weights of a place, checked."""
        file = network_named(place)
        diffusion_card(file.card)
        return file

    @model_validator(mode="after")
    def _possible(self) -> DenoiserSettings:
        if self.snr_db is not None and self.step is not None:
            raise ValueError("a signal-to-noise ratio and a step exclude each other")
        if self.level is not None and self.scales != "output":
            raise ValueError("one level and all scales of the decoder exclude each other")
        return self


class DenoiserFeatures(ByTorch):
    """Maps of a denoiser's decoder as a `FeatureSource`.

    Attributes
    ----------
    file
        The weights.
    card
        What they are of.
    settings
        With the step of the noise in place of its ratio, and how scans are prepared.
    levels
        The maps of the decoder, from 0, the deepest, in the order of the channels.

    Raises
    ------
    MrisslError
        If there are no such weights, they are of another network, which was never told
        coordinates, or has no such step or level.
    """

    name = "denoiser"
    version = 1

    def __init__(self, settings: DenoiserSettings) -> None:
        self.file = file_of(settings.weights, network_named)
        self.card = diffusion_card(self.file.card)
        schedule, depth = self.card.schedule, self.card.shape.denoiser.depth
        step = settings.step
        if step is None:
            step = schedule.step_of(SNR_DB if settings.snr_db is None else settings.snr_db)
        if step >= schedule.steps:
            raise MrisslError(f"step {step}", where="noise", expected=f"0 to {schedule.steps - 1}")
        if settings.level is not None and settings.level >= depth:
            raise MrisslError(f"level {settings.level}", expected=f"0 to {depth - 1}")
        if settings.coordinates == "zeroed" and self.card.shape.backbone is None:
            raise MrisslError(
                "the network was never told coordinates that could be zeroed",
                where="weights",
                expected="a run with coordinates",
            )
        chosen: dict[str, Any] = {"snr_db": None, "step": step}
        if settings.percentiles is None and settings.window is None:
            chosen |= as_in_training(self.file.card.get("preprocessing"), PERCENTILES)
        self.settings = settings.model_copy(update=chosen)
        self.levels: tuple[int, ...] = (depth - 1 if settings.level is None else settings.level,)
        if settings.scales == "decoder":
            self.levels = tuple(reversed(range(depth)))

    @property
    def step(self) -> int:
        """Of the noise."""
        assert self.settings.step is not None  # noqa: S101 - chosen when it was made
        return self.settings.step

    def grid(self, volume: Volume) -> PatchGrid:
        """The patches of a volume."""
        card = self.card
        return PatchGrid.over(volume, card.side, card.voxel_mm, card.shape.stride, cubes=True)

    def channel_names(self) -> tuple[str, ...]:
        """By level of the decoder and number."""
        widths = self.card.shape.denoiser.channels[::-1]
        return tuple(
            f"level {level} feature {number}"
            for level in self.levels
            for number in range(widths[level])
        )

    def estimate(self, volume: Volume) -> Estimate:
        """RAM, disk and time that `compute_into` will take on two cores."""
        grid, channels = self.grid(volume), len(self.channel_names())
        cells = int(grid.shape[0] * grid.shape[1] * grid.shape[2])
        width, blocks = self.card.shape.denoiser.width, self.card.shape.denoiser.blocks
        # Of a voxel at full resolution: the decoder's blocks join two maps.
        layers = 27 * width**2 * (5 * blocks + 3) * 2
        patches = len(grid.places) * grid.side**3
        ram = 4 * (cells * channels + 3 * volume.data.size + 40 * width * grid.side**3)
        mixing = channels * volume.data.size * max(grid.shape)
        return Estimate(
            ram_bytes=TORCH_BYTES + ram,
            disk_bytes=4 * volume.data.size * channels + 4096,
            seconds=_SECONDS_TO_START + _SECONDS_PER_MULTIPLY_ADD * (patches * layers + mixing),
        )

    def remarks(self, volume: Volume) -> tuple[str, ...]:
        """Sentences about this scan that a user should see before trusting its features."""
        spacing, trained = float(self.grid(volume).spacing.max()), self.card.voxel_mm
        if spacing >= 0.6 * trained:
            return ()
        said = (
            f"The scan is short: patches have voxels of {spacing:.2g} mm, and the network was "
            f"trained on {trained:.2g} mm."
        )
        return (said,)

    def pass_of_torch(self) -> Callable[..., None]:
        """See `napari_mrissl.features.torch_denoiser`."""
        from napari_mrissl.features import torch_denoiser

        return torch_denoiser.compute_into

    def pyramid(self, volume: Volume) -> Pyramid | None:
        """The maps at their own resolutions; None where channels are normalised voxel by voxel."""
        if self.settings.normalise != "none":
            return None
        grid = self.grid(volume)

        def load() -> Callable[..., list[Any]]:
            from napari_mrissl.features import torch_denoiser

            return torch_denoiser.pyramid

        maps = by_torch(load, None, self, grid, lambda part: None)
        return Pyramid(grid, [one.numpy() for one in maps])


register_source(DenoiserSettings, DenoiserFeatures)
