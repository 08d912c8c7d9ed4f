"""Terms of body coordinates: how far apart points are, and which comes first."""

from __future__ import annotations

import torch
from torch.nn.functional import smooth_l1_loss

from napari_mrissl.pretext.task import LossTerm

_TINY = 1e-12


def distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(..., P, Q) lengths from points (..., P, 3) to points (..., Q, 3)."""
    apart = first[..., :, None, :] - second[..., None, :, :]
    # The root has no gradient at 0, where a point meets itself.
    return (apart.square().sum(-1) + _TINY).sqrt()


def distance_terms(
    answers: torch.Tensor, positions: torch.Tensor, shared: int, same: float
) -> dict[str, LossTerm]:
    """Squared errors of distances, and how far apart the same points are (arXiv:2409.10291).

    Parameters
    ----------
    answers
        (B, 2, K, P, 3) coordinates of points in the first and in the second crops.
    positions
        The same of where they are, over the scale.
    shared
        So many of the P points, the first ones, are the same in both crops.
    same
        Weight of the second term.

    Returns
    -------
    dict
        ``distance`` over all points of a sample's first crops against all of its second crops,
        and ``same``, the mean over the three coordinates.
    """
    found, true = _all_pairs(answers), _all_pairs(positions)
    squares = (found - true).square()
    apart = (answers[:, 0, :, :shared] - answers[:, 1, :, :shared]).square()
    return {
        "distance": LossTerm(squares.sum(), float(squares.numel())),
        "same": LossTerm(apart.sum(), float(apart.numel()), same),
    }


def order_terms(
    answers: torch.Tensor,
    positions: torch.Tensor,
    cells: torch.Tensor,
    sureness: float,
    even: float,
) -> dict[str, LossTerm]:
    """Which of two points comes first along each axis, and how evenly coordinates rise.

    After body part regression, whose two slopes come to one here, as coordinates are over the
    scale; inferred: of three axes, between all points of two crops, and with second differences
    of neighbouring cells for those of neighbouring slices.

    Parameters
    ----------
    answers, positions
        As for `distance_terms`.
    cells
        (N, 3, z, y, x) coordinates of all cells, over the scale.
    sureness
        Slope of the sigmoid for one scale.
    even
        Weight of the second term.
    """
    found, true = (
        sureness * (values[:, 0].flatten(1, 2)[:, :, None] - values[:, 1].flatten(1, 2)[:, None])
        for values in (answers, positions)
    )
    squares = (found.sigmoid() - true.sigmoid()).square()
    bends = [cells[:, 2 - axis].diff(n=2, dim=1 + axis) for axis in range(3)]
    uneven = sum(smooth_l1_loss(b, torch.zeros_like(b), reduction="sum") for b in bends)
    return {
        "order": LossTerm(squares.sum(), float(squares.numel())),
        "even": LossTerm(torch.as_tensor(uneven), float(sum(b.numel() for b in bends)), even),
    }


def shown_terms(
    answers: torch.Tensor, positions: torch.Tensor, shared: int, scale_mm: float
) -> dict[str, LossTerm]:
    """Metrics in mm: errors of distances, and how far apart one point is found in two crops."""
    errors = (_all_pairs(answers) - _all_pairs(positions)).detach().abs() * scale_mm
    apart = answers[:, 0, :, :shared] - answers[:, 1, :, :shared]
    lengths = apart.detach().square().sum(-1).sqrt() * scale_mm
    return {
        "distance_mm": LossTerm(errors.sum(), float(errors.numel()), 0.0),
        "apart_mm": LossTerm(lengths.sum(), float(lengths.numel()), 0.0),
    }


def _all_pairs(points: torch.Tensor) -> torch.Tensor:
    """(B, K P, K P) distances from points of the first crops to points of the second."""
    return distances(points[:, 0].flatten(1, 2), points[:, 1].flatten(1, 2))
