"""Poolings and doubling of maps with a deterministic backward on every device.

Torch's poolings and trilinear interpolation in three dimensions have no deterministic
backward on CUDA; the same numbers come out of slices, whose backward is one.
"""

from __future__ import annotations

import torch

_AXES = (2, 3, 4)


def halved(maps: torch.Tensor) -> torch.Tensor:
    """Maximum over cubes of 3 voxels around every second voxel, as ``MaxPool3d(3, 2, 1)``.

    Parameters
    ----------
    maps
        (N, C, Z, Y, X), with even sides.
    """
    for axis in _AXES:
        even, odd = _every(maps, axis, 0, 2), _every(maps, axis, 1, 2)
        count = odd.shape[axis]
        # Before the first voxel there is nothing: it stands for itself.
        before = torch.cat([even.narrow(axis, 0, 1), odd.narrow(axis, 0, count - 1)], axis)
        maps = torch.maximum(torch.maximum(even, odd), before)
    return maps


def doubled(maps: torch.Tensor) -> torch.Tensor:
    """Trilinear interpolation to twice the sides, voxels keeping their places (no aligned corners).

    Parameters
    ----------
    maps
        (N, C, Z, Y, X).
    """
    for axis in _AXES:
        count = maps.shape[axis]
        first, last = maps.narrow(axis, 0, 1), maps.narrow(axis, count - 1, 1)
        before = torch.cat([first, maps.narrow(axis, 0, count - 1)], axis)
        after = torch.cat([maps.narrow(axis, 1, count - 1), last], axis)
        pairs = torch.stack([0.75 * maps + 0.25 * before, 0.75 * maps + 0.25 * after], axis + 1)
        maps = pairs.flatten(axis, axis + 1)
    return maps


def averaged(maps: torch.Tensor, stride: int) -> torch.Tensor:
    """Mean over cubes of 3 voxels, zeros beyond the borders: ``AvgPool3d(3, stride, 1)``.

    Parameters
    ----------
    maps
        (N, C, Z, Y, X), with sides that are multiples of ``stride``.
    stride
        1 or 2.
    """
    for axis in _AXES:
        nothing = torch.zeros_like(maps.narrow(axis, 0, 1))
        padded = torch.cat([nothing, maps, nothing], axis)
        count = maps.shape[axis]
        first, second, third = (
            _every(padded.narrow(axis, start, count), axis, 0, stride) for start in range(3)
        )
        maps = (first + second + third) / 3
    return maps


def thinned(maps: torch.Tensor) -> torch.Tensor:
    """Mean over every two voxels along each axis: ``AvgPool3d(2)`` for even sides."""
    for axis in _AXES:
        maps = (_every(maps, axis, 0, 2) + _every(maps, axis, 1, 2)) / 2
    return maps


def _every(maps: torch.Tensor, axis: int, first: int, step: int) -> torch.Tensor:
    return maps[(*(slice(None) for _ in range(axis)), slice(first, None, step))]
