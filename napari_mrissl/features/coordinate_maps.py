"""Body coordinates as features, by themselves or beside grey values; without torch.

What they tell of labels is what any network that is told coordinates can know without having
learned anything else. What needs torch is imported when it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from napari_mrissl.features.denoiser import PERCENTILES
from napari_mrissl.features.of_networks import (
    TORCH_BYTES,
    ByTorch,
    WeightSettings,
    as_in_training,
    file_of,
)
from napari_mrissl.features.patch_grid import PatchGrid
from napari_mrissl.features.source import Estimate, register_source
from napari_mrissl.networks.diffusion_cards import coordinate_card
from napari_mrissl.networks.weight_library import WeightFile, network_named
from napari_mrissl.volumes import Volume

_SECONDS_PER_VOXEL = 3e-5
_SECONDS_TO_START = 3.0


class CoordinateMapSettings(WeightSettings):
    """Which network of body coordinates.

    Attributes
    ----------
    weights
        A SHA-256; or a run's folder or a file, as of `DenoiserSettings`.
    intensity
        Whether grey values, 0 to 1, come behind the coordinates.
    normalise
        As of `NetworkSettings`.
    percentiles, window
        As of `DenoiserSettings`.
    untrained
        The seed of the network as it is before training; None for the trained one.

    Raises
    ------
    MrisslError
        If a place is given that holds no weights of a network of coordinates.
    """

    kind: Literal["coordinates"] = "coordinates"
    intensity: bool = False
    normalise: Literal["l2", "standardised", "none"] = "none"
    untrained: int | None = Field(default=None, ge=0)

    @classmethod
    def opened(cls, place: str | Path) -> WeightFile:
        """The weights of a place, checked."""
        file = network_named(place)
        coordinate_card(file.card)
        return file


class CoordinateMaps(ByTorch):
    """Three coordinates, and grey values where they are wanted, as a `FeatureSource`.

    Attributes
    ----------
    file
        The weights.
    card
        What they are of.
    settings
        With how scans are prepared.

    Raises
    ------
    MrisslError
        If there are no such weights, or they are of another network.
    """

    name = "body coordinates"
    version = 1

    def __init__(self, settings: CoordinateMapSettings) -> None:
        self.file = file_of(settings.weights, network_named)
        self.card = coordinate_card(self.file.card)
        self.settings = settings
        if settings.percentiles is None and settings.window is None:
            known = as_in_training(self.file.card.get("preprocessing"), PERCENTILES)
            self.settings = settings.model_copy(update=known)

    def grid(self, volume: Volume) -> PatchGrid:
        """The crops of a volume."""
        card = self.card
        return PatchGrid.over(volume, card.side, card.voxel_mm, card.backbone.stride, cubes=False)

    def channel_names(self) -> tuple[str, ...]:
        """Three coordinates, and the grey value."""
        grey = ("intensity",) if self.settings.intensity else ()
        return ("coordinate 1", "coordinate 2", "coordinate 3", *grey)

    def estimate(self, volume: Volume) -> Estimate:
        """RAM, disk and time that `compute_into` will take on two cores."""
        grid, channels = self.grid(volume), len(self.channel_names())
        crops = len(grid.places) * grid.side**3
        return Estimate(
            ram_bytes=TORCH_BYTES + 4 * (4 * volume.data.size + 400 * grid.side**3),
            disk_bytes=4 * volume.data.size * channels + 4096,
            seconds=_SECONDS_TO_START + _SECONDS_PER_VOXEL * crops,
        )

    def pass_of_torch(self) -> Callable[..., None]:
        """See `napari_mrissl.features.torch_coordinates`."""
        from napari_mrissl.features import torch_coordinates

        return torch_coordinates.compute_into


register_source(CoordinateMapSettings, CoordinateMaps)
