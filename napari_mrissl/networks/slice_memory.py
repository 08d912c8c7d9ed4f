"""What a flight remembers of the places that an action leads to: geometry of actions, in torch.

Where each patch of the next slice lies beside every slice so far follows from the actions
between them. What these slices show there is joined to what the flight knows of the place: a
weighted straight line along the normal, where slices count that come near. So a flight that
comes back finds again what was there, and one that turns knows what lies beside its plane.
Inferred: arXiv:2605.06487 does not say how its network looks back.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from napari_mrissl.networks.slice_moves import latents_at, origins, patch_centers
from napari_mrissl.networks.transformer import normed

NEAR = 0.1
"""Patches: a slice that far off counts by exp(-1/2) of one that holds the place."""

RIDGE = 0.1
"""Patches: slopes along the normal of slices that lie no farther apart than this are halved."""

FADES = 1.0
"""By how much the logarithm of what a slice counts falls with each slice after it."""

TOLD = 3


class Recalled(NamedTuple):
    """What is remembered of the places of patches.

    Attributes
    ----------
    latents
        (B, T, grid, grid, latent).
    told
        (B, T, grid, grid, 3) in patches: how far above the slices that count the place lies in
        the mean, how far these lie apart, and how far off they are; single precision.
    """

    latents: torch.Tensor
    told: torch.Tensor


def recalled(
    latents: torch.Tensor, actions: torch.Tensor, centers: torch.Tensor, new: int
) -> Recalled:
    """What frames so far remember of the places of patches of the frames after the newest.

    Parameters
    ----------
    latents
        (B, F, grid, grid, latent) of frames 0 to F - 1.
    actions
        (B, F, 7), unscaled; action t leads from frame t to frame t + 1.
    centers
        (grid, grid, 3), see `slice_moves.patch_centers`.
    new
        T, how many of the frames, the newest, something is asked after.
    """
    frames, grid = latents.shape[1], centers.shape[0]
    asked = torch.arange(frames - new, frames, device=latents.device)
    place, places, exists = centers, [], []
    for lag in range(frames):
        number = (asked - lag).clamp(min=0)
        place = origins(actions[:, number], place)
        places.append(place)
        exists.append(asked >= lag)
    where = torch.stack(places) * grid
    height = where[..., 2]
    beyond = (where[..., :2].abs() - (grid - 1) / 2).clamp(min=0)
    away = height.square() + beyond.square().sum(-1)
    known = torch.stack(exists)[:, None, :, None, None]
    ages = torch.arange(frames, device=away.device).reshape(-1, 1, 1, 1, 1)
    counts = away / (-2 * NEAR**2) - FADES * ages
    shares = torch.softmax(counts.masked_fill(~known, -torch.inf), dim=0)
    middle = (shares * height).sum(0)
    apart = (shares * (height - middle).square()).sum(0)
    # Along the normal, the line through the mean of what is known, at height 0.
    factors = shares * (1 - (height - middle) * (middle / (apart + RIDGE**2)))
    found = torch.zeros_like(latents[:, asked])
    for lag in range(frames):
        number = (asked - lag).clamp(min=0)
        there = latents_at(latents[:, number], places[lag].to(latents))
        found = found + factors[lag, ..., None].to(latents) * there
    off = (shares * away).sum(0)
    return Recalled(found, torch.stack([middle, apart.sqrt(), off.sqrt()], dim=-1))


def remembered(latents: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """Layer-normed latents of the frames after all of a flight by memory alone; nothing learned.

    Parameters
    ----------
    latents
        (B, T, grid, grid, latent), layer-normed.
    actions
        (B, T, 7), unscaled.
    """
    _, frames, grid = latents.shape[:3]
    centers = patch_centers(grid).to(actions.device)
    return normed(recalled(latents, actions, centers, frames).latents)
