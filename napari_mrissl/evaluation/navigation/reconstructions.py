"""How well a tokenizer gives slices back: whole ones, and those of which it sees a quarter."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.networks.slice_tokenizer import SliceTokenizer, pixels_of
from napari_mrissl.pretext.navigation.rollout import similarity
from napari_mrissl.synthesis.draws import generator

HIDDEN = (0.0, 0.75)
_AT_ONCE = 64

Array = NDArray[np.float32]


def restored(tokenizer: SliceTokenizer, images: Array, hidden: NDArray[np.bool_]) -> Array:
    """Pictures (n, N, N) in [0, 1] of slices (n, 2, N, N), with patches (n, grid, grid) hidden."""
    device = next(tokenizer.parameters()).device
    found = []
    with torch.no_grad():
        for first in range(0, len(images), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            image = torch.from_numpy(images[some]).to(device)
            mask = torch.from_numpy(hidden[some]).to(device)
            found.append(tokenizer(image, mask).clamp(0, 1).float().cpu().numpy())
    return np.concatenate(found)


def hidden_patches(count: int, grid: int, share: float, seed: int) -> NDArray[np.bool_]:
    """(count, grid, grid) hidden patches, the same share of each slice."""
    rng = generator(seed, count, f"hidden patches {share}")
    hidden = np.zeros((count, grid * grid), np.bool_)
    for one in hidden:
        one[rng.permutation(grid * grid)[: round(share * grid * grid)]] = True
    return hidden.reshape(count, grid, grid)


def reconstruction(
    tokenizer: SliceTokenizer, images: Array, subjects: NDArray[np.integer], seed: int = 0
) -> dict[str, Measure]:
    """``psnr_mask_0``, ``ssim_mask_0``, ``psnr_mask_75``, ``ssim_mask_75``, means over subjects.

    PSNR is that of the mean squared error over a subject's slices. Chance: each patch its own
    mean where it is shown, and the mean of what is shown elsewhere.
    """
    found: dict[str, Measure] = {}
    for share in HIDDEN:
        hidden = hidden_patches(len(images), tokenizer.shape.grid, share, seed)
        told = restored(tokenizer, images, hidden)
        plain = means(images[:, 0], hidden, tokenizer.shape.patch)
        for name, score in (("psnr", _psnr), ("ssim", _ssim)):
            values, chance = (score(one, images[:, 0], subjects) for one in (told, plain))
            found[f"{name}_mask_{round(100 * share)}"] = Measure.of(values, chance)
    return found


def means(grey: Array, hidden: NDArray[np.bool_], patch: int) -> Array:
    """(n, N, N) what the means of what is shown say of slices (n, N, N)."""
    where = pixels_of(torch.from_numpy(hidden), patch).numpy()
    grid = hidden.shape[-1]
    blocks = grey.reshape(len(grey), grid, patch, grid, patch).mean(axis=(2, 4))
    own = np.repeat(np.repeat(blocks, patch, axis=1), patch, axis=2)
    shown = np.where(hidden, 0, blocks).sum(axis=(1, 2))
    mean = shown / np.maximum((~hidden).sum(axis=(1, 2)), 1)
    return np.where(where, mean[:, None, None], own).astype(np.float32)


def _psnr(found: Array, true: Array, subjects: NDArray[np.integer]) -> NDArray[np.float64]:
    errors = np.square(found.astype(np.float64) - true).mean(axis=(1, 2))
    squares = np.array([errors[subjects == one].mean() for one in np.unique(subjects)])
    decibels: NDArray[np.float64] = -10 * np.log10(np.maximum(squares, 1e-12))
    return decibels


def _ssim(found: Array, true: Array, subjects: NDArray[np.integer]) -> NDArray[np.float64]:
    each = np.array([similarity(a, b) for a, b in zip(found, true, strict=True)])
    return np.array([each[subjects == one].mean() for one in np.unique(subjects)])
