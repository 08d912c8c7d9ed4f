"""What the probes look at: networks, trained or not, plain pixels, and where a scan ends."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_mrissl.networks.slice_encoder import SliceEncoder

_POOLED = 4
_PIXELS = 16
_AT_ONCE = 64

Array = NDArray[np.float32]


class Encoder(Protocol):
    """Something that describes slices."""

    def tokens(self, images: Array) -> Array:
        """(n, grid, grid, C) of slices (n, 2, N, N)."""
        ...

    def pooled(self, images: Array) -> Array:
        """(n, D): all of a slice in one row."""
        ...


class NetworkEncoder:
    """A network for slices, each of which it sees by itself: a context of one, no action.

    A row is the mean of the tokens in each of 4 x 4 parts of the slice (inferred).

    Parameters
    ----------
    network
        Trained, or drawn.
    """

    def __init__(self, network: SliceEncoder) -> None:
        self.network = network

    def tokens(self, images: Array) -> Array:
        """See `Encoder.tokens`."""
        device = next(self.network.parameters()).device
        found = [
            self.network.tokens(torch.from_numpy(part)[:, None].to(device)).float().cpu().numpy()
            for part in _parts(images)
        ]
        return np.concatenate(found)

    def pooled(self, images: Array) -> Array:
        """See `Encoder.pooled`."""
        tokens = torch.from_numpy(self.tokens(images)).permute(0, 3, 1, 2)
        side = min(_POOLED, tokens.shape[-1])
        pooled: Array = functional.adaptive_avg_pool2d(tokens, side).flatten(1).numpy()
        return pooled


class PixelEncoder:
    """Grey values and validity: those of a patch as its token, and 16 x 16 pixels as a row.

    Parameters
    ----------
    patch
        Pixels along the side of a patch.
    """

    def __init__(self, patch: int) -> None:
        self.patch = patch

    def tokens(self, images: Array) -> Array:
        """See `Encoder.tokens`."""
        count, channels, size, _ = images.shape
        grid = size // self.patch
        cut = images.reshape(count, channels, grid, self.patch, grid, self.patch)
        return cut.transpose(0, 2, 4, 1, 3, 5).reshape(count, grid, grid, -1)

    def pooled(self, images: Array) -> Array:
        """See `Encoder.pooled`."""
        whole = torch.from_numpy(images)
        small = functional.adaptive_avg_pool2d(whole, min(_PIXELS, whole.shape[-1]))
        rows: Array = small.flatten(1).numpy()
        return rows


class BoxEncoder(PixelEncoder):
    """The share of each patch that lies within the scan, and no grey value.

    Networks see where the scan ends, and scans that were cut alike end alike: what is read from
    this alone is no anatomy.
    """

    def tokens(self, images: Array) -> Array:
        """See `Encoder.tokens`."""
        inside = functional.avg_pool2d(torch.from_numpy(images[:, 1:]), self.patch)
        found: Array = inside.permute(0, 2, 3, 1).numpy()
        return found

    def pooled(self, images: Array) -> Array:
        """See `Encoder.pooled`."""
        tokens = self.tokens(images)
        return tokens.reshape(len(tokens), -1)


def at_pixels(tokens: Array, size: int) -> Array:
    """(n, size, size, C) tokens brought to all pixels by bilinear interpolation."""
    channels_first = torch.from_numpy(np.ascontiguousarray(tokens.transpose(0, 3, 1, 2)))
    fine = functional.interpolate(channels_first, (size, size), mode="bilinear")
    found: Array = fine.permute(0, 2, 3, 1).numpy()
    return found


def _parts(images: Array) -> list[Array]:
    return [images[first : first + _AT_ONCE] for first in range(0, len(images), _AT_ONCE)]
