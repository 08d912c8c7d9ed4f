"""A backbone and a small head that gives a number for each class at each voxel."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional

from napari_mrissl.networks.backbones import build
from napari_mrissl.networks.heads import ImageHead
from napari_mrissl.segmentation.finetuning.task_settings import FinetuneTaskSettings


class SegmentationNetwork(nn.Module):
    """Logits (N, K, Z, Y, X) of an image (N, 1, Z, Y, X).

    With mode ``full`` all weights are trained and the head is a 1x1x1 convolution of the
    finest map, as published (arXiv:2411.02372). Otherwise the backbone is frozen, its running
    statistics too, the features of each voxel are divided by their length, and the head is
    one 1x1x1 convolution (``linear``) or two with a ReLU between (``nonlinear``).

    Parameters
    ----------
    settings
        Of the finetuning.

    Attributes
    ----------
    backbone, head
        Parameters of the first have names that begin with ``backbone.``.
    stride
        What every side of an image must be a multiple of.
    """

    def __init__(self, settings: FinetuneTaskSettings) -> None:
        super().__init__()
        self.backbone = build(settings.backbone)
        self.stride = settings.backbone.stride
        self.frozen = settings.mode != "full"
        channels, classes = self.backbone.channels, len(settings.classes)
        self.head: nn.Module
        if settings.mode == "nonlinear":
            self.head = TwoLayers(channels[-1], settings.hidden, classes)
        else:
            self.head = ImageHead(channels, classes)
        if self.frozen:
            self.backbone.requires_grad_(False)
            self.backbone.eval()

    def train(self, mode: bool = True) -> Self:
        """As any module, but what is frozen stays as in evaluation."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, K, Z, Y, X), raw, of an image (N, 1, Z, Y, X)."""
        if not self.frozen:
            logits: torch.Tensor = self.head(self.backbone(image))
            return logits
        with torch.no_grad():
            finest = self.backbone(image)[-1]
            # One length whatever the number of channels: weights of the head are alike.
            features = functional.normalize(finest, dim=1) * finest.shape[1] ** 0.5
        of_features: torch.Tensor = self.head((features,))
        return of_features


class TwoLayers(nn.Module):
    """1x1x1 convolution, ReLU, 1x1x1 convolution."""

    def __init__(self, channels: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, hidden, kernel_size=1)
        self.second = nn.Conv3d(hidden, classes, kernel_size=1)

    def forward(self, maps: Any) -> torch.Tensor:
        """(N, classes, Z, Y, X) of a backbone's maps."""
        logits: torch.Tensor = self.second(functional.relu(self.first(maps[-1])))
        return logits
