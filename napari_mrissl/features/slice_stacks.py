"""Features of a network for slices on a volume: three stacks of slices, back on its grid.

Inferred, since arXiv:2605.06487 does not publish its downstream tasks. Slices of the whole
scan lie half a patch of voxels apart along S, A and R, and each is cut four times, moved by a
quarter of a patch, so that tokens lie half a patch apart within it too. Tokens of a stack are
brought to the voxels by linear interpolation. What needs torch is in
`napari_mrissl.features.torch_slices` and imported when it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_mrissl.features.of_networks import (
    RANDOM,
    TORCH_BYTES,
    ByTorch,
    WeightSettings,
    as_in_training,
    file_of,
)
from napari_mrissl.features.source import Estimate, register_source
from napari_mrissl.geometry import Pose
from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.networks.slice_cards import SliceNetwork, slice_network
from napari_mrissl.networks.weight_library import WeightFile, network_named
from napari_mrissl.volumes import Volume

STACKS = ("axial", "coronal", "sagittal")

CUTS = 4
"""How often each slice is cut, a quarter of a patch to either side."""

_PERCENTILES = (0.5, 99.5)
_SECONDS_PER_MULTIPLY_ADD = 3e-11
_SECONDS_TO_START = 3.0


class SliceStackSettings(WeightSettings):
    """Which network for slices, and how its stacks become features.

    Attributes
    ----------
    weights
        A SHA-256, or ``"random"``. A run's folder or a file may be given too: this user's
        private index remembers its place, and here stands its SHA-256.
    joined
        ``"mean"`` of the three stacks, as many channels as a token has; or ``"each"``: all
        three, one after the other, three times as many.
    side
        Of a slice, as a share of the scan's longest side; 1 shows all of it.
    normalise
        As of `NetworkSettings`.
    percentiles, window
        As of `NetworkSettings`, both clipped; by default what the weights' card says.
    seed, slices, dynamics
        Of a random network: the tokenizer, and the dynamics on it where there are any.

    Raises
    ------
    MrisslError
        If a place is given that holds no weights of a network for slices.
    """

    kind: Literal["slices"] = "slices"
    joined: Literal["mean", "each"] = "mean"
    side: float = Field(default=1.0, ge=0.25, le=2.0)
    normalise: Literal["l2", "standardised", "none"] = "l2"
    seed: int = Field(default=0, ge=0)
    slices: TokenizerShape | None = None
    dynamics: DynamicsShape | None = None

    @classmethod
    def is_place(cls, weights: str | Path) -> bool:
        """Whether this is a folder or a file, and no name."""
        return weights != RANDOM and super().is_place(weights)

    @classmethod
    def opened(cls, place: str | Path) -> WeightFile:
        """The weights of a place, checked."""
        file = network_named(place)
        slice_network(file.card)
        return file

    @model_validator(mode="after")
    def _possible(self) -> SliceStackSettings:
        if (self.weights == RANDOM) != (self.slices is not None):
            raise ValueError("the shape of the tokenizer belongs to random weights, and only there")
        return self


class SliceStacks(ByTorch):
    """Three stacks of slices as a `FeatureSource`.

    Attributes
    ----------
    file
        The weights; None for random ones.
    network
        What they are of.
    settings
        With how scans are prepared.

    Raises
    ------
    MrisslError
        If there are no such weights, or they are of another network.
    """

    name = "stacks of slices"
    version = 1

    def __init__(self, settings: SliceStackSettings) -> None:
        self.file: WeightFile | None = None
        if settings.slices is not None:
            dynamics = settings.dynamics
            context = 1 if dynamics is None else dynamics.context
            self.network = SliceNetwork(settings.slices, dynamics, context=context)
        else:
            self.file = file_of(settings.weights, network_named)
            self.network = slice_network(self.file.card)
        self.settings = settings
        if settings.percentiles is None and settings.window is None:
            known = None if self.file is None else self.file.card.get("preprocessing")
            self.settings = settings.model_copy(update=as_in_training(known, _PERCENTILES))

    def channel_names(self) -> tuple[str, ...]:
        """By number; where stacks are not averaged with the name of the stack."""
        numbers = range(self.network.channels)
        if self.settings.joined == "mean":
            return tuple(f"feature {number}" for number in numbers)
        return tuple(f"{stack} feature {number}" for stack in STACKS for number in numbers)

    def estimate(self, volume: Volume) -> Estimate:
        """RAM, disk and time that `compute_into` will take on two cores."""
        own = self.network.slices
        cuts = CUTS * sum(self.slices_along(volume, axis) for axis in range(3))
        tokens = own.grid**2
        layers = own.depth * 12 * own.width**2 * tokens + 2 * own.depth * own.width * tokens**2
        if self.network.dynamics is not None:
            more = self.network.dynamics
            layers += more.depth * (12 * more.width**2 * tokens + 2 * more.width * tokens**2)
        voxels, channels = volume.data.size, self.network.channels
        most = max(self.slices_along(volume, axis) for axis in range(3))
        # Of a stack all tokens, and one channel of it on its way to the voxels.
        ram = 4 * (CUTS * most * tokens * channels + 3 * voxels)
        mixing = 3.0 * channels * voxels * most
        return Estimate(
            ram_bytes=TORCH_BYTES + ram,
            disk_bytes=4 * voxels * len(self.channel_names()) + 4096,
            seconds=_SECONDS_TO_START + _SECONDS_PER_MULTIPLY_ADD * (cuts * layers + mixing),
        )

    def remarks(self, volume: Volume) -> tuple[str, ...]:
        """Sentences about this scan that a user should see before trusting its features."""
        voxels = self.side_mm(volume) / self.network.slices.grid / float(volume.spacing.min())
        if voxels <= 2 * self.network.slices.patch:
            return ()
        said = (
            f"Each token sees {voxels:.0f} voxels across: details finer than that are in its "
            "numbers, but not where in the patch they lie."
        )
        return (said,)

    def side_mm(self, volume: Volume) -> float:
        """Side of each slice."""
        return self.settings.side * float((np.array(volume.shape) * volume.spacing).max())

    def slices_along(self, volume: Volume, axis: int) -> int:
        """How many slices cut an axis of the volume."""
        return len(self.levels(volume, axis))

    def levels(self, volume: Volume, axis: int) -> NDArray[np.float64]:
        """Indices along an axis at which slices lie, evenly, about half a patch apart."""
        length = volume.shape[axis]
        count = max(1, round(length / max(1.0, self.network.slices.patch / 2)))
        levels: NDArray[np.float64] = (np.arange(count) + 0.5) * length / count - 0.5
        return levels

    def pass_of_torch(self) -> Callable[..., None]:
        """See `napari_mrissl.features.torch_slices`."""
        from napari_mrissl.features import torch_slices

        return torch_slices.compute_into


def stack_poses(volume: Volume, stack: str, levels: NDArray[np.float64], side: float) -> list[Pose]:
    """Poses of the slices of a stack: square, about the middle of the volume, along its own axes.

    Parameters
    ----------
    volume
        Its axes are taken as orthogonal.
    stack
        One of `STACKS`.
    levels
        Indices along the stack's axis.
    side
        In mm.
    """
    # The turn nearest to the directions of R, A and S.
    left, _, right = np.linalg.svd(volume.affine[:3, [2, 1, 0]] / volume.spacing[[2, 1, 0]])
    r, a, s = (left @ right).T
    number = STACKS.index(stack)
    normal, up = ((s, a), (-a, s), (r, s))[number]
    middle = (np.array(volume.shape) - 1) / 2
    poses = []
    for level in levels:
        index = middle.copy()
        index[number] = level
        center = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
        poses.append(Pose.from_normal_up(center, normal, up, side))
    return poses


register_source(SliceStackSettings, SliceStacks)
