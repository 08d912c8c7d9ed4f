"""What a predicted vector costs: absolute differences of r and theta, the way round for phi.

As in the authors' public code for arXiv:2211.08533 (read, not copied), but for two things:
phi is compared without loops (corrected), and angles count only where the vector has a
direction (corrected: the code compares them with 0 there).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from napari_mrissl.pretext.task import LossTerm

VectorLoss = Literal["l1", "mse"]


@dataclass(frozen=True, eq=False)
class VectorCosts:
    """Differences of each vector of a batch, before they are summed.

    Attributes
    ----------
    r, theta, phi
        (N, V) differences, absolute or squared.
    directed
        (N, V) 1 where the true vector is long enough to have a direction, else 0.
    """

    r: torch.Tensor
    theta: torch.Tensor
    phi: torch.Tensor
    directed: torch.Tensor

    def terms(self) -> dict[str, LossTerm]:
        """The terms r, theta and phi, each of weight 1 (faithful)."""
        return {
            "r": LossTerm(self.r.sum(), float(self.r.numel())),
            "theta": LossTerm((self.theta * self.directed).sum(), self.directed.sum()),
            "phi": LossTerm((self.phi * self.directed).sum(), self.directed.sum()),
        }

    def means(self) -> dict[str, float]:
        """The means of the three terms, as numbers."""
        return {
            name: float(term.total) / max(float(term.count), 1.0)
            for name, term in self.terms().items()
        }


def squash(raw: torch.Tensor) -> torch.Tensor:
    """(N, V, 3) r and theta in (0, 1) and phi in (-1, 1) of the network's raw (N, 3 V)."""
    numbers = raw.reshape(len(raw), -1, 3).to(torch.promote_types(raw.dtype, torch.float32))
    r_theta, phi = torch.sigmoid(numbers[..., :2]), torch.tanh(numbers[..., 2:])
    return torch.cat([r_theta, phi], dim=-1)


def way_round(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The shorter way from one phi to another on the circle, in [0, 1]; phi in [-1, 1]."""
    apart = (first - second).abs()
    return torch.minimum(apart, 2 - apart)


def costs(
    predicted: torch.Tensor, true: torch.Tensor, least_r: float, loss: VectorLoss = "l1"
) -> VectorCosts:
    """Compare vectors (N, V, 3) as (r, theta, phi).

    Parameters
    ----------
    predicted, true
        Of `squash`, and of `vectors.encode`.
    least_r
        Angles count where the true r is above it.
    loss
        Absolute (faithful default) or squared differences.
    """
    true = true.to(predicted.dtype)
    r, theta = (predicted - true)[..., :2].abs().unbind(-1)
    phi = way_round(predicted[..., 2], true[..., 2])
    if loss == "mse":
        r, theta, phi = r**2, theta**2, phi**2
    return VectorCosts(r, theta, phi, (true[..., 0] > least_r).to(predicted.dtype))


def directions(numbers: torch.Tensor) -> torch.Tensor:
    """Unit vectors (..., 3) of (r, theta, phi)."""
    theta, phi = torch.pi * numbers[..., 1], torch.pi * numbers[..., 2]
    across = torch.sin(theta)
    return torch.stack([across * torch.cos(phi), across * torch.sin(phi), torch.cos(theta)], dim=-1)


def cosine_term(
    predicted: torch.Tensor, true: torch.Tensor, least_r: float, weight: float
) -> LossTerm:
    """1 minus the cosine between directions: smooth where phi jumps (our option, inferred)."""
    true = true.to(predicted.dtype)
    directed = (true[..., 0] > least_r).to(predicted.dtype)
    apart = 1 - (directions(predicted) * directions(true)).sum(-1)
    return LossTerm((apart * directed).sum(), directed.sum(), weight)
