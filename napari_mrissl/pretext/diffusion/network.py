"""A frozen network of body coordinates and the denoiser that it guides, as one network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from napari_mrissl.networks.coordinate_network import CoordinateNetwork, between, cells_of
from napari_mrissl.networks.denoising_unet import Denoised, DenoisingUNet
from napari_mrissl.pretext.diffusion.schedule import Schedule
from napari_mrissl.pretext.diffusion.settings import FREQUENCIES, DiffusionSettings


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


class DiffusionNetwork(nn.Module):
    """Takes noise out of patches.

    Parameters named ``backbone.`` and ``coordinates.`` are those of the network of coordinates;
    no step changes them. Without guidance there are none.

    Patches are in [-1, 1]. Coordinates go in as 2 c - 1, so that 0, the middle of a body, is
    also what a network is told that is told nothing; a further channel is not needed, as a patch
    whose voxels all lie in one point does not exist.
    """

    signal: torch.Tensor
    noise: torch.Tensor

    def __init__(self, settings: DiffusionSettings) -> None:
        super().__init__()
        self.settings = settings
        if settings.guided:
            frozen = CoordinateNetwork(settings.backbone).requires_grad_(requires_grad=False)
            # No module of its own: its parts have the names that their weights come with.
            self.backbone, self.coordinates = frozen.backbone, frozen.coordinates
        self.denoiser = DenoisingUNet(settings.denoiser, settings.channels, film=settings.film)
        self.joint: nn.Conv3d | None = None
        if settings.joint:
            self.joint = nn.Conv3d(settings.denoiser.channels[-1], 3, 1)
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

    def denoised(
        self,
        noisy: torch.Tensor,
        step: torch.Tensor,
        where: torch.Tensor | None,
        told: torch.Tensor | None = None,
    ) -> Denoised:
        """What the denoiser says, with the maps of its decoder.

        Parameters
        ----------
        noisy
            (N, 1, Z, Y, X).
        step
            (N,).
        where
            (N, 3, Z, Y, X) coordinates in [-1, 1], see `where`; None tells of none.
        told
            (N,) whether a patch has coordinates; None for all.
        """
        if not self.settings.guided:
            return self.denoiser(noisy, step)  # type: ignore[no-any-return]
        if where is None:
            where, told = noisy.new_zeros((len(noisy), 3, *noisy.shape[2:])), noisy.new_zeros(1)
        share = (noisy.new_ones(1) if told is None else told)[:, None, None, None, None]
        channels = share * (waves(where) if self.settings.encoding == "waves" else where)
        center = share[..., 0, 0, 0] * where.mean(dim=(2, 3, 4)) if self.settings.film else None
        found: Denoised = self.denoiser(torch.cat([noisy, channels], dim=1), step, center)
        return found

    @torch.no_grad()
    def where(self, clean: torch.Tensor) -> torch.Tensor | None:
        """(N, 3, Z, Y, X) coordinates in [-1, 1] of clean patches (N, 1, Z, Y, X)."""
        if not self.settings.guided:
            return None
        cells = cells_of(self.backbone, self.coordinates, (clean[:, 0] + 1) / 2)
        return 2 * between(cells) - 1

    def train(self, mode: bool = True) -> DiffusionNetwork:
        """As of any module, but what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.settings.guided:
            self.backbone.eval()
        return self

    def _of(self, values: torch.Tensor, step: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return values[step][:, None, None, None, None].to(like.dtype)


def waves(where: torch.Tensor) -> torch.Tensor:
    """(N, 24, ...) sines and cosines of coordinates (N, 3, ...) in [-1, 1], at four frequencies.

    As ``to_sin_cos`` of the authors' code for arXiv:2409.10291 is described.
    """
    turns = torch.pi * (where + 1)
    angles = torch.cat([turns * frequency for frequency in FREQUENCIES], dim=1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
