"""The discrete part of ConvexAdam: a cost volume, coupled convex steps, inverse consistency.

Siebert et al. (arXiv:2203.04867 and its code). Faithful: squared differences of averaged features,
smoothed twice over 3^3 nodes; six coupled steps with the weights of the code, each from the
cost as it was (a later code adds them up in place); fifteen steps of inverse consistency.
Corrected: displacements are tried from the shortest on, so that where all fit alike (the
background) there is none rather than that into a corner; costs are means over the channels
times 12 whatever their number, so that the weights, which were found for the twelve of MIND, keep
their meaning; beyond the border is the border's feature, not 0; and places are computed in
nodes, where the code's normalised ones are too long by n / (n - 1).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_mrissl.slicing.threads import over_rows

_WEIGHTS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_CONSISTENCY_STEPS = 15
_SCALE = 12.0
_TIE = 1e-6
_CHUNK = 1 << 22
"""Costs looked at together, which bounds what a step takes beside the cost volume."""

_LOOK = 32
"""Displacements between two looks at whether the user wants to cancel."""


def box_matrix(side: int, times: int, like: torch.Tensor) -> torch.Tensor:
    """(side, side) that takes means of three neighbours so many times, zeros beyond the border."""
    ones = torch.ones(side, dtype=torch.float64)
    once = torch.diag(ones) + torch.diag(ones[1:], 1) + torch.diag(ones[1:], -1)
    matrix: torch.Tensor = torch.linalg.matrix_power(once / 3, times).to(like)
    return matrix


@cache
def bands(side: int, times: int) -> NDArray[np.float32]:
    """(side, 2 times + 1) the diagonals of `box_matrix` about its main one; not to be changed."""
    matrix = box_matrix(side, times, torch.empty(0, dtype=torch.float64)).numpy()
    wide = np.pad(matrix, ((0, 0), (times, times)))
    rows = [wide[place, place : place + 2 * times + 1] for place in range(side)]
    return np.array(rows, np.float32)


class Box:
    """Means over 3^3 nodes, several times over, of fields (..., Z, Y, X); zeros beyond.

    As many poolings come out of one small matrix per axis.
    """

    def __init__(self, shape: tuple[int, ...], times: int, like: torch.Tensor) -> None:
        self.z, self.y, self.x = (box_matrix(side, times, like) for side in shape)

    def __call__(self, fields: torch.Tensor) -> torch.Tensor:
        """The smoothed fields."""
        along_x = fields @ self.x
        along_y = self.y @ along_x
        return (self.z @ along_y.flatten(-2)).view(fields.shape)


def offsets(reach: int, device: torch.device) -> torch.Tensor:
    """((2 reach + 1)^3, 3) whole displacements in nodes, shortest first."""
    every = itertools.product(range(-reach, reach + 1), repeat=3)
    ordered = sorted(every, key=lambda o: (sum(c * c for c in o), o))
    return torch.tensor(ordered, dtype=torch.float32, device=device)


def search(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    weights: torch.Tensor,
    reach: int,
    check: Callable[[float], None],
) -> torch.Tensor:
    """Displacements (3, Z, Y, X) in nodes, from fixed to moving.

    Parameters
    ----------
    fixed, moving
        Features (C, Z, Y, X), float32 or, on a GPU, float16.
    weights
        (Z, Y, X) of the nodes' costs.
    reach
        Nodes looked at to each side.
    check
        Called with the part done; may raise.
    """
    shape = fixed.shape[1:]
    tried = offsets(reach, fixed.device)
    weighted = weights * (_SCALE / len(fixed))
    around = functional.pad(moving[None], (reach,) * 6, mode="replicate")[0]
    steps = _Compiled() if fixed.device.type == "cpu" else _Torch()
    costs = steps.costs(fixed, around, weighted, tried, lambda part: check(0.5 * part))
    found = torch.zeros((3, *shape), device=fixed.device)
    for number, weight in enumerate((0.0, *_WEIGHTS)):
        check(0.5 + 0.5 * number / (1 + len(_WEIGHTS)))
        best = steps.best(costs, tried, found.flatten(1), weight)
        found = smoothed(best.view(found.shape), 1)
    return found


class _Torch:
    """The steps in torch, on any device."""

    def costs(
        self,
        fixed: torch.Tensor,
        around: torch.Tensor,
        weights: torch.Tensor,
        tried: torch.Tensor,
        check: Callable[[float], None],
    ) -> torch.Tensor:
        """(K, N) smoothed costs of whole displacements."""
        shape = fixed.shape[1:]
        reach = int(tried.max())
        costs = torch.empty((len(tried), *shape), dtype=fixed.dtype, device=fixed.device)
        for number, offset in enumerate(tried.int().tolist()):
            if number % 16 == 0:
                check(number / len(tried))
            there = around
            for axis, (step, side) in enumerate(zip(offset, shape, strict=True), 1):
                there = there.narrow(axis, reach + step, side)
            difference = fixed - there
            costs[number] = (difference * difference).sum(0) * weights
        box = Box(shape, 2, costs)
        batch = max(1, _CHUNK // weights.numel())
        for start in range(0, len(costs), batch):
            costs[start : start + batch] = box(costs[start : start + batch])
        return costs.flatten(1)

    def best(
        self, costs: torch.Tensor, tried: torch.Tensor, towards: torch.Tensor, weight: float
    ) -> torch.Tensor:
        """(3, N) the displacements of the least cost plus weighted squared distance to a field."""
        found = torch.empty_like(towards)
        lengths = (tried * tried).sum(1, keepdim=True) * (weight + _TIE)
        chunk = max(1, _CHUNK // len(tried))
        for start in range(0, costs.shape[1], chunk):
            part = slice(start, start + chunk)
            total = costs[:, part].float() + lengths
            total.addmm_(tried, towards[:, part], alpha=-2 * weight)
            found[:, part] = tried[total.argmin(0)].T
        return found


class _Compiled:
    """The same steps in compiled loops, on the CPU."""

    def costs(
        self,
        fixed: torch.Tensor,
        around: torch.Tensor,
        weights: torch.Tensor,
        tried: torch.Tensor,
        check: Callable[[float], None],
    ) -> torch.Tensor:
        """As of `_Torch`."""
        from napari_mrissl.registration import field_kernels, kernels

        taps = [bands(side, 2) for side in fixed.shape[1:]]
        costs = torch.empty((len(tried), *fixed.shape[1:]))
        given = [t.contiguous().numpy() for t in (fixed, around, weights, tried.int())]
        out, reach = costs.numpy(), int(tried.max())

        def part(first: int, last: int) -> None:
            kernels.displaced_costs(*given, reach, out, first, last)
            field_kernels.smoothed(out, *taps, first, last)

        for start in range(0, len(costs), _LOOK):
            check(start / len(costs))
            count = min(_LOOK, len(costs) - start)
            over_rows(
                lambda a, b, start=start: part(start + a, start + b),  # type: ignore[misc]
                count,
                count * weights.numel(),
            )
        return costs.flatten(1)

    def best(
        self, costs: torch.Tensor, tried: torch.Tensor, towards: torch.Tensor, weight: float
    ) -> torch.Tensor:
        """As of `_Torch`."""
        from napari_mrissl.registration import kernels

        found = torch.empty_like(towards)
        given = costs.numpy(), tried.numpy(), towards.contiguous().numpy()
        numbers, out = (np.float32(weight), np.float32(_TIE)), found.numpy()
        over_rows(
            lambda a, b: kernels.best_displacements(*given, *numbers, out, a, b),
            towards.shape[1],
            costs.numel(),
        )
        return found


def smoothed(field: torch.Tensor, times: int) -> torch.Tensor:
    """Means over 3^3 nodes, so many times over, of volumes (N, Z, Y, X); zeros beyond."""
    if field.device.type != "cpu":
        return Box(field.shape[1:], times, field)(field)
    from napari_mrissl.registration import field_kernels

    result = field.clone(memory_format=torch.contiguous_format)
    out, taps = result.numpy(), [bands(side, times) for side in field.shape[1:]]
    over_rows(lambda a, b: field_kernels.smoothed(out, *taps, a, b), len(out), field.numel())
    return result


def sampled(field: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """A field (C, Z, Y, X) at its nodes displaced by (3, Z, Y, X) nodes; the border's beyond."""
    shape = displacement.shape[1:]
    axes = [torch.arange(side, device=field.device, dtype=torch.float32) for side in shape]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")) + displacement
    sides = torch.tensor(shape, device=field.device).view(3, 1, 1, 1)
    unit = (2 * places / (sides - 1).clamp(min=1) - 1).flip(0).permute(1, 2, 3, 0)
    return functional.grid_sample(
        field[None], unit[None].to(field.dtype), padding_mode="border", align_corners=True
    )[0]


def made_consistent(there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """The first of two opposite fields (3, Z, Y, X), brought closer to the other's inverse."""
    for _ in range(_CONSISTENCY_STEPS):
        there, back = (
            0.5 * (there - sampled(back, there)),
            0.5 * (back - sampled(there, back)),
        )
    return there
