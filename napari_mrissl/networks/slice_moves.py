"""Where the patches of the next slice lie in this one: geometry of actions, in torch.

An action is told in the frame of its slice (`napari_mrissl.geometry.actions`), so where each
patch comes from follows from it alone; inferred, since arXiv:2605.06487 does not say how its
network is told an action.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from napari_mrissl.networks.transformer import normed


def patch_centers(grid: int) -> torch.Tensor:
    """(grid, grid, 3) places of patches in the frame of their slice: right, up, normal; in fov."""
    along = (torch.arange(grid, dtype=torch.float32) + 0.5) / grid - 0.5
    up, right = torch.meshgrid(-along, along, indexing="ij")
    return torch.stack([right, up, torch.zeros_like(up)], dim=-1)


def origins(actions: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Where patches of the slices that actions lead to lie in the frames of those before.

    Parameters
    ----------
    actions
        (..., 7), unscaled; see `napari_mrissl.geometry.apply_action`.
    centers
        (grid, grid, 3), see `patch_centers`; or (..., grid, grid, 3), any places in the frames
        that actions lead to.

    Returns
    -------
    torch.Tensor
        (..., grid, grid, 3) right, up, normal, in fields of view of the slice before; single
        precision at least.
    """
    exact = actions.to(torch.promote_types(actions.dtype, torch.float32))
    way, turn, zoom = exact[..., :3], exact[..., 3:6], exact[..., 6]
    zero = torch.zeros_like(zoom)
    x, y, z = turn.unbind(-1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    rotation = torch.linalg.matrix_exp(cross.reshape(*zoom.shape, 3, 3))
    there = centers.to(exact) * zoom.exp()[..., None, None, None]
    # Half precision would put patches up to half a voxel beside their places.
    with torch.autocast(exact.device.type, enabled=False):
        turned = torch.einsum("...ij,...hwj->...hwi", rotation, there)
    return turned + way[..., None, None, :]


def latents_at(latents: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """What lies at places within slices, linear between patches; beyond the edge, what is there.

    A matrix product, since torch's `grid_sample` adds up gradients in an order of its own on
    CUDA.

    Parameters
    ----------
    latents
        (..., grid, grid, latent).
    places
        (..., grid, grid, 3), see `origins`; how far off the plane does not matter.
    """
    grid = latents.shape[-2]
    centers = torch.arange(grid, device=places.device, dtype=places.dtype)
    # Rows go down where up goes up.
    row, column = (
        (places[..., axis] * sign + 0.5) * grid - 0.5 for axis, sign in ((1, -1), (0, 1))
    )
    by_row, by_column = (
        functional.relu(1 - (one.clamp(0, grid - 1)[..., None] - centers).abs())
        for one in (row, column)
    )
    share = (by_row[..., :, None] * by_column[..., None, :]).flatten(-2).flatten(-3, -2)
    found = share.to(latents.dtype) @ latents.flatten(-3, -2)
    return found.reshape(latents.shape)


def carried(latents: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """Layer-normed latents of the slices that actions lead to by geometry alone; nothing learned.

    What leaves the plane, or comes in from beyond the edge, it does not know.

    Parameters
    ----------
    latents
        (..., grid, grid, latent), layer-normed.
    actions
        (..., 7), unscaled.
    """
    places = origins(actions, patch_centers(latents.shape[-2]).to(actions.device))
    return normed(latents_at(latents, places.to(latents)))
