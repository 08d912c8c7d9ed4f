"""The tokenizer of slices: a masked autoencoder whose tokens stay where their patches are.

After the tokenizer of Dreamer 4 (arXiv:2509.24527: masked autoencoding, a bottleneck of tanh)
and masked autoencoders (arXiv:2111.06377). Inferred: arXiv:2605.06487, which trains "spatial
latent tokens" of rendered slices, does not publish its network. Each slice is encoded by itself,
so that a viewer can encode a single one.
"""

from __future__ import annotations

import torch
from torch import nn

from napari_mrissl.networks.settings import TokenizerShape
from napari_mrissl.networks.transformer import Block, normed, places_in_grid

CHANNELS = 2
"""Grey value, and whether a pixel lies in the scan."""


class SliceTokenizer(nn.Module):
    """From a slice to latent tokens, and back.

    Parameters
    ----------
    shape
        How large.
    """

    def __init__(self, shape: TokenizerShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.patches_in = nn.Linear(CHANNELS * shape.patch**2, width)
        self.masked = nn.Parameter(torch.zeros(width).normal_(std=0.02))
        self.encoder = nn.ModuleList(Block(width, shape.heads) for _ in range(shape.depth))
        self.to_latent = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, shape.latent))
        self.from_latent = nn.Linear(shape.latent, width)
        self.decoder = nn.ModuleList(Block(width, shape.heads) for _ in range(shape.decoder))
        self.patches_out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, shape.patch**2))
        self.places: torch.Tensor
        self.register_buffer("places", places_in_grid(shape.grid, width), persistent=False)

    def encode(self, image: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """Latent tokens (B, grid, grid, latent), each number in (-1, 1).

        Parameters
        ----------
        image
            (B, 2, size, size): grey values in [0, 1], 0 outside the scan, and 1 inside it.
        hidden
            (B, grid, grid) bool, the patches of which the network sees nothing.
        """
        grid = self.shape.grid
        tokens = self.patches_in(patches_of(image, self.shape.patch))
        if hidden is not None:
            tokens = torch.where(hidden.flatten(1)[..., None], self.masked, tokens)
        tokens = tokens + self.places
        for block in self.encoder:
            tokens, _ = block(tokens)
        latents: torch.Tensor = torch.tanh(self.to_latent(tokens))
        return latents.reshape(len(latents), grid, grid, self.shape.latent)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Grey values (B, size, size), not clipped, of latent tokens.

        Latents are layer-normed first, so that those of `encode` and predicted ones, which are
        layer-normed already, mean the same.
        """
        tokens = self.from_latent(normed(latents.flatten(1, 2))) + self.places
        for block in self.decoder:
            tokens, _ = block(tokens)
        return image_of(self.patches_out(tokens), self.shape.patch)

    def forward(self, image: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """Grey values (B, size, size) of slices of which patches may be hidden."""
        return self.decode(self.encode(image, hidden))


def patches_of(image: torch.Tensor, patch: int) -> torch.Tensor:
    """(B, patches, C * patch * patch) of images (B, C, N, N), row by row."""
    count, channels, size, _ = image.shape
    grid = size // patch
    cut = image.reshape(count, channels, grid, patch, grid, patch)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(count, grid * grid, channels * patch * patch)


def image_of(patches: torch.Tensor, patch: int) -> torch.Tensor:
    """(B, N, N) of patches (B, patches, patch * patch) of one channel; undoes `patches_of`."""
    count, number, _ = patches.shape
    grid = round(number**0.5)
    cut = patches.reshape(count, grid, grid, patch, patch)
    return cut.permute(0, 1, 3, 2, 4).reshape(count, grid * patch, grid * patch)


def pixels_of(hidden: torch.Tensor, patch: int) -> torch.Tensor:
    """(..., N, N) pixels of patches (..., grid, grid)."""
    return hidden.repeat_interleave(patch, -2).repeat_interleave(patch, -1)
