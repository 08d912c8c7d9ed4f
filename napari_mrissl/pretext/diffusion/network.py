"""The guided denoiser as it is trained: noise is put on patches, and what it is to say of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from napari_mrissl.networks.guided_denoiser import GuidedDenoiser
from napari_mrissl.networks.noise_schedule import Schedule
from napari_mrissl.pretext.diffusion.settings import DiffusionSettings


@dataclass(frozen=True, eq=False)
class Learned:
    """What a batch comes to.

    Attributes
    ----------
    answer, wanted
        (N, 1, Z, Y, X) prediction, and what it is to be.
    joint
        (N, 3, z, y, x) coordinates that the joint head reads from noisy patches; or None.
    coordinates
        (N, 3, z, y, x) what it is to read; or None.
    """

    answer: torch.Tensor
    wanted: torch.Tensor
    joint: torch.Tensor | None
    coordinates: torch.Tensor | None


class DiffusionNetwork(GuidedDenoiser):
    """Puts noise on patches, and takes it out again; see `GuidedDenoiser`.

    Parameters
    ----------
    settings
        Of the task.
    """

    signal: torch.Tensor
    noise: torch.Tensor

    def __init__(self, settings: DiffusionSettings) -> None:
        super().__init__(settings.shape)
        self.settings = settings
        schedule = Schedule(settings.schedule, settings.steps)
        for name, values in (("signal", schedule.signal), ("noise", schedule.noise)):
            self.register_buffer(name, torch.from_numpy(values).clone(), persistent=False)

    def forward(
        self,
        clean: torch.Tensor,
        noise: torch.Tensor,
        step: torch.Tensor,
        told: torch.Tensor,
        guide: torch.Tensor | None = None,
    ) -> Learned:
        """Predictions for patches with noise, and what they are to be.

        Parameters
        ----------
        clean, noise
            (N, 1, Z, Y, X).
        step
            (N,) of the noise.
        told
            (N,) whether a patch has coordinates, 1 or 0.
        guide
            (N, 1, Z, Y, X) the patches whose coordinates are told, if others.
        """
        a, s = (self._of(values, step, clean) for values in (self.signal, self.noise))
        noisy = a * clean + s * noise
        wanted = noise if self.settings.prediction == "epsilon" else a * noise - s * clean
        where = self.where(clean if guide is None else guide)
        found = self.denoised(noisy, step, where, told)
        joint = cells = None
        true = None if self.joint is None else self.where(clean)
        if self.joint is not None and true is not None:
            joint = self.joint(found.bottleneck)
            cells = nn.functional.adaptive_avg_pool3d(true, joint.shape[2:])
        return Learned(found.answer, wanted, joint, cells)

    def _of(self, values: torch.Tensor, step: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return values[step][:, None, None, None, None].to(like.dtype)
