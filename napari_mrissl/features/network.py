"""Features of a trained plain U-Net: which weights, which layer, how prepared; without torch.

What needs torch is in `napari_mrissl.features.torch_network` and imported when it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.of_networks import (
    RANDOM,
    TORCH_BYTES,
    ByTorch,
    WeightSettings,
    as_in_training,
    file_of,
)
from napari_mrissl.features.source import Estimate, register_source
from napari_mrissl.features.stacked import Stacked
from napari_mrissl.networks.inference_plan import InferencePlan
from napari_mrissl.networks.unet_layout import (
    DEPTH,
    MOST_DEPTH,
    MOST_WIDTH,
    OUT_CHANNELS,
    WIDTH,
    UNetSize,
    upsamplings,
)
from napari_mrissl.networks.weight_library import DEFAULT, WeightFile, weights_named
from napari_mrissl.networks.weight_places import is_identity
from napari_mrissl.volumes import Volume

ANISOTROPIC = 2.5
"""Longest over shortest side of a voxel from which a remark is made."""

_SECONDS_PER_MULTIPLY_ADD = 1.3e-11
_SECONDS_TO_START = 4.0
"""On two cores: of the pass, and of importing torch and reading the weights."""

PERCENTILES = (0.0, 99.99)
"""Of a scan, 0 and 1 in training by the code of arXiv:2411.02372; its inference uses the least and
greatest value (corrected: one bright voxel would make all others alike)."""

PAINTED = "synthesis"
"""The method of networks that were trained on images that the data engine painted, 0 to 1."""

Scales = Literal["output", "decoder"]


class NetworkSettings(WeightSettings):
    """Which network, and what of it.

    Attributes
    ----------
    weights
        A name of the library, ``"random"``, or a SHA-256. A run's folder or a file may be
        given too: this user's private index remembers its place, and here stands its SHA-256.
    tap
        Number of a convolution whose result is wanted, before its normalisation, brought to
        the volume's grid by linear interpolation; None for the network's features.
    scales
        ``"output"``, or ``"decoder"``: the network's features, and behind them those of the first
        convolution of each coarser level of its decoder, each brought to the grid as by `tap`
        and normalised by itself. There a network knows its surroundings; contrast is trained on
        these layers too. About twice the time.
    normalise
        What is done to the channels of each voxel on the final grid: divided by their length,
        brought to mean 0 and standard deviation 1, or left.
    percentiles
        Of the scan, that become 0 and 1; nothing is clipped. None with `window` None too: what
        the weights' card says, or `PERCENTILES`.
    window
        Values of the scan that become 0 and 1 instead, clipped: -450 and 450 HU for a CT.
    precision
        ``"bfloat16"`` is for GPUs, where it is twice as fast and 2e-3 less exact.
    seed, width, depth
        Of a random network.

    Raises
    ------
    MrisslError
        If a place is given that holds no weights of a plain U-Net.
    """

    kind: Literal["network"] = "network"
    weights: str = Field(default=DEFAULT, min_length=1, max_length=4096)
    tap: int | None = None
    scales: Scales = "output"
    normalise: Literal["l2", "standardised", "none"] = "l2"
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = Field(default=0, ge=0)
    width: int = Field(default=WIDTH, ge=1, le=MOST_WIDTH)
    depth: int = Field(default=DEPTH, ge=1, le=MOST_DEPTH)

    @classmethod
    def is_place(cls, weights: str | Path) -> bool:
        """Whether this is a folder or a file, and no name."""
        return _is_place(weights)

    @classmethod
    def opened(cls, place: str | Path) -> WeightFile:
        """The weights of a place, checked."""
        return weights_named(place)

    @model_validator(mode="after")
    def _possible(self) -> NetworkSettings:
        if self.tap is not None and self.scales != "output":
            raise ValueError("one layer and all scales of the decoder exclude each other")
        return self


class NetworkFeatures(ByTorch):
    """One layer of a network as a `FeatureSource`, whatever `NetworkSettings.scales` says.

    Parameters
    ----------
    settings
        What is wanted.

    Attributes
    ----------
    file
        The weights; None for random ones.
    settings
        With the identity of the weights in place of their name, so that other weights under
        the same name are other features.
    plan
        Sizes of the network and of its pass.

    Raises
    ------
    MrisslError
        If there are no such weights, they are not those of a plain U-Net for images of one
        channel, or the layer is none of its taps.
    """

    name = "network"
    version = 1

    def __init__(self, settings: NetworkSettings) -> None:
        self.file: WeightFile | None = None
        if settings.weights != RANDOM:
            self.file = file_of(settings.weights, weights_named)
        if self.file is None:
            size = UNetSize(1, OUT_CHANNELS, settings.width, settings.depth)
            self.settings = settings.model_copy(update=_preparation(settings, {}))
        else:
            size = self.file.size
            own = {"weights": self.file.identity, "seed": 0, "width": WIDTH, "depth": DEPTH}
            self.settings = settings.model_copy(update=own | _preparation(settings, self.file.card))
        if size.in_channels != 1:
            raise MrisslError(
                f"the network takes images of {size.in_channels} channels",
                where="weights",
                expected="1",
                remedy="choose other weights",
            )
        self.plan = InferencePlan(size, settings.tap)

    def channel_names(self) -> tuple[str, ...]:
        """One name per channel, by number; of a layer with the number of the layer."""
        layer = "" if self.settings.tap is None else f"layer {self.settings.tap} "
        return tuple(f"{layer}feature {number}" for number in range(self.plan.channels))

    def estimate(self, volume: Volume) -> Estimate:
        """RAM, disk and time that `compute_into` will take on two cores."""
        voxels = volume.data.size
        padded = 4 * int(np.prod(self.plan.padded(volume.shape)))
        coarse = padded * self.plan.channels // 8**self.plan.level if self.plan.level else 0
        return Estimate(
            ram_bytes=TORCH_BYTES + self.plan.memory(volume.shape) + 2 * padded + coarse,
            disk_bytes=4 * voxels * self.plan.channels + 4096,
            seconds=_SECONDS_TO_START
            + _SECONDS_PER_MULTIPLY_ADD * self.plan.multiply_adds(volume.shape),
        )

    def remarks(self, volume: Volume) -> tuple[str, ...]:
        """Sentences about this scan that a user should see before trusting its features."""
        found = []
        spacing = volume.spacing
        if spacing.max() > ANISOTROPIC * spacing.min():
            sides = " x ".join(f"{side:.2g}" for side in spacing)
            found.append(
                f"Voxels of {sides} mm are far from cubes, which the network was trained on: "
                "its features will be poorer."
            )
        if self.settings.window is None and volume.display_window() != volume.value_range():
            found.append(
                "This looks like a CT: its features will be poorer without a window, which the "
                "command mrissl features can set (--window -450 450, in HU)."
            )
        return tuple(found)

    def pass_of_torch(self) -> Callable[..., None]:
        """See `napari_mrissl.features.torch_network`."""
        from napari_mrissl.features import torch_network

        return torch_network.compute_into


class DecoderFeatures(Stacked):
    """The network's features and those of its decoder's coarser levels, coarsest first of these.

    Attributes
    ----------
    settings
        As of `NetworkFeatures`.
    """

    name = NetworkFeatures.name
    version = NetworkFeatures.version

    def __init__(self, settings: NetworkSettings) -> None:
        output = NetworkFeatures(settings.model_copy(update={"scales": "output"}))
        levels = upsamplings(output.plan.size.depth)[:-1]
        super().__init__(
            (
                output,
                *(
                    NetworkFeatures(output.settings.model_copy(update={"tap": level + 1}))
                    for level in levels
                ),
            )
        )
        self.settings = output.settings.model_copy(update={"scales": "decoder"})
        self._output = output

    def remarks(self, volume: Volume) -> tuple[str, ...]:
        """As of `NetworkFeatures`."""
        return self._output.remarks(volume)


def network_source(settings: NetworkSettings) -> NetworkFeatures | DecoderFeatures:
    """What computes these settings.

    Raises
    ------
    MrisslError
        As of `NetworkFeatures`.
    """
    return NetworkFeatures(settings) if settings.scales == "output" else DecoderFeatures(settings)


def _preparation(settings: NetworkSettings, card: Mapping[str, Any]) -> dict[str, Any]:
    if settings.percentiles is not None or settings.window is not None:
        return {}
    # A network that was trained on painted images saw no percentile of a scan.
    known = card.get("preprocessing") if card.get("method") != PAINTED else None
    return as_in_training(known, PERCENTILES)


def _is_place(weights: str | Path) -> bool:
    if isinstance(weights, Path) or "/" in weights or "\\" in weights:
        return True
    # A name goes before a file of the same name, as in the library.
    if weights in ("", RANDOM, DEFAULT) or is_identity(weights):
        return False
    return Path(weights).exists() and not _known(weights)


def _known(name: str) -> bool:
    return weights_named(name).origin in {"shipped", "imported"}


register_source(NetworkSettings, network_source)
