"""The control ``scratch``: no pretraining, but a run like any other to start from."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from napari_mrissl.networks.backbones import Backbone, build
from napari_mrissl.pretext.scratch_settings import INFO, ScratchSettings
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Task


class Untrained(nn.Module):
    """A backbone that no step changes.

    Its output is 0 with gradients of 0 for all parameters, and the backbone itself is not
    called: neither weights nor running statistics leave what was drawn.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, nothing: torch.Tensor) -> torch.Tensor:
        """(N,) zeros."""
        zero = torch.stack([parameter.sum() * 0 for parameter in self.parameters()]).sum()
        return nothing * zero


class Scratch(Task[ScratchSettings]):
    """Draw weights and keep them; the term ``untrained`` is always 0."""

    info = INFO

    def network(self) -> Untrained:
        """The freshly drawn backbone."""
        return Untrained(build(self.settings.backbone))

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """Nothing, of nobody."""
        return Sample({"nothing": np.zeros(1, np.float32)}, "")

    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``untrained``: 0."""
        outputs = network(batch["nothing"])
        return {"untrained": LossTerm(outputs.sum(), float(outputs.numel()))}

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """No term can be better or worse than another."""
        return {}
