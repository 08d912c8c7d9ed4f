"""Frozen features of slices: what a tokenizer, or dynamics on its latents, says of each patch.

Inferred, since arXiv:2605.06487 does not publish its probes: of a tokenizer the latent tokens
of its encoder; of dynamics the patch tokens that leave the last block, of the newest frame,
with the frames so far as context and the action that comes next set to zero. A single slice is
a context of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.networks.settings import TokenizerShape
from napari_mrissl.networks.slice_cards import SliceNetwork, slice_network
from napari_mrissl.networks.slice_dynamics import ACTIONS, Draft, SliceDynamics
from napari_mrissl.networks.slice_tokenizer import SliceTokenizer
from napari_mrissl.networks.transformer import normed

_BACKBONE, _DYNAMICS = "backbone.", "dynamics."


class SliceEncoder(nn.Module):
    """A network for slices as a source of features; it is never trained.

    Parameters
    ----------
    network
        What there is.

    Attributes
    ----------
    network
        As given.
    """

    def __init__(self, network: SliceNetwork) -> None:
        super().__init__()
        self.network = network
        self.backbone = SliceTokenizer(network.slices)
        self.dynamics: SliceDynamics | None = None
        if network.dynamics is not None:
            self.dynamics = SliceDynamics(
                network.dynamics, network.slices, (1.0,) * ACTIONS, drafts=network.drafts
            )
        self._hidden: torch.Tensor | None = None
        if self.dynamics is not None:
            self.dynamics.out.register_forward_pre_hook(self._note)
        self.eval().requires_grad_(requires_grad=False)

    @classmethod
    def of(cls, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> SliceEncoder:
        """With the weights of a run and what their card says.

        Raises
        ------
        MrisslError
            If it is another network, or the weights do not fit it.
        """
        encoder = cls(slice_network(card))
        own = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in state.items()
            if name.startswith((_BACKBONE, _DYNAMICS))
        }
        try:
            encoder.load_state_dict(own)
        except RuntimeError as error:
            raise MrisslError("weights do not fit what their card says", where="weights") from error
        return encoder

    @classmethod
    def open(cls, path: str | Path, device: str = "cpu") -> SliceEncoder:
        """From a file of weights.

        Raises
        ------
        MrisslError
            If it cannot be read, or is of another network.
        """
        return cls.of(*weights.load(path)).to(device)

    @classmethod
    def drawn(cls, network: SliceNetwork, seed: int) -> SliceEncoder:
        """As it is before training, a control."""
        # Drawing weights must not change what other code draws.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(network)

    def with_drawn_dynamics(self, seed: int) -> SliceEncoder:
        """This tokenizer and dynamics as they are before training, a control."""
        drawn = SliceEncoder.drawn(self.network, seed)
        drawn.backbone.load_state_dict(self.backbone.state_dict())
        return drawn

    @property
    def shape(self) -> TokenizerShape:
        """Of the slices and their patches."""
        return self.network.slices

    @property
    def channels(self) -> int:
        """Numbers that a patch is described by."""
        return self.network.channels

    @property
    def context(self) -> int:
        """The most frames that are looked at."""
        return self.network.context

    @torch.no_grad()
    def tokens(self, image: torch.Tensor, actions: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens (B, grid, grid, channels) of the last frame.

        Parameters
        ----------
        image
            (B, T, 2, size, size), see `SliceTokenizer.encode`; a tokenizer by itself looks at
            the last frame only.
        actions
            (B, T - 1, 7), unscaled; needed where there is more than one frame.
        """
        dynamics = self.dynamics
        if dynamics is None:
            return self.backbone.encode(image[:, -1])
        image = image[:, -self.context :]
        frames = image.shape[1]
        latents = normed(self.backbone.encode(image.flatten(0, 1)))
        latents = latents.reshape(*image.shape[:2], *latents.shape[1:])
        told = latents.new_zeros((len(image), frames, ACTIONS))
        if frames > 1 and self.network.heeds_actions:
            if actions is None:
                raise ValueError(f"{frames} frames without the actions between them")
            told[:, :-1] = actions[:, actions.shape[1] - frames + 1 :]
        draft = None
        if self.network.drafts:
            # The mean of what a draft begins as: this network never saw frames without one.
            none = torch.zeros(latents.shape[:2], dtype=torch.long, device=latents.device)
            draft = Draft(torch.zeros_like(latents), none, none)
        dynamics(latents, told, draft)
        hidden, self._hidden = self._hidden, None
        assert hidden is not None  # noqa: S101 - the network has just been called
        grid = self.shape.grid
        return hidden[:, -1].reshape(len(hidden), grid, grid, self.channels)

    def _note(self, module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self._hidden = given[0]
