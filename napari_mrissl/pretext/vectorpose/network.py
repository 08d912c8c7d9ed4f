"""A backbone with a head for vectors, a head for images, or both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from napari_mrissl.networks.backbones import Backbone, build
from napari_mrissl.networks.heads import DEEPEST, ImageHead, VectorHead
from napari_mrissl.networks.normalisation import group_norm
from napari_mrissl.pretext.vectorpose.settings import VectorPoseSettings

NUMBERS = 27
_SPATIAL = 2
_WIDEST = 32
_HIDDEN = (256, 128)


class SpatialHead(nn.Module):
    """Numbers for the whole image from the voxels of the deepest maps, side by side.

    Means forget where in a crop something lies. As the authors' first head for
    arXiv:2211.08533 this one keeps it, which a small network learns from sooner; its layers
    are our own (inferred).

    Parameters
    ----------
    channels
        Of the backbone's maps, deepest first.
    sides
        Of those maps, in voxels.
    dropout
        Share of its inputs left out while training.
    """

    def __init__(self, channels: Sequence[int], sides: Sequence[int], dropout: float = 0.2) -> None:
        super().__init__()
        # Fewer channels where there are more voxels.
        widths = [max(4, _WIDEST // 2**level) for level in range(_SPATIAL)]
        self.squeeze = nn.ModuleList(
            nn.Conv3d(before, after, 1)
            for before, after in zip(channels[:_SPATIAL], widths, strict=True)
        )
        inputs = sum(width * side**3 for width, side in zip(widths, sides, strict=True))
        wide, narrow = _HIDDEN
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(inputs, wide),
            group_norm(wide),
            nn.ReLU(),
            nn.Linear(wide, narrow),
            group_norm(narrow),
            nn.ReLU(),
            nn.Linear(narrow, NUMBERS),
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(N, 27) of a backbone's maps."""
        flat = [layer(one).flatten(1) for layer, one in zip(self.squeeze, maps, strict=False)]
        numbers: torch.Tensor = self.layers(torch.cat(flat, dim=1))
        return numbers


class VectorPoseNetwork(nn.Module):
    """The network of VectorPOSE; what it gives depends on its settings.

    Attributes
    ----------
    backbone
        Shared by all heads.
    vector_head, image_head
        None where they are not trained.
    """

    def __init__(self, settings: VectorPoseSettings) -> None:
        super().__init__()
        self.backbone: Backbone = build(settings.backbone)
        channels = self.backbone.channels
        self.vector_head: nn.Module | None = None
        self.image_head: nn.Module | None = None
        self._scales = DEEPEST if settings.head == "pooled" else _SPATIAL
        if settings.vectors and settings.head == "pooled":
            self.vector_head = VectorHead(channels, NUMBERS, dropout=settings.dropout)
        elif settings.vectors:
            deepest = settings.crop.side // self.backbone.stride
            sides = [deepest * 2**level for level in range(_SPATIAL)]
            self.vector_head = SpatialHead(channels, sides, settings.dropout)
        if settings.restores:
            self.image_head = ImageHead(channels, 2 if _predicts_boundary(settings) else 1)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """``vectors`` (N, 27) and ``restored`` (N, 1 or 2, Z, Y, X), raw, of an image."""
        if self.image_head is None:
            # Full resolution costs most, and vectors do not need it.
            maps = self.backbone.deepest(image, self._scales)
        else:
            maps = self.backbone(image)
        found = {}
        if self.vector_head is not None:
            found["vectors"] = self.vector_head(maps)
        if self.image_head is not None:
            found["restored"] = self.image_head(maps)
        return found


def _predicts_boundary(settings: VectorPoseSettings) -> bool:
    return settings.restoration == "predict_boundary"
