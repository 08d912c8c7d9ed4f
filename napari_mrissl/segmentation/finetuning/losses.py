"""Dice and cross entropy where voxels are labelled, and nothing where they are not."""

from __future__ import annotations

import torch
from monai.losses.dice import DiceLoss

from napari_mrissl.pretext.task import LossTerm
from napari_mrissl.segmentation.finetuning.task_settings import FinetuneTaskSettings

CROSS_ENTROPY, OVERLAP, DICE = "cross entropy", "overlap", "dice"

_SPACE = (2, 3, 4)


def segmentation_terms(
    logits: torch.Tensor, labels: torch.Tensor, settings: FinetuneTaskSettings
) -> dict[str, LossTerm]:
    """The terms of a batch.

    ``cross entropy`` is that of all labelled voxels together. ``overlap`` is the soft Dice
    loss of MONAI for each crop and class; ``dice``, a metric, is the Dice of the likeliest
    classes. Both leave the background out, voxels that are not labelled, and classes that a
    crop has no labelled voxel of: there its overlap says nothing. With whole label maps and
    every class in every crop, the loss is MONAI's ``DiceCELoss(softmax=True,
    to_onehot_y=True, include_background=False)``, as published (arXiv:2411.02372), but for
    the background's share in cross entropy, which is kept.

    Parameters
    ----------
    logits
        (N, K, Z, Y, X).
    labels
        (N, Z, Y, X) numbers of classes; K and more are not labelled.
    settings
        Classes and weights.
    """
    classes = logits.shape[1]
    numbers = torch.arange(classes, device=labels.device).view(1, -1, 1, 1, 1)
    # Compared, not scattered: a deterministic backward on every device.
    truth = (labels[:, None] == numbers).to(torch.promote_types(logits.dtype, torch.float32))
    known = truth.sum(dim=1, keepdim=True)
    logarithms = torch.log_softmax(logits.to(truth.dtype), dim=1)
    first = 1 if settings.classes[0].label == 0 else 0
    present = (truth[:, first:].sum(dim=_SPACE) > 0).to(truth.dtype)
    soft = DiceLoss(include_background=first == 0, reduction="none")
    overlap = soft(logarithms.exp() * known, truth).flatten(1)
    return {
        CROSS_ENTROPY: LossTerm(-(truth * logarithms).sum(), known.sum(), settings.voxelwise),
        OVERLAP: LossTerm((overlap * present).sum(), present.sum(), settings.overlap),
        DICE: LossTerm((_dice(logits, truth, known, first) * present).sum(), present.sum(), 0.0),
    }


@torch.no_grad()
def _dice(
    logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor, first: int
) -> torch.Tensor:
    """(N, K - first) Dice of the likeliest classes at labelled voxels; 0 for absent classes."""
    numbers = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)
    chosen = (logits.argmax(dim=1, keepdim=True) == numbers).to(truth.dtype) * known
    both = (chosen * truth).sum(dim=_SPACE)
    sizes = chosen.sum(dim=_SPACE) + truth.sum(dim=_SPACE)
    return (2 * both / sizes.clamp(min=1))[:, first:]
