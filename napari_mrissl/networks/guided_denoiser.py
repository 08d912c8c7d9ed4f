"""A frozen network of body coordinates and the denoiser that it guides, as one network."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import nn

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.networks.coordinate_network import CoordinateNetwork, between, cells_of
from napari_mrissl.networks.denoising_unet import Denoised, DenoisingUNet
from napari_mrissl.networks.diffusion_cards import FREQUENCIES, GuidedShape, diffusion_card


class GuidedDenoiser(nn.Module):
    """Takes noise out of patches.

    Parameters named ``backbone.`` and ``coordinates.`` are those of the network of coordinates;
    no step changes them. Without guidance there are none.

    Patches are in [-1, 1]. Coordinates go in as 2 c - 1, so that 0, the middle of a body, is
    also what a network is told that is told nothing; a further channel is not needed, as a patch
    whose voxels all lie in one point does not exist.

    Parameters
    ----------
    shape
        How large it is.
    """

    def __init__(self, shape: GuidedShape) -> None:
        super().__init__()
        self.shape = shape
        if shape.backbone is not None:
            frozen = CoordinateNetwork(shape.backbone).requires_grad_(requires_grad=False)
            # No module of its own: its parts have the names that their weights come with.
            self.backbone, self.coordinates = frozen.backbone, frozen.coordinates
        self.denoiser = DenoisingUNet(shape.denoiser, shape.channels, film=shape.film)
        self.joint: nn.Conv3d | None = None
        if shape.joint:
            self.joint = nn.Conv3d(shape.denoiser.channels[-1], 3, 1)

    @classmethod
    def open(cls, path: Path, device: str = "cpu", drawn: int | None = None) -> Self:
        """The network of a file of weights, for evaluation.

        Parameters
        ----------
        path
            The file.
        device
            Where the network goes.
        drawn
            The seed of a denoiser as it is before training, whose coordinates are those of the
            file; None for the trained one.

        Raises
        ------
        MrisslError
            If they are of another method, or not those of their card.
        """
        state, card = weights.load(path, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(drawn or 0)
            network = cls(diffusion_card(card).shape)
        if drawn is not None:
            kept = {n: t for n, t in network.state_dict().items() if n.startswith("denoiser.")}
            state = {**state, **kept}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise MrisslError("weights are not those of their card", where=path) from error
        return network.to(device).float().eval().requires_grad_(requires_grad=False)

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
        if self.shape.backbone is None:
            return self.denoiser(noisy, step)  # type: ignore[no-any-return]
        if where is None:
            where, told = noisy.new_zeros((len(noisy), 3, *noisy.shape[2:])), noisy.new_zeros(1)
        share = (noisy.new_ones(1) if told is None else told)[:, None, None, None, None]
        channels = share * (waves(where) if self.shape.encoding == "waves" else where)
        center = share[..., 0, 0, 0] * where.mean(dim=(2, 3, 4)) if self.shape.film else None
        found: Denoised = self.denoiser(torch.cat([noisy, channels], dim=1), step, center)
        return found

    @torch.no_grad()
    def where(self, clean: torch.Tensor) -> torch.Tensor | None:
        """(N, 3, Z, Y, X) coordinates in [-1, 1] of clean patches (N, 1, Z, Y, X)."""
        if self.shape.backbone is None:
            return None
        cells = cells_of(self.backbone, self.coordinates, (clean[:, 0] + 1) / 2)
        return 2 * between(cells) - 1

    def train(self, mode: bool = True) -> Self:
        """As of any module, but what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.shape.backbone is not None:
            self.backbone.eval()
        return self


def waves(where: torch.Tensor) -> torch.Tensor:
    """(N, 24, ...) sines and cosines of coordinates (N, 3, ...) in [-1, 1], at four frequencies.

    As ``to_sin_cos`` of the authors' code for arXiv:2409.10291 is described.
    """
    turns = torch.pi * (where + 1)
    angles = torch.cat([turns * frequency for frequency in FREQUENCIES], dim=1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
