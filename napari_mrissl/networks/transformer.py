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


class Block(nn.Module):
    """Attention, then two linear layers with GELU between them, each added to its input.

    Parameters
    ----------
    width
        Of a token.
    heads
        Of the attention; they share the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.before_layers = nn.LayerNorm(width)
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor | None = None,
        seen: Seen | None = None,
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
        """
        count, new, width = tokens.shape
        mixed = self.attention(self.before_attention(tokens))
        query, key, value = mixed.view(count, new, 3, self.heads, width // self.heads).permute(
            2, 0, 3, 1, 4
        )
        if seen is not None:
            key = torch.cat([seen[0].to(key.dtype), key], dim=2)
            value = torch.cat([seen[1].to(value.dtype), value], dim=2)
        with _reproducible(query.device):
            found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        tokens = tokens + self.joined(found.transpose(1, 2).reshape(count, new, width))
        tokens = tokens + self.layers(self.before_layers(tokens))
        return tokens, (key, value)


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
    return sdpa_kernel(SDPBackend.MATH)  # type: ignore[no-untyped-call, no-any-return]
