"""Poolings and doubling of maps with a deterministic backward on every device.

Torch's poolings, interpolations and reflections in three dimensions have no deterministic
backward on CUDA. Here the same numbers come out of slices, whose backward is one, or out of
torch's forward with a backward of our own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

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


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """Maximum over cubes of 2 voxels that do not overlap: ``MaxPool3d(2)``.

    Where several voxels of a cube share the maximum, they share its gradient.

    Parameters
    ----------
    maps
        (N, C, Z, Y, X), with even sides.
    """
    result: torch.Tensor = _Pooled.apply(maps)  # type: ignore[no-untyped-call]
    return result


def repeated(maps: torch.Tensor) -> torch.Tensor:
    """Each voxel twice along each axis: ``Upsample(scale_factor=2, mode="nearest")``.

    Parameters
    ----------
    maps
        (N, C, Z, Y, X).
    """
    result: torch.Tensor = _Repeated.apply(maps)  # type: ignore[no-untyped-call]
    return result


def mirrored(maps: torch.Tensor) -> torch.Tensor:
    """One voxel more on every side, mirrored at the outermost voxels: ``ReflectionPad3d(1)``.

    Parameters
    ----------
    maps
        (N, C, Z, Y, X), with sides of at least 2.
    """
    result: torch.Tensor = _Mirrored.apply(maps)  # type: ignore[no-untyped-call]
    return result


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor) -> torch.Tensor:
        result = functional.max_pool3d(maps, 2)
        ctx.save_for_backward(maps, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        maps, result = ctx.saved_tensors
        largest = (maps == _nearest(result)).to(gradient.dtype)
        return _nearest(gradient / _sums(largest)).mul_(largest)


class _Repeated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor) -> torch.Tensor:
        return _nearest(maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _sums(gradient)


class _Mirrored(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor) -> torch.Tensor:
        return functional.pad(maps, (1,) * 6, mode="reflect")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        for axis in _AXES:
            last = gradient.shape[axis] - 1
            # What lies outside is a copy of the voxel one inside the border.
            gradient.narrow(axis, 2, 1).add_(gradient.narrow(axis, 0, 1))
            gradient.narrow(axis, last - 2, 1).add_(gradient.narrow(axis, last, 1))
            gradient = gradient.narrow(axis, 1, last - 1)
        return gradient


def _nearest(maps: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(maps, scale_factor=2, mode="nearest")


def _sums(maps: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool3d(maps, 2, divisor_override=1)


def _every(maps: torch.Tensor, axis: int, first: int, step: int) -> torch.Tensor:
    return maps[(*(slice(None) for _ in range(axis)), slice(first, None, step))]
