"""Backbones by name: networks that give a map at every scale, for any head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import nn

from napari_mrissl.networks.settings import BackboneSettings


class Backbone(nn.Module, ABC):
    """A network from an image to maps at several scales.

    Attributes
    ----------
    channels
        Of each map, deepest first; the last one has the resolution of the input.
    stride
        What every side of the input must be a multiple of.
    """

    channels: tuple[int, ...]
    stride: int

    @abstractmethod
    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps (N, channels, Z, Y, X), deepest first, of an image (N, C, Z, Y, X)."""

    def deepest(self, image: torch.Tensor, scales: int) -> tuple[torch.Tensor, ...]:
        """The first maps that `forward` gives, without the work for the others where possible."""
        return tuple(self(image)[:scales])


def _residual_unet(settings: BackboneSettings, channels: int) -> Backbone:
    from napari_mrissl.networks.residual_unet import ResidualUNet

    return ResidualUNet(settings.width, settings.depth, channels)


def _res2unet_101(settings: BackboneSettings, channels: int) -> Backbone:
    from napari_mrissl.networks.res2unet import Res2UNet

    return Res2UNet(settings.width, image_channels=channels)


def _unet(settings: BackboneSettings, channels: int) -> Backbone:
    from napari_mrissl.networks.unet import UNetBackbone

    return UNetBackbone(channels, width=settings.width, depth=settings.depth - 1)


def _mednext(settings: BackboneSettings, channels: int) -> Backbone:
    from napari_mrissl.networks.mednext import MedNeXt

    return MedNeXt(settings.width, settings.depth, channels)


BACKBONES: Mapping[str, Callable[[BackboneSettings, int], Backbone]] = {
    "residual_unet": _residual_unet,
    "res2unet_101": _res2unet_101,
    "unet": _unet,
    "mednext": _mednext,
}
"""Builders by name, from settings and the number of image channels."""


def build(settings: BackboneSettings, image_channels: int = 1) -> Backbone:
    """Make a backbone, its weights drawn from torch's generator."""
    return BACKBONES[settings.name](settings, image_channels)
