"""What a pass of the plain U-Net over a volume takes and gives: arithmetic, without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.unet_layout import UNetSize, final, halvings_at, taps

Shape = tuple[int, int, int]

CHUNK_BYTES = 4 << 20
"""About how much of a map is worked on at once on a CPU: it stays in the last-level cache."""

_CHUNKS = 14
"""Pieces of a chunk's size in memory at the busiest moment."""

_PHASED = 64 / 216
"""Multiply-adds of the upsampled half as eight 2x2x2 kernels on the coarse grid, over 27 each."""


@dataclass(frozen=True)
class InferencePlan:
    """Sizes of a network, and of a pass that ends at one of its layers.

    Parameters
    ----------
    size
        Of the network.
    tap
        Number of the convolution whose result is wanted, before its normalisation; None for
        the last one.

    Raises
    ------
    MrisslError
        If `tap` is not among those of `napari_mrissl.networks.unet_layout.taps`.
    """

    size: UNetSize
    tap: int | None = None

    def __post_init__(self) -> None:
        known = taps(self.size.depth)
        if self.tap is not None and self.tap not in known:
            raise MrisslError(
                f"layer {self.tap}", where="tap", expected=f"one of {', '.join(map(str, known))}"
            )

    @property
    def stop(self) -> int:
        """Number of the last layer that is computed."""
        return final(self.size.depth) if self.tap is None else self.tap

    @property
    def level(self) -> int:
        """How often the sides are halved where the result is: 0 for the last layer."""
        return halvings_at(self.stop, self.size.depth)

    @property
    def channels(self) -> int:
        """Of the result."""
        return self.size.layers()[self.stop].channels[1]

    def padded(self, shape: Shape) -> Shape:
        """The sides the network works on: multiples of the network's stride, two at least."""
        step = self.size.stride
        s, a, r = (max(-(-side // step), 2) * step for side in shape)
        return s, a, r

    def multiply_adds(self, shape: Shape) -> float:
        """Of a pass over these sides, padded; what upsampling repeats is not done again."""
        per_voxel, doubled = 0.0, False
        for number, (kind, channels) in enumerate(self.size.layers()[: self.stop + 1]):
            if kind == "conv":
                before, after = float(channels[0]), channels[1]
                if doubled:
                    before = after + _PHASED * (before - after)
                per_voxel += 27 * before * after / 8 ** halvings_at(number, self.size.depth)
            doubled = kind == "up"
        return float(np.prod(self.padded(shape))) * per_voxel

    def memory(self, shape: Shape, number_bytes: int = 4) -> int:
        """Bytes at the busiest moment of a pass over these sides, beside volume and result.

        The skips of all levels, over which the maps of the decoder are written, the coarser
        map, chunks in work, and the weights twice.
        """
        width, depth = self.size.width, self.size.depth
        padded = self.padded(shape)
        voxels = float(np.prod([side + 2 for side in padded]))
        maps = sum(width * 2**level / 8**level for level in range(depth + 1))
        weights = 2 * sum(float(np.prod(shape)) for shape in self.size.shapes().values())
        plane = width * (padded[1] + 2) * (padded[2] + 2)
        chunk = max(CHUNK_BYTES, 4 * number_bytes * plane)
        return int(number_bytes * (voxels * maps + weights) + _CHUNKS * chunk)

    def windows(self, shape: Shape, side: int, overlap: float = 0.25) -> list[list[int]]:
        """Starts along each axis of windows that cover the padded volume evenly."""
        starts = []
        for whole in self.padded(shape):
            extent = min(side, whole)
            step = max(self.size.stride, int(extent * (1 - overlap)))
            count = -(-(whole - extent) // step) + 1
            # Multiples keep what was pooled together in one window together in the next.
            grid = np.linspace(0, whole - extent, count) / self.size.stride
            starts.append([int(k) * self.size.stride for k in np.round(grid)])
        return starts

    def window_side(self, shape: Shape, available: int) -> int:
        """The largest side of windows that fit into so many bytes; at least two multiples.

        As many multiples as the longest padded side of the volume mean that all of it fits.
        """
        step = self.size.stride
        padded = self.padded(shape)
        for side in range(max(padded), 4 * step, -step):
            if self.memory(_clipped(padded, side)) <= available:
                return side
        return min(4 * step, max(padded))


def mirror(length: int, padded: int) -> tuple[NDArray[np.intp], int]:
    """Indices that extend an axis by mirroring, evenly at both ends, and where it begins."""
    before = (padded - length) // 2
    # Where the axis is shorter than the padding, mirrors show each other's images.
    indices = np.pad(np.arange(length), (before, padded - length - before), "reflect")
    return indices, before


def _clipped(padded: Shape, side: int) -> Shape:
    s, a, r = (min(side, extent) for extent in padded)
    return s, a, r
