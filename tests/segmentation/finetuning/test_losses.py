"""The loss is MONAI's where everything is labelled, and blind where nothing is."""

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss

from napari_mrissl.segmentation.finetuning.losses import segmentation_terms
from napari_mrissl.segmentation.finetuning.task_settings import (
    UNLABELLED,
    FinetuneTaskSettings,
    LabelClass,
)


def settings(*labels: int) -> FinetuneTaskSettings:
    return FinetuneTaskSettings(
        classes=tuple(LabelClass(label=label, name=str(label)) for label in labels)
    )


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    labels = torch.randint(0, 3, (2, 5, 6, 4), dtype=torch.uint8)
    return torch.randn(2, 3, 5, 6, 4, dtype=torch.float64, requires_grad=True), labels


def value(term) -> torch.Tensor:
    return term.total / term.count


def test_of_whole_label_maps_it_is_monai_s(batch):
    logits, labels = batch
    terms = segmentation_terms(logits, labels, settings(0, 1, 2))
    options = {"softmax": True, "to_onehot_y": True}
    overlap = DiceLoss(include_background=False, **options)(logits, labels[:, None].long())
    entropy = torch.nn.functional.cross_entropy(logits, labels.long())
    assert value(terms["overlap"]).item() == pytest.approx(overlap.item(), rel=1e-9)
    assert value(terms["cross entropy"]).item() == pytest.approx(entropy.item(), rel=1e-9)
    whole = DiceCELoss(include_background=True, **options)(logits, labels[:, None].long())
    # Where no label is background, every class counts in both parts.
    all_terms = segmentation_terms(logits, labels, settings(4, 5, 6))
    together = sum(value(term) * term.weight for term in all_terms.values())
    assert together.item() == pytest.approx(whole.item(), rel=1e-9)


def test_voxels_without_labels_have_no_part_in_it(batch):
    logits, labels = batch
    hidden = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1)) < 0.7
    labels = labels.clone()
    labels[hidden] = UNLABELLED
    terms = segmentation_terms(logits, labels, settings(0, 1, 2))
    loss = sum(value(term) * term.weight for term in terms.values())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient.permute(1, 0, 2, 3, 4)[:, hidden].any()
    assert gradient.permute(1, 0, 2, 3, 4)[:, ~hidden].any()
    # Another answer there changes nothing.
    other = logits.detach().clone().permute(0, 2, 3, 4, 1)
    other[hidden] += 5 * torch.randn(int(hidden.sum()), 3, dtype=torch.float64)
    again = segmentation_terms(other.permute(0, 4, 1, 2, 3), labels, settings(0, 1, 2))
    for name, term in terms.items():
        assert value(again[name]).item() == pytest.approx(value(term).item(), rel=1e-12)


def test_sums_over_the_labelled_voxels_one_by_one(batch):
    logits, labels = batch
    labels = labels.clone()
    labels[0, :3] = UNLABELLED
    labels[1] = torch.where(labels[1] == 2, UNLABELLED, labels[1])
    chances = torch.softmax(logits.detach(), dim=1)
    entropy, count = 0.0, 0
    overlaps, hits = [], []
    for n in range(2):
        known = labels[n] != UNLABELLED
        for k in range(3):
            truth = (labels[n] == k) & known
            for at in truth.nonzero().tolist():
                entropy -= chances[n, k, at[0], at[1], at[2]].log().item()
                count += 1
            if k and truth.any():
                soft = chances[n, k][known].sum().item()
                both = chances[n, k][truth].sum().item()
                overlaps.append(1 - (2 * both + 1e-5) / (soft + truth.sum().item() + 1e-5))
                chosen = (chances[n].argmax(dim=0) == k) & known
                common = (chosen & truth).sum().item()
                hits.append(2 * common / (chosen.sum().item() + truth.sum().item()))
    assert len(overlaps) == 3  # the second crop has no labelled voxel of class 2
    terms = segmentation_terms(logits, labels, settings(0, 1, 2))
    assert value(terms["cross entropy"]).item() == pytest.approx(entropy / count, rel=1e-9)
    assert value(terms["overlap"]).item() == pytest.approx(sum(overlaps) / 3, rel=1e-9)
    assert value(terms["dice"]).item() == pytest.approx(sum(hits) / 3, rel=1e-9)
    assert terms["dice"].weight == 0


def test_nothing_labelled_is_no_loss_and_no_error(batch):
    logits, labels = batch
    terms = segmentation_terms(logits, torch.full_like(labels, UNLABELLED), settings(0, 1, 2))
    assert all(term.total.item() == 0 and float(term.count) == 0 for term in terms.values())
