"""A 3-D diffusion U-Net of MONAI's residual blocks, with its inner maps in reach, and FiLM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from monai.networks.nets.diffusion_model_unet import (
    DiffusionUNetResnetBlock,
    get_timestep_embedding,
)
from torch import nn

from napari_mrissl.networks.settings import DenoiserShape

GROUPS = 8
"""Groups of channels that are normalised together."""

_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Denoised:
    """What the network makes of a noisy patch.

    Attributes
    ----------
    answer
        (N, 1, Z, Y, X) noise, or velocity.
    bottleneck
        (N, C, z, y, x) the deepest map.
    decoder
        Maps of the decoder, deepest first; the last one has the resolution of the patch.
    """

    answer: torch.Tensor
    bottleneck: torch.Tensor
    decoder: tuple[torch.Tensor, ...]


class DenoisingUNet(nn.Module):
    """The layout of MONAI's ``DiffusionModelUNet``, on a patch and further channels.

    That class attends by a package of its own choice and does not show the maps of its decoder,
    so its residual blocks are put together here. FiLM (inferred: the method names it, not
    where) scales and shifts the channels of the deepest map and of every map of the decoder by
    three numbers; it begins as no change.

    Parameters
    ----------
    shape
        How large it is.
    more_channels
        Channels that go in beside the noisy patch.
    film
        Whether three numbers for each patch scale and shift its maps.
    """

    def __init__(self, shape: DenoiserShape, more_channels: int, *, film: bool = False) -> None:
        super().__init__()
        self.channels = shape.channels
        first, deepest = self.channels[0], self.channels[-1]
        embedded = 4 * first
        self.time = nn.Sequential(
            nn.Linear(first, embedded), nn.SiLU(), nn.Linear(embedded, embedded)
        )
        self.begin = nn.Conv3d(1 + more_channels, first, 3, padding=1)
        self.down, self.halved = nn.ModuleList(), nn.ModuleList()
        skips, before = [first], first
        for number, channels in enumerate(self.channels):
            if number:
                self.halved.append(nn.Conv3d(before, before, 3, stride=2, padding=1))
                skips.append(before)
            attends = shape.attention and number == len(self.channels) - 1
            self.down.append(_level([before, *[channels] * shape.blocks], embedded, attends))
            skips += [channels] * shape.blocks
            before = channels
        self.middle = _level([deepest] * 3, embedded, shape.attention)
        self.up, self.doubled = nn.ModuleList(), nn.ModuleList()
        for number, channels in enumerate(reversed(self.channels)):
            if number:
                self.doubled.append(nn.Conv3d(before, before, 3, padding=1))
            level = nn.ModuleList()
            for _ in range(shape.blocks + 1):
                attends = shape.attention and not number
                level.append(_Block(before + skips.pop(), channels, embedded, attends))
                before = channels
            self.up.append(level)
        self.end = nn.Sequential(
            nn.GroupNorm(GROUPS, first, _EPSILON),
            nn.SiLU(),
            _silent(nn.Conv3d(first, 1, 3, padding=1)),
        )
        self.film: nn.ModuleList | None = None
        if film:
            widths = (deepest, *reversed(self.channels))
            self.film = nn.ModuleList(Film(channels) for channels in widths)

    def forward(
        self, patch: torch.Tensor, step: torch.Tensor, center: torch.Tensor | None = None
    ) -> Denoised:
        """What the network says of noisy patches.

        Parameters
        ----------
        patch
            (N, 1 + more, Z, Y, X).
        step
            (N,) of the noise, from 0.
        center
            (N, 3) for FiLM.
        """
        time = self.time(get_timestep_embedding(step, self.channels[0]).to(patch.dtype))
        deep = self.begin(patch)
        skips = [deep]
        for number, level in enumerate(self.down):
            if number:
                deep = self.halved[number - 1](deep)
                skips.append(deep)
            for block in _blocks(level):
                deep = block(deep, time)
                skips.append(deep)
        for block in self.middle:
            deep = block(deep, time)
        deep = self._turned(0, deep, center)
        bottleneck, maps = deep, []
        for number, level in enumerate(self.up):
            if number:
                larger = nn.functional.interpolate(deep, scale_factor=2, mode="nearest")
                deep = self.doubled[number - 1](larger)
            for block in _blocks(level):
                deep = block(torch.cat([deep, skips.pop()], dim=1), time)
            deep = self._turned(number + 1, deep, center)
            maps.append(deep)
        return Denoised(self.end(deep), bottleneck, tuple(maps))

    def _turned(self, number: int, maps: torch.Tensor, center: torch.Tensor | None) -> torch.Tensor:
        if self.film is None or center is None:
            return maps
        turned: torch.Tensor = self.film[number](maps, center)
        return turned


class Film(nn.Module):
    """Factors and shifts of channels from three numbers.

    Parameters
    ----------
    channels
        Of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = _silent(nn.Linear(channels, 2 * channels))
        self.layers = nn.Sequential(nn.Linear(3, channels), nn.SiLU(), last)

    def forward(self, maps: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, Z, Y, X), scaled and shifted by what (N, 3) come to."""
        factor, shift = self.layers(center)[:, :, None, None, None].chunk(2, dim=1)
        turned: torch.Tensor = maps * (1 + factor) + shift
        return turned


class Attention(nn.Module):
    """Every voxel of a map looks at all others, and what it finds is added.

    Parameters
    ----------
    channels
        Of the map; eight of them are a head.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // GROUPS
        self.norm = nn.GroupNorm(GROUPS, channels, _EPSILON)
        self.asked = nn.Linear(channels, 3 * channels)
        self.found = _silent(nn.Linear(channels, channels))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, z, y, x), changed."""
        tokens = self.asked(self.norm(maps).flatten(2).transpose(1, 2))
        query, key, value = (
            torch.unflatten(one, 2, (self.heads, -1)).transpose(1, 2)
            for one in tokens.chunk(3, dim=2)
        )
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        added = self.found(seen.transpose(1, 2).flatten(2))
        changed: torch.Tensor = maps + added.transpose(1, 2).reshape(maps.shape)
        return changed


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, embedded: int, attends: bool) -> None:
        super().__init__()
        self.residual = DiffusionUNetResnetBlock(
            3, before, embedded, channels, norm_num_groups=GROUPS, norm_eps=_EPSILON
        )
        self.attention = Attention(channels) if attends else nn.Identity()

    def forward(self, maps: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.attention(self.residual(maps, time))
        return found


def _level(channels: list[int], embedded: int, attends: bool) -> nn.ModuleList:
    """Blocks one after the other, from each number of channels to the next."""
    return nn.ModuleList(
        _Block(before, after, embedded, attends) for before, after in pairwise(channels)
    )


def _blocks(level: nn.Module) -> Iterable[nn.Module]:
    return cast(nn.ModuleList, level)


def _silent(layer: nn.Conv3d | nn.Linear) -> nn.Module:
    """A layer that begins by saying nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
