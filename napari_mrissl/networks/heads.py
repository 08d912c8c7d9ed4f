"""What sits on a backbone: a head for numbers of the whole crop, and one for images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from napari_mrissl.networks.backbones import Backbone

GROUPS = 8
DEEPEST = 3
"""How many scales, from the deepest, a head for numbers looks at."""


class VectorHead(nn.Module):
    """Numbers for the whole image from the means of the three deepest maps.

    The layout of the published head (arXiv:2211.08533): means of three scales side by side,
    dropout, two hidden layers, a linear layer. Corrected: group instead of batch
    normalisation, so that a small batch, or one spread over processes, means the same.

    Parameters
    ----------
    channels
        Of the backbone's maps, deepest first.
    outputs
        How many numbers; raw, without a sigmoid or the like.
    hidden
        Widths of the two hidden layers, multiples of 8; by default half the means, then
        256 or the first width, whichever is less (1216 and 256 at the published size).
    dropout
        Share of the means left out while training.
    """

    def __init__(
        self,
        channels: Sequence[int],
        outputs: int = 27,
        *,
        hidden: tuple[int, int] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        means = sum(channels[:DEEPEST])
        first = max(GROUPS, means // 2 // GROUPS * GROUPS)
        wide, narrow = hidden or (first, min(256, first))
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(means, wide),
            nn.GroupNorm(GROUPS, wide),
            nn.ReLU(),
            nn.Linear(wide, narrow),
            nn.GroupNorm(GROUPS, narrow),
            nn.ReLU(),
            nn.Linear(narrow, outputs),
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(N, outputs) of a backbone's maps."""
        means = [one.mean(dim=(2, 3, 4)) for one in maps[:DEEPEST]]
        numbers: torch.Tensor = self.layers(torch.cat(means, dim=1))
        return numbers


class ImageHead(nn.Module):
    """Images at full resolution: a 1x1x1 convolution of the last map.

    Its weights begin small and its bias at 0: the first answers are near one constant, and
    no steps are lost on taking noise back.

    Parameters
    ----------
    channels
        Of the backbone's maps, deepest first.
    outputs
        How many images; raw, without a sigmoid or the like.
    """

    def __init__(self, channels: Sequence[int], outputs: int = 1) -> None:
        super().__init__()
        self.layer = nn.Conv3d(channels[-1], outputs, kernel_size=1)
        nn.init.normal_(self.layer.weight, std=0.01)
        if self.layer.bias is not None:
            nn.init.zeros_(self.layer.bias)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(N, outputs, Z, Y, X) of a backbone's maps."""
        image: torch.Tensor = self.layer(maps[-1])
        return image


class ImageNetwork(nn.Module):
    """A backbone and an `ImageHead`: from an image to images of the same size.

    Parameters
    ----------
    backbone
        Its parameters are named ``backbone. ...``, as finetuning expects.
    outputs
        How many images.
    """

    def __init__(self, backbone: Backbone, outputs: int = 1) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = ImageHead(backbone.channels, outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, outputs, Z, Y, X), raw, of an image (N, C, Z, Y, X)."""
        images: torch.Tensor = self.head(self.backbone(image))
        return images
