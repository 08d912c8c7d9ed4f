"""A frozen tokenizer and the dynamics on its latents, as one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from napari_mrissl.networks.slice_dynamics import FINEST, Draft, Past, SliceDynamics
from napari_mrissl.networks.slice_tokenizer import SliceTokenizer
from napari_mrissl.networks.transformer import normed
from napari_mrissl.pretext.navigation.settings import ACTION_SCALE, DynamicsSettings

_DRAWING_STEPS = 4
_NOISE_SEED = 0


class Noise(NamedTuple):
    """What shortcut forcing draws for a batch.

    Attributes
    ----------
    latents
        (B, T - 1, grid, grid, latent) Gaussian.
    level, size
        See `Draft`.
    """

    latents: torch.Tensor
    level: torch.Tensor
    size: torch.Tensor


@dataclass(frozen=True, eq=False)
class Predicted:
    """What the network says of a batch; latents are layer-normed, (B, frames, grid, grid, latent).

    Attributes
    ----------
    latents
        True ones of frames 0 to T - 1.
    next
        Of frames 1 to T - 1, each from all true frames before it.
    rolled
        Of frames 2 and on, from frame 0 and what was predicted since; None without a rollout.
    draft, target
        For shortcut forcing: what went in, and for steps that are not the finest the velocity
        that two half steps come to; ``rough`` (B, T - 1) says where.
    """

    latents: torch.Tensor
    next: torch.Tensor
    rolled: torch.Tensor | None = None
    draft: Draft | None = None
    target: torch.Tensor | None = None
    rough: torch.Tensor | None = None


class DynamicsNetwork(nn.Module):
    """Predicts latents of frames from the frames before and the actions.

    Parameters named ``backbone.`` are those of the tokenizer; no step changes them.
    """

    def __init__(self, settings: DynamicsSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = SliceTokenizer(settings.backbone).requires_grad_(requires_grad=False)
        self.dynamics = SliceDynamics(
            settings.dynamics,
            settings.backbone,
            ACTION_SCALE,
            drafts=settings.objective == "shortcut",
        )

    def latents(self, image: torch.Tensor) -> torch.Tensor:
        """Layer-normed latents (B, T, grid, grid, latent) of frames (B, T, 2, N, N)."""
        with torch.no_grad():
            found = self.backbone.encode(image.flatten(0, 1))
            return normed(found).reshape(*image.shape[:2], *found.shape[1:])

    def forward(
        self, image: torch.Tensor, actions: torch.Tensor, noise: Noise | None = None
    ) -> Predicted:
        """Predictions for flights.

        Parameters
        ----------
        image
            (B, T, 2, N, N).
        actions
            (B, T - 1, 7).
        noise
            For shortcut forcing, which has no rollout.
        """
        true = self.latents(image)
        if self.settings.actions == "zero":
            actions = torch.zeros_like(actions)
        if noise is not None:
            return self._drafted(true, actions, noise)
        ahead = self.dynamics(true[:, :-1], actions)
        rolled = self._rolled(true, actions) if self.settings.rollout > 1 else None
        return Predicted(true, ahead, rolled)

    def _rolled(self, true: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        latents, past = self.dynamics.extend(true[:, :1], actions[:, :1])
        found = []
        for step in range(1, self.settings.rollout):
            latents, past = self.dynamics.extend(latents, actions[:, step : step + 1], past)
            found.append(latents)
        return torch.cat(found, dim=1)

    def _drafted(self, true: torch.Tensor, actions: torch.Tensor, noise: Noise) -> Predicted:
        """Predictions from drafts, and targets where a step is as long as two others."""
        before, after = true[:, :-1], true[:, 1:]
        part = (noise.level.to(after.dtype) / FINEST)[..., None, None, None]
        draft = Draft((1 - part) * noise.latents + part * after, noise.level, noise.size)
        clean = self.dynamics(before, actions, draft)
        rough = noise.size > 0
        with torch.no_grad():
            # Where a step is the finest the half does not exist, and is not asked for.
            half = (noise.size - 1).clamp(min=0)
            way = (2**half).to(after.dtype)[..., None, None, None] / FINEST
            first = Draft(draft.latents, noise.level, half)
            velocity = (self.dynamics(before, actions, first) - draft.latents) / (1 - part)
            later = (noise.level + 2**half).clamp(max=FINEST - 1)
            second = Draft(draft.latents + way * velocity, later, half)
            rest = 1 - (later.to(after.dtype) / FINEST)[..., None, None, None]
            again = (self.dynamics(before, actions, second) - second.latents) / rest
            target = (velocity + again) / 2
        return Predicted(true, clean, None, draft, target, rough)

    @torch.no_grad()
    def imagine(
        self, latents: torch.Tensor, actions: torch.Tensor, past: Past | None = None
    ) -> tuple[torch.Tensor, Past]:
        """Layer-normed latents of the frames after given ones, and the past with these in it.

        A network of shortcut forcing draws in four steps, out of the same noise every time.

        Parameters
        ----------
        latents
            (B, n, grid, grid, latent), layer-normed.
        actions
            (B, n, 7), one from each of them.
        past
            Of the frames before.
        """
        if self.settings.actions == "zero":
            actions = torch.zeros_like(actions)
        if self.settings.objective != "shortcut":
            return self.dynamics.extend(latents, actions, past)
        generator = torch.Generator().manual_seed(_NOISE_SEED)
        drawn = torch.randn(latents.shape[2:], generator=generator, dtype=torch.float32)
        drawn = drawn.to(latents).expand_as(latents)
        stride = FINEST // _DRAWING_STEPS
        size = torch.full(latents.shape[:2], stride.bit_length() - 1, device=latents.device)
        after = past
        for level in range(0, FINEST, stride):
            draft = Draft(drawn, torch.full_like(size, level), size)
            clean, after = self.dynamics.extend(latents, actions, past, draft)
            drawn = drawn + (clean - drawn) * (stride / (FINEST - level))
        assert after is not None  # noqa: S101 - there is at least one step
        return normed(drawn), after
