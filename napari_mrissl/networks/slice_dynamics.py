"""The dynamics of slices: latent tokens of the next slice from those so far and the actions.

After V-JEPA 2-AC (arXiv:2506.09985): block-causal, an action token beside the patch tokens of
each step, latents and predictions layer-normed without gains. As in Navigation World Models
(arXiv:2412.03572) the action also scales and shifts every token of its step: what it does to
a patch is a product of both, which sums alone are slow to learn. Inferred: each patch is told
where the action takes it from, what lies there, and what the flight remembers of the place
(`slice_memory`); a prediction is added to the latents before it, or as far as learned shares
say to these two, so that an untrained network copies, and one that saw wrong actions goes on
doing so; no token tells the pose, which would give position away. The shortcut variant is
after Dreamer 4 (arXiv:2509.24527). The network of arXiv:2605.06487 is not public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.networks.slice_memory import TOLD, recalled
from napari_mrissl.networks.slice_moves import latents_at, origins, patch_centers
from napari_mrissl.networks.transformer import Block, Seen, normed, places_in_grid

ACTIONS = 7
FINEST = 8
"""The finest schedule of shortcut forcing takes so many steps from noise to a slice."""

_SIZES = FINEST.bit_length()
_PLACE = 6 + TOLD
_SHARES = 2


@dataclass(frozen=True, eq=False)
class Past:
    """What later frames look at.

    Attributes
    ----------
    frames
        How many there are.
    seen
        Of each layer.
    latents, actions
        Of all of them, (B, frames, grid, grid, latent) and (B, frames, 7).
    """

    frames: int
    seen: tuple[Seen, ...]
    latents: torch.Tensor
    actions: torch.Tensor


class Draft(NamedTuple):
    """A noisy version of the latents that are to be predicted, for shortcut forcing.

    Attributes
    ----------
    latents
        (B, T, grid, grid, latent).
    level
        (B, T) whole numbers: how many of `FINEST` parts of the way from noise are done.
    size
        (B, T) whole numbers: the step is 2 ** size of these parts.
    """

    latents: torch.Tensor
    level: torch.Tensor
    size: torch.Tensor


class SliceDynamics(nn.Module):
    """Predicts the latents of the next frame.

    Tokens of a step are its action and the patches of its frame; a token sees all tokens of
    its own and of earlier steps.

    Parameters
    ----------
    shape, slices
        How large, and of the tokenizer.
    action_scale
        What actions are divided by: their usual spread.
    drafts
        Whether it takes a `Draft`; its answers are then layer-normed by nobody.
    """

    def __init__(
        self,
        shape: DynamicsShape,
        slices: TokenizerShape,
        action_scale: Sequence[float],
        *,
        drafts: bool = False,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.grid = slices.grid
        width = shape.width
        self.patches_in = nn.Linear(slices.latent, width)
        self.action_in = nn.Linear(ACTIONS, width)
        told = ACTIONS + (_PLACE if shape.follows else 0)
        self.told = nn.Sequential(nn.Linear(told, width), nn.SiLU(), nn.Linear(width, width))
        self.moved_in = nn.Linear(_SHARES * slices.latent, width) if shape.follows else None
        self.times = nn.Parameter(torch.zeros(shape.context, width).normal_(std=0.02))
        self.blocks = nn.ModuleList(
            Block(width, shape.heads, conditioned=True) for _ in range(shape.depth)
        )
        self.latent = slices.latent
        # Two more say how far a patch is what lies where it comes from, and what is remembered.
        self.out = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, slices.latent + _SHARES * shape.follows)
        )
        for parameter in self.out[1].parameters():
            nn.init.zeros_(parameter)
        self.draft_in: nn.Linear | None = None
        if drafts:
            self.draft_in = nn.Linear(slices.latent, width)
            self.levels = nn.Embedding(FINEST, width)
            self.sizes = nn.Embedding(_SIZES, width)
        self.action_scale: torch.Tensor
        self.register_buffer("action_scale", torch.tensor(action_scale, dtype=torch.float32))
        self.places: torch.Tensor
        self.register_buffer("places", places_in_grid(self.grid, width), persistent=False)
        self.centers: torch.Tensor
        self.register_buffer("centers", patch_centers(self.grid), persistent=False)

    def forward(
        self, latents: torch.Tensor, actions: torch.Tensor, draft: Draft | None = None
    ) -> torch.Tensor:
        """Layer-normed latents (B, T, grid, grid, latent) of the frames after each of T frames.

        Parameters
        ----------
        latents
            (B, T, grid, grid, latent) of frames 0 to T - 1, layer-normed; at
            most as many frames as the context has.
        actions
            (B, T, 7), unscaled; action t leads from frame t to frame t + 1.
        draft
            Where the network takes drafts.
        """
        return self.extend(latents, actions, None, draft)[0]

    def extend(
        self,
        latents: torch.Tensor,
        actions: torch.Tensor,
        past: Past | None = None,
        draft: Draft | None = None,
    ) -> tuple[torch.Tensor, Past]:
        """As `forward`, of frames that follow others, and the past of what comes after.

        Raises
        ------
        ValueError
            If there are more frames than the context has.
        """
        new = latents.shape[1]
        before = 0 if past is None else past.frames
        if before + new > self.shape.context:
            raise ValueError(f"{before + new} frames in a context of {self.shape.context}")
        scaled = actions / self.action_scale
        patches = self.patches_in(latents.flatten(2, 3)) + self.places
        if draft is not None and self.draft_in is not None:
            where = self.levels(draft.level) + self.sizes(draft.size)
            patches = patches + self.draft_in(draft.latents.flatten(2, 3)) + where[:, :, None]
        told, moved = scaled[:, :, None].expand(-1, -1, self.grid**2 + 1, -1), None
        all_latents, all_actions = latents, actions
        if past is not None:
            all_latents = torch.cat([past.latents, latents], dim=1)
            all_actions = torch.cat([past.actions, actions], dim=1)
        if self.moved_in is not None:
            moved, place = self._followed(all_latents, all_actions, new)
            patches = patches + self.moved_in(moved.flatten(-2).flatten(2, 3))
            told = torch.cat([told, place.to(told)], dim=-1)
        tokens = torch.cat([self.action_in(scaled)[:, :, None], patches], dim=2)
        tokens = tokens + self.times[before : before + new, None]
        each = tokens.shape[2]
        told = self.told(told).flatten(1, 2)
        tokens = tokens.flatten(1, 2)
        mask = None if new == 1 else _causal(before, new, each, tokens.device)
        seen: list[Seen] = []
        for number, block in enumerate(self.blocks):
            tokens, own = block(tokens, mask, None if past is None else past.seen[number], told)
            seen.append(own)
        count, _, width = tokens.shape
        said = self.out(tokens.reshape(count, new, each, width)[:, :, 1:]).to(latents.dtype)
        said = said.reshape(*latents.shape[:-1], -1)
        found = latents + said[..., : self.latent]
        if moved is not None:
            found = found + (moved @ said[..., self.latent :, None])[..., 0]
        return found if self.draft_in is not None else normed(found), Past(
            before + new, tuple(seen), all_latents, all_actions
        )

    def _followed(
        self, latents: torch.Tensor, actions: torch.Tensor, new: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What lies where patches come from, and what a token is told of these places.

        Parameters
        ----------
        latents, actions
            Of all frames so far, the last ``new`` of which lead on.

        Returns
        -------
        tuple
            (B, T, grid, grid, latent, 2) by how much what lies there, and what is remembered of
            the place, differ from the latents; and (B, T, 1 + patches, 9): zeros for the action,
            for each patch its place, its way in patches, and `Recalled.told`.
        """
        newest = latents[:, -new:]
        places = origins(actions[:, -new:], self.centers)
        here = latents_at(newest, places.to(latents))
        memory = recalled(latents, actions, self.centers, new)
        way = (places - self.centers.to(places)) * self.grid
        told = torch.cat([2 * places, way, memory.told], dim=-1).flatten(2, 3)
        moved = torch.stack([here - newest, memory.latents - newest], dim=-1)
        return moved, functional.pad(told, (0, 0, 1, 0))


def _causal(before: int, new: int, each: int, device: torch.device) -> torch.Tensor:
    """(new * each, (before + new) * each) whether a token sees another."""
    steps = torch.arange(before + new, device=device).repeat_interleave(each)
    return steps[before * each :, None] >= steps[None]
