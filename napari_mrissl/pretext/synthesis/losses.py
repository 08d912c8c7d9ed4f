"""The multi-positive contrastive loss: each voxel against all others of a pair of views.

After arXiv:2411.02372: "SupCon" (arXiv:2004.11362) with the mean over positives outside the
logarithm, and both views as anchors. Options of its later code: weights of rare labels, and
the balanced denominator of arXiv:2207.09052. Its memory grows with the square of the number
of voxels, and not with the number of labels.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from napari_mrissl.pretext.synthesis.settings import Rarity


def contrast(
    embeddings: torch.Tensor,
    labels: torch.Tensor,
    temperature: float,
    *,
    rarity: Rarity = "none",
    balanced: bool = False,
) -> torch.Tensor:
    """The loss of every anchor; every label has to occur at least twice in its pair.

    For anchor i with the positives P(i), the others of its label, it is the mean over p in
    P(i) of -log(exp(s(i, p)) / sum over a != i of exp(s(i, a))), s being the cosine over the
    temperature. Identical embeddings of n anchors have log(n - 1) each; with ``balanced``,
    where the denominator adds the mean of each label, the logarithm of the number of labels.

    Parameters
    ----------
    embeddings
        (P, A, D): A anchors, of both views, for each of P pairs.
    labels
        (P, A) whole numbers.
    temperature
        Positive.
    rarity
        Anchors weigh the same, or as one over the (root of the) count of their label, with a
        mean weight of 1 in each pair (inferred).
    balanced
        Whether each label weighs the same in the denominator.

    Returns
    -------
    torch.Tensor
        (P, A), weighted, in the type of the embeddings.
    """
    units = functional.normalize(embeddings, dim=2)
    member = _members(labels, units.dtype)
    own = member.sum(dim=1, keepdim=True)  # (P, 1, K) how many there are of each label
    counts = (member @ own.transpose(1, 2))[..., 0]
    # Few passes over A x A: what is asked of labels comes from products with members.
    similar = units @ (units / temperature).transpose(1, 2)
    similar.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    most = similar.detach().amax(dim=2, keepdim=True)
    by_label = (similar - most).exp() @ member
    if balanced:
        # An anchor is not among its own label's samples.
        by_label = by_label / (own - member).clamp(min=1)
    denominator = by_label.sum(dim=2).log() + most[..., 0]
    of_label = member @ (member.transpose(1, 2) @ units)
    positives = ((of_label - units) * units).sum(dim=2) / temperature / (counts - 1)
    loss = denominator - positives
    if rarity == "none":
        return loss
    weights = counts ** (-0.5 if rarity == "sqrt" else -1.0)
    return loss * weights / weights.mean(dim=1, keepdim=True)


def _members(labels: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """(P, A, K) with 1 where an anchor has the k-th of all labels that occur."""
    found, numbers = torch.unique(labels, return_inverse=True)
    return functional.one_hot(numbers, len(found)).to(kind)


def nearest_in_other_view(features: torch.Tensor) -> torch.Tensor:
    """(P, n) which voxel of the second view is most similar to each of the first.

    Parameters
    ----------
    features
        (P, 2n, C): of n voxels in the first view, then of the same in the second.
    """
    first, second = functional.normalize(features, dim=2).chunk(2, dim=1)
    return (first @ second.transpose(1, 2)).argmax(dim=2)
