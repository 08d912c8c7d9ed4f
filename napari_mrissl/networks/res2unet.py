"""The Res2UNet-3D-101 of VectorPOSE: a Res2Net-101 as encoder, a light decoder with added skips.

Written from what arXiv:2211.08533 and its description tell: a Res2Net-101 v1b 26w 4s
(arXiv:1904.01169) in three dimensions with layers 3, 4, 23, 3 and a stem of 32, 32 and 64
channels at half the resolution; a decoder of 256, 128, 64, 64 and 32 channels; 67.8 million
parameters. Inferred: what a step of the decoder is made of, chosen so that the size comes
out (67,804,704). Corrected: batch statistics over groups of two samples, so that a run means
the same on any number of processes, and poolings with a deterministic backward.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn.functional import relu

from napari_mrissl.networks.backbones import Backbone
from napari_mrissl.networks.normalisation import GhostBatchNorm3d
from napari_mrissl.networks.resampling import averaged, doubled, halved, thinned
from napari_mrissl.networks.settings import DEEPEST_STRIDE

PUBLISHED_WIDTH = 32
LAYERS = (3, 4, 23, 3)
"""Blocks of each stage of the encoder."""

_SPLITS = 4
_EXPANSION = 4


class Res2UNet(Backbone):
    """Maps at 1/32, 1/16, 1/8, 1/4, 1/2 and full resolution.

    Parameters
    ----------
    width
        Channels at full resolution; 32 is the published size, others scale all layers.
    layers
        Blocks of each stage of the encoder.
    image_channels
        Channels of the image.
    """

    def __init__(
        self,
        width: int = PUBLISHED_WIDTH,
        layers: tuple[int, int, int, int] = LAYERS,
        image_channels: int = 1,
    ) -> None:
        super().__init__()
        self.stride = DEEPEST_STRIDE
        planes = [2 * width * 2**stage for stage in range(len(layers))]
        encoded = [2 * width, *(_EXPANSION * plane for plane in planes)]
        decoded = [8 * width, 4 * width, 2 * width, 2 * width, width]
        self.channels = (encoded[-1], *decoded)
        self.stem = nn.Sequential(
            _Layer(image_channels, width, stride=2), _Layer(width, width), _Layer(width, 2 * width)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    _Block(before if first else _EXPANSION * plane, plane, stride, first=first)
                    for first, stride in [(True, 1 if stage == 0 else 2), *[(False, 1)] * (n - 1)]
                )
            )
            for stage, (before, plane, n) in enumerate(zip(encoded, planes, layers, strict=False))
        )
        skips = [*encoded[-2::-1], None]
        self.up = nn.ModuleList(
            _Up(deep, skip, shallow)
            for (deep, shallow), skip in zip(itertools.pairwise(self.channels), skips, strict=True)
        )
        self.apply(_draw)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps (N, channels, Z, Y, X), deepest first, of an image (N, C, Z, Y, X)."""
        x = self.stem(image)
        skips: list[torch.Tensor | None] = [None, x]
        x = halved(x)
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        maps = [skips.pop()]
        for step in self.up:
            maps.append(step(maps[-1], skips.pop()))
        return tuple(one for one in maps if one is not None)


class _Layer(nn.Sequential):
    """Convolution, normalisation and, unless it is a projection, ReLU."""

    def __init__(
        self, before: int, after: int, *, size: int = 3, stride: int = 1, projection: bool = False
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv3d(before, after, size, stride, padding=size // 2, bias=False),
            GhostBatchNorm3d(after),
        ]
        if not projection:
            layers.append(nn.ReLU())
        super().__init__(*layers)


class _Block(nn.Module):
    """A Res2Net bottleneck: one split after the other is convolved, each with what came before.

    The first block of a stage, which may halve the sides, leaves the splits apart, and its
    shortcut is an average and a projection (v1b).
    """

    def __init__(self, before: int, planes: int, stride: int, *, first: bool) -> None:
        super().__init__()
        split = planes * 26 // 64
        self.stride, self.first = stride, first
        self.into = _Layer(before, split * _SPLITS, size=1)
        self.splits = nn.ModuleList(_Layer(split, split, stride=stride) for _ in range(_SPLITS - 1))
        self.out_of = _Layer(split * _SPLITS, planes * _EXPANSION, size=1, projection=True)
        self.shortcut = (
            _Layer(before, planes * _EXPANSION, size=1, projection=True) if first else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *parts, last = self.into(x).chunk(_SPLITS, dim=1)
        results: list[torch.Tensor] = []
        for part, layer in zip(parts, self.splits, strict=True):
            alone = self.first or not results
            results.append(layer(part if alone else part + results[-1]))
        results.append(averaged(last, self.stride) if self.first else last)
        result = self.out_of(torch.cat(results, dim=1))
        if self.shortcut is not None:
            x = self.shortcut(thinned(x) if self.stride == 2 else x)
        return relu(result + x)


class _Up(nn.Module):
    """A step of the decoder: fewer channels, twice the sides, the skip added, one convolution."""

    def __init__(self, deep: int, skip: int | None, shallow: int) -> None:
        super().__init__()
        # The last step has no skip: it convolves at once what the others only project.
        self.into = _Layer(deep, shallow, size=3 if skip is None else 1)
        self.skip = None if skip is None else _Layer(skip, shallow, size=1, projection=True)
        self.refine = _Layer(shallow, shallow)

    def forward(self, deep: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
        if self.skip is None:
            joined = self.into(doubled(deep))
        else:
            joined = relu(doubled(self.into(deep)) + self.skip(skip))
        refined: torch.Tensor = self.refine(joined)
        return refined


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
