"""MONAI's MedNeXt as a backbone that shows the maps of all its scales."""

from __future__ import annotations

import torch
from monai.networks.nets.mednext import MedNeXt as Layers

from napari_mrissl.networks.backbones import Backbone

_BLOCKS = 2
_EXPANSION = 2


class MedNeXt(Backbone):
    """MedNeXt of the small kind (arXiv:2303.09975): two blocks a scale, kernels of 3.

    The layers are MONAI's, without the last one, which is for segmentation. Every channel is
    normalised for each sample by itself, so that a map needs more than one voxel.

    Parameters
    ----------
    width
        Channels at full resolution; doubled at each scale.
    depth
        How many scales there are.
    image_channels
        Channels of the image.
    """

    def __init__(self, width: int = 32, depth: int = 5, image_channels: int = 1) -> None:
        super().__init__()
        self.channels = tuple(width * 2**scale for scale in reversed(range(depth)))
        self.stride = 2 ** (depth - 1)
        blocks = [_BLOCKS] * (depth - 1)
        layers = Layers(
            spatial_dims=3,
            init_filters=width,
            in_channels=image_channels,
            encoder_expansion_ratio=_EXPANSION,
            decoder_expansion_ratio=_EXPANSION,
            bottleneck_expansion_ratio=_EXPANSION,
            kernel_size=3,
            use_residual_connection=True,
            blocks_down=blocks,
            blocks_bottleneck=_BLOCKS,
            blocks_up=blocks,
        )
        # Taken over one by one: the output layer would have weights without a gradient.
        self.stem = layers.stem
        self.stages = layers.enc_stages
        self.down = layers.down_blocks
        self.deep = layers.bottleneck
        self.up = layers.up_blocks
        self.rising = layers.dec_stages

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps (N, channels, Z, Y, X), deepest first, of an image (N, C, Z, Y, X)."""
        return self.deepest(image, len(self.channels))

    def deepest(self, image: torch.Tensor, scales: int) -> tuple[torch.Tensor, ...]:
        """The first maps that `forward` gives; blocks above them do nothing."""
        image = self.stem(image)
        skips = []
        for stage, down in zip(self.stages, self.down, strict=True):
            skips.append(stage(image))
            image = down(skips[-1])
        maps = [self.deep(image)]
        for up, stage in list(zip(self.up, self.rising, strict=True))[: scales - 1]:
            maps.append(stage(up(maps[-1]) + skips.pop()))
        return tuple(maps)
