"""A residual 3-D U-Net from MONAI's blocks that shows the maps of all its scales."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock, UnetUpBlock
from torch import nn

from napari_mrissl.networks.backbones import Backbone

MOST_CHANNELS = 320
"""Where doubling ends, as in nnU-Net."""

GROUPS = 8
"""Groups of channels that are normalised together."""

_Named = tuple[str, dict[str, Any]]
_LAYERS: tuple[_Named, _Named] = (
    ("group", {"num_groups": GROUPS}),
    ("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
)


class ResidualUNet(Backbone):
    """Residual blocks down by strided convolution, up by transposed convolution.

    The layout is that of MONAI's ``DynUNet(res_block=True)`` without its output layer, but
    every weight has one name, and the maps of the decoder are the result. Channels are
    normalised in eight groups for each sample by itself, which unlike instance normalisation
    knows a map of a single voxel; like it, it takes the scale of a crop's brightness away.
    Every operation has a deterministic backward on CUDA.

    Parameters
    ----------
    width
        Channels at full resolution, a multiple of 8; doubled at each scale up to 320.
    depth
        How many scales there are.
    image_channels
        Channels of the image.
    """

    def __init__(self, width: int = 16, depth: int = 5, image_channels: int = 1) -> None:
        super().__init__()
        filters = [min(width * 2**scale, MOST_CHANNELS) for scale in range(depth)]
        self.channels = tuple(reversed(filters))
        self.stride = 2 ** (depth - 1)
        inputs = [image_channels, *filters[:-1]]
        self.down = nn.ModuleList(
            UnetResBlock(3, before, after, 3, 1 if scale == 0 else 2, *_LAYERS)
            for scale, (before, after) in enumerate(zip(inputs, filters, strict=True))
        )
        self.up = nn.ModuleList(
            UnetUpBlock(3, deep, shallow, 3, 1, 2, *_LAYERS)
            for deep, shallow in zip(self.channels[:-1], self.channels[1:], strict=True)
        )
        self.apply(_draw)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps (N, channels, Z, Y, X), deepest first, of an image (N, C, Z, Y, X)."""
        return self.deepest(image, len(self.channels))

    def deepest(self, image: torch.Tensor, scales: int) -> tuple[torch.Tensor, ...]:
        """The first maps that `forward` gives; blocks above them do nothing."""
        skips = []
        for block in self.down:
            image = block(image)
            skips.append(image)
        maps = [skips.pop()]
        for block in self.up[: scales - 1]:
            maps.append(block(maps[-1], skips.pop()))
        return tuple(maps)


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, a=0.01)
