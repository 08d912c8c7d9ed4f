"""The continuous part of ConvexAdam: a field on nodes, refined by Adam.

Faithful to the code of arXiv:2203.04867: parameters are smoothed three times over 3^3 nodes to
the field; data term: mean over nodes of the mean squared difference of channels times 12;
smoothness: the mean squared differences between neighbouring nodes along each axis. The
gradient is written out (the same numbers as by automatic differentiation); on the CPU it comes
from one compiled pass, and another one takes the step. Corrected: as in `torch_convex`; and the
last step counts too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from napari_mrissl.registration.torch_convex import bands, sampled, smoothed
from napari_mrissl.slicing.threads import over_rows

_SCALE = 12.0
_SMOOTHINGS = 3
_BETAS = 0.9, 0.999
"""Of Adam: torch's defaults, which the compiled step has too."""

Matching = Callable[[torch.Tensor], tuple[float, torch.Tensor]]
Told = Callable[[int, float, float], None]
"""Called with the step, the data term and the weighted smoothness."""


def refined(
    start: torch.Tensor,
    matching: Matching,
    *,
    iterations: int,
    smoothness: float,
    learning_rate: float,
    told: Told,
) -> torch.Tensor:
    """The field (3, Z, Y, X), in nodes, after so many steps of Adam.

    Parameters
    ----------
    start
        (3, Z, Y, X) in nodes.
    matching
        Data term and its gradient for a field.
    iterations, smoothness, learning_rate
        See `RegistrationSettings`.
    told
        Called before every step and at the end; may raise.
    """
    path = _compiled_path if start.device.type == "cpu" else torch_path
    return path(start, matching, iterations, smoothness, learning_rate, told)


def torch_path(
    start: torch.Tensor,
    matching: Matching,
    iterations: int,
    smoothness: float,
    learning_rate: float,
    told: Told,
) -> torch.Tensor:
    """`refined` by torch's own Adam, on any device."""
    parameters = start.clone()
    optimiser = torch.optim.Adam([parameters], lr=learning_rate)
    for step in range(iterations + 1):
        field = smoothed(parameters, _SMOOTHINGS)
        cost, gradient = matching(field)
        rough, slope = roughness(field)
        told(step, cost, smoothness * rough)
        if step < iterations:
            # The smoothing is its own adjoint.
            parameters.grad = smoothed(gradient + smoothness * slope, _SMOOTHINGS)
            optimiser.step()
    return smoothed(parameters, _SMOOTHINGS)


def _compiled_path(
    start: torch.Tensor,
    matching: Matching,
    iterations: int,
    smoothness: float,
    learning_rate: float,
    told: Told,
) -> torch.Tensor:
    from napari_mrissl.registration import field_kernels

    parameters = start.float().contiguous().numpy().copy()
    shape = parameters.shape
    field = smoothed(start.float(), _SMOOTHINGS)
    places, means, squares = field.numpy(), np.zeros_like(parameters), np.zeros_like(parameters)
    taps = tuple(bands(side, _SMOOTHINGS) for side in shape[1:])
    # Means over the neighbours along an axis, of all three components.
    counts = [parameters.size - parameters.size // side for side in shape[1:]]
    scales = np.array([1 / max(count, 1) for count in counts], np.float32)
    totals = np.zeros(len(parameters))
    for step in range(iterations + 1):
        cost, gradient = matching(field)
        slopes, number = gradient.numpy(), step + 1
        rate = learning_rate / (1 - _BETAS[0] ** number)
        correction = (1 - _BETAS[1] ** number) ** 0.5
        arrays = parameters, places, slopes, means, squares
        numbers = scales, smoothness, rate, correction, step < iterations, totals
        over_rows(
            lambda a, b, given=(*arrays, *taps, *numbers): field_kernels.adam_steps(*given, a, b),  # type: ignore[misc]
            len(parameters),
            parameters.size,
        )
        told(step, cost, smoothness * float(totals.sum()))
    return field


def roughness(field: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Sum over axes of the mean squared differences of neighbours, and its gradient."""
    total, gradient = 0.0, torch.zeros_like(field)
    for axis in (1, 2, 3):
        count = field.shape[axis] - 1
        if count == 0:
            continue
        difference = field.narrow(axis, 1, count) - field.narrow(axis, 0, count)
        total += float((difference * difference).mean())
        difference *= 2 / difference.numel()
        gradient.narrow(axis, 1, count).add_(difference)
        gradient.narrow(axis, 0, count).sub_(difference)
    return total, gradient


def matching_of(fixed: torch.Tensor, moving: torch.Tensor, weights: torch.Tensor) -> Matching:
    """The data term of features (C, Z, Y, X) with weights (Z, Y, X), on their device."""
    if fixed.device.type == "cpu":
        return compiled_matching(fixed, moving, weights)
    return torch_matching(fixed, moving, weights)


def torch_matching(fixed: torch.Tensor, moving: torch.Tensor, weights: torch.Tensor) -> Matching:
    """The data term by torch's own sampling and differentiation, on any device."""
    scale = _SCALE / fixed.numel()

    def run(field: torch.Tensor) -> tuple[float, torch.Tensor]:
        with torch.enable_grad():
            field = field.detach().requires_grad_()
            difference = (sampled(moving, field) - fixed).float()
            cost = (difference.square().sum(0) * weights).sum() * scale
            (gradient,) = torch.autograd.grad(cost, field)
        return float(cost.detach()), gradient

    return run


def compiled_matching(fixed: torch.Tensor, moving: torch.Tensor, weights: torch.Tensor) -> Matching:
    """The data term by one compiled pass, on the CPU."""
    from napari_mrissl.registration import field_kernels

    rows = [
        np.ascontiguousarray(features.permute(1, 2, 3, 0).float().numpy())
        for features in (moving, fixed)
    ]
    weight = np.ascontiguousarray(weights.float().numpy())
    scale = _SCALE / fixed.numel()
    costs = np.zeros(len(weight))

    def run(field: torch.Tensor) -> tuple[float, torch.Tensor]:
        places = field.contiguous().numpy()
        gradient = torch.empty_like(field, memory_format=torch.contiguous_format)
        out = gradient.numpy()
        over_rows(
            lambda a, b: field_kernels.matching(*rows, weight, places, scale, out, costs, a, b),
            len(costs),
            weight.size * rows[0].shape[-1],
        )
        return float(costs.sum()), gradient

    return run
