"""The plain U-Net with a small head for each layer that is compared by contrast."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from napari_mrissl.networks.normalisation import GhostBatchNorm3d
from napari_mrissl.networks.unet import UNet3d
from napari_mrissl.networks.unet_layout import taps


class SampleHead(nn.Module):
    """Three layers on the features of some voxels, thrown away after pretraining.

    The published layout (arXiv:2411.02372): no bias before a normalisation; the last
    normalisation has neither scale nor offset. Statistics are those of the voxels of one
    pair, both views together, as published for a batch of one pair; so a batch of several
    means the same on any number of processes.

    Parameters
    ----------
    channels
        Of the layer.
    hidden
        Of the head.
    """

    def __init__(self, channels: int, hidden: int = 256) -> None:
        super().__init__()
        sizes = (channels, hidden, hidden, hidden)
        self.linear = nn.ModuleList(
            nn.Linear(before, after, bias=False) for before, after in pairwise(sizes)
        )
        self.norm = nn.ModuleList(GhostBatchNorm3d(hidden, group=1) for _ in self.linear)
        for linear in self.linear:
            nn.init.kaiming_normal_(linear.weight)  # type: ignore[arg-type]
        for norm in list(self.norm)[:-1]:
            nn.init.normal_(norm.weight, 1.0, 0.02)  # type: ignore[arg-type]
        for parameter in self.norm[-1].parameters():
            parameter.requires_grad_(False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(P, A, hidden) of features (P, A, C) of A voxels of each pair."""
        last = len(self.linear) - 1
        for number, (linear, norm) in enumerate(zip(self.linear, self.norm, strict=True)):
            # To the normalisation, the voxels of a pair are one axis of an image.
            image = linear(features).transpose(1, 2)[..., None, None]
            features = norm(image)[..., 0, 0].transpose(1, 2)
            if number < last:
                features = features.relu()
        return features


class ContrastiveNetwork(nn.Module):
    """A `UNet3d` and a head for each of its tapped layers.

    Attributes
    ----------
    backbone
        What is kept: its tensors have the published names behind ``backbone.``.
    taps
        Numbers of the tapped layers.
    heads
        One for each.
    """

    def __init__(self, width: int = 16, depth: int = 4, hidden: int = 256) -> None:
        super().__init__()
        self.backbone = UNet3d(width=width, depth=depth)
        self.taps = taps(depth)
        layers = self.backbone.size.layers()
        self.heads = nn.ModuleList(SampleHead(layers[tap].channels[1], hidden) for tap in self.taps)

    def forward(
        self, views: torch.Tensor, places: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Embeddings (P, 2n, hidden) at each tap, and the output's features (P, 2n, C).

        Parameters
        ----------
        views
            (P, 2, Z, Y, X).
        places
            For each tap (P, n): numbers of voxels on its grid, the same in both views. In
            what is returned, those of the first view come first.
        """
        _, maps = self.backbone.forward_taps(views.flatten(0, 1)[:, None], self.taps)
        chosen = [
            at_places(one.view(len(views), 2, *one.shape[1:]), where)
            for one, where in zip(maps, places, strict=True)
        ]
        embedded = [head(one) for head, one in zip(self.heads, chosen, strict=True)]
        return embedded, chosen[-1]


def at_places(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(P, 2n, C): the features of n voxels (P, n) in two views (P, 2, C, Z, Y, X)."""
    flat = maps.flatten(3)
    index = places[:, None, None, :].expand(*flat.shape[:3], -1)
    return flat.gather(3, index).permute(0, 1, 3, 2).flatten(1, 2)
