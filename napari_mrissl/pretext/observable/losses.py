"""What gaps, chunks, vectors and routes cost: named terms, as sums and counts.

Gaps and vectors are over the run's scale. As in the authors' public code for arXiv:2509.05967,
but for ``loop`` and ``antisymmetry``, which are ours and only say something of the edge head.
All of it is worked out in single precision at least.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.network import exact
from napari_mrissl.pretext.observable.routes import Routes, ends, loops
from napari_mrissl.pretext.observable.settings import LossWeights
from napari_mrissl.pretext.task import LossTerm


def gap_terms(
    predicted: torch.Tensor, true: torch.Tensor, weights: LossWeights
) -> dict[str, LossTerm]:
    """``axis`` and ``norm``: squared errors of gaps (N, V, V, 3), and of their lengths.

    The diagonal counts, as in the authors' code.
    """
    found, wanted = exact(predicted), exact(true)
    lengths = torch.linalg.vector_norm(found, dim=-1) - torch.linalg.vector_norm(wanted, dim=-1)
    return {
        "axis": _mean((found - wanted) ** 2, weights.axis),
        "norm": _mean(lengths**2, weights.norm),
    }


def gap_error(predicted: torch.Tensor, true: torch.Tensor, scale_mm: float) -> LossTerm:
    """Mean absolute error in mm along the axes, of different views; only shown."""
    apart = (exact(predicted) - exact(true)).abs().detach() * scale_mm
    views = predicted.shape[-2]
    others = apart[:, ~torch.eye(views, dtype=torch.bool, device=apart.device)]
    return _mean(others, 0.0)


def chunk_terms(
    similarity: torch.Tensor, kept: torch.Tensor, weights: LossWeights
) -> dict[str, LossTerm]:
    """``adjacent`` and ``distant``: 1 - cosine, and 1 + cosine, of (N, P, 4, 4) similarities.

    The ones are ours, so that no term is negative. ``chunk_error``, which is only shown, is
    the share of pairs of views whose most alike chunks are not those that face each other, see
    `napari_mrissl.pretext.observable.chunks`.
    """
    near = similarity[..., chunks.ADJACENT[0], chunks.ADJACENT[1]]
    far = similarity[..., chunks.DISTANT[0], chunks.DISTANT[1]]
    counts = kept.to(similarity.dtype)
    total = counts.sum()
    right, _ = chunks.verdicts(similarity.detach().double().cpu().numpy())
    wrong = torch.from_numpy(~right).to(counts) * counts
    return {
        "adjacent": LossTerm(((1 - near) * counts).sum(), total, weights.adjacent),
        "distant": LossTerm(((1 + far) * counts).sum(), total, weights.distant),
        "chunk_error": LossTerm(wrong.sum(), total, 0.0),
    }


def vector_terms(
    predicted: torch.Tensor, true: torch.Tensor, weights: LossWeights
) -> dict[str, LossTerm]:
    """``vector``: smooth absolute errors of vectors (N, V, V, 3), the diagonal among them."""
    apart = functional.smooth_l1_loss(exact(predicted), exact(true), reduction="none")
    return {"vector": _mean(apart, weights.vector)}


def route_terms(
    predicted: torch.Tensor,
    true: torch.Tensor,
    route: Routes,
    weights: LossWeights,
    *,
    edge: bool,
) -> dict[str, LossTerm]:
    """``route``: errors of where routes end; of the edge head also ``loop`` and ``antisymmetry``.

    A route is no loop: it ends in its last view (faithful, though the code calls it a cycle).
    """
    found, wanted = exact(predicted), exact(true)
    apart = functional.smooth_l1_loss(ends(found, route), ends(wanted, route), reduction="none")
    terms = {"route": _mean(apart, weights.route)}
    if edge:
        there_and_back = found + found.transpose(1, 2)
        terms["loop"] = _mean(_smooth(loops(found, route)), weights.loop)
        terms["antisymmetry"] = _mean(_smooth(there_and_back), weights.antisymmetry)
    return terms


def _smooth(values: torch.Tensor) -> torch.Tensor:
    return functional.smooth_l1_loss(values, torch.zeros_like(values), reduction="none")


def _mean(values: torch.Tensor, weight: float) -> LossTerm:
    return LossTerm(values.sum(), float(values.numel()), weight)
