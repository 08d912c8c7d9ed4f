"""Blocks of transformers: attention and a small network, each behind a layer norm.

Positions are added to the tokens by whoever makes them. On CUDA attention takes torch's plain
way: the backward passes of the fused ones add up in an order of their own.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

Seen = tuple[torch.Tensor, torch.Tensor]
"""Keys and values (B, heads, n, width / heads) of the tokens before."""

Change = tuple[torch.Tensor, torch.Tensor]
"""What tokens are scaled by, less 1, and shifted by."""


class Block(nn.Module):
    """Attention, then two linear layers with GELU between them, each added to its input.

    Parameters
    ----------
    width
        Of a token.
    heads
        Of the attention; they share the width.
    conditioned
        Whether something told to each token scales and shifts it after both layer norms, as in
        DiT (arXiv:2212.09748).
    """

    def __init__(self, width: int, heads: int, *, conditioned: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.before_layers = nn.LayerNorm(width)
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        # Not zero at first, as in DiT: behind a last layer of zeros nothing would ever move it.
        self.condition = nn.Linear(width, 4 * width) if conditioned else None

    def forward(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor | None = None,
        seen: Seen | None = None,
        told: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Seen]:
        """Tokens (B, n, width) after this block, and what later tokens will look at.

        Parameters
        ----------
        tokens
            (B, n, width).
        mask
            (n, m) bool, whether a token sees another; all by default.
        seen
            Of tokens before these; the m tokens are those and the n new ones.
        told
            (B, n, width) or (B, 1, width), for a conditioned block.
        """
        count, new, width = tokens.shape
        first, second = self._changes(told)
        mixed = self.attention(_changed(self.before_attention(tokens), first))
        query, key, value = mixed.view(count, new, 3, self.heads, width // self.heads).permute(
            2, 0, 3, 1, 4
        )
        if seen is not None:
            key = torch.cat([seen[0].to(key.dtype), key], dim=2)
            value = torch.cat([seen[1].to(value.dtype), value], dim=2)
        with _reproducible(query.device):
            found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        tokens = tokens + self.joined(found.transpose(1, 2).reshape(count, new, width))
        tokens = tokens + self.layers(_changed(self.before_layers(tokens), second))
        return tokens, (key, value)

    def _changes(self, told: torch.Tensor | None) -> tuple[Change | None, Change | None]:
        if self.condition is None or told is None:
            return None, None
        a, b, c, d = self.condition(told).chunk(4, dim=-1)
        return (a, b), (c, d)


def _changed(tokens: torch.Tensor, change: Change | None) -> torch.Tensor:
    return tokens if change is None else tokens * (1 + change[0]) + change[1]


def normed(tokens: torch.Tensor) -> torch.Tensor:
    """Each token with mean 0 and variance 1, without gains; at least single precision."""
    exact = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
    return functional.layer_norm(exact, exact.shape[-1:])


def places_in_grid(grid: int, width: int) -> torch.Tensor:
    """(grid * grid, width) sines and cosines of row and column, fixed (arXiv:2111.06377).

    Parameters
    ----------
    grid
        Patches along each side.
    width
        Of a token, a multiple of 4.
    """
    quarter = width // 4
    rates = 1e4 ** -(np.arange(quarter) / quarter)
    angles = np.arange(grid)[:, None] * rates
    along = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    rows = np.repeat(along, grid, axis=0)
    columns = np.tile(along, (grid, 1))
    return torch.from_numpy(np.concatenate([rows, columns], axis=1)).float()


def _reproducible(device: torch.device) -> contextlib.AbstractContextManager[None]:
    if device.type == "cpu":
        return contextlib.nullcontext()
    return sdpa_kernel(SDPBackend.MATH)
