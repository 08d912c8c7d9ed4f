"""The contrastive loss against two nested loops in numpy."""

import math

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.synthesis.losses import contrast, nearest_in_other_view

RNG = np.random.default_rng(5)
EMBEDDINGS = RNG.standard_normal((3, 6, 4))
LABELS = np.array([[0, 1, 2, 0, 1, 2], [7, 7, 1, 7, 7, 1], [3, 3, 3, 3, 3, 3]])


def by_loops(vectors, labels, temperature, balanced=False):
    """As the paper writes it, anchor by anchor."""
    units = [vector / math.sqrt(sum(vector**2)) for vector in vectors]
    found = []
    for i, anchor in enumerate(units):
        likeness = [math.exp(float(anchor @ other) / temperature) for other in units]
        if balanced:
            denominator = 0.0
            for label in set(labels.tolist()):
                others = [likeness[a] for a in range(len(units)) if a != i and labels[a] == label]
                denominator += sum(others) / len(others)
        else:
            denominator = sum(likeness[a] for a in range(len(units)) if a != i)
        positives = [p for p in range(len(units)) if p != i and labels[p] == labels[i]]
        terms = [-math.log(likeness[p] / denominator) for p in positives]
        found.append(sum(terms) / len(terms))
    return found


def test_it_is_that_of_two_loops():
    for temperature in (0.33, 0.2, 1.0):
        for balanced in (False, True):
            expected = [
                by_loops(vectors, labels, temperature, balanced)
                for vectors, labels in zip(EMBEDDINGS, LABELS, strict=True)
            ]
            found = contrast(
                torch.from_numpy(EMBEDDINGS),
                torch.from_numpy(LABELS),
                temperature,
                balanced=balanced,
            )
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("rarity", "power"), [("raw", 1.0), ("sqrt", 0.5)])
def test_rare_labels_weigh_more(rarity, power):
    vectors, labels = torch.from_numpy(EMBEDDINGS), torch.from_numpy(LABELS)
    plain = contrast(vectors, labels, 0.33).numpy()
    found = contrast(vectors, labels, 0.33, rarity=rarity).numpy()
    for pair, own in enumerate(LABELS):
        weights = np.array([1 / (own == label).sum() ** power for label in own])
        expected = plain[pair] * weights / weights.mean()
        np.testing.assert_allclose(found[pair], expected, rtol=1e-12)
    # Four voxels of one label, two of another: those weigh 2 (1.41) times as much.
    ratio = found[1, 2] / plain[1, 2] / (found[1, 0] / plain[1, 0])
    assert ratio == pytest.approx(2**power)


def test_identical_embeddings_have_the_value_of_chance():
    same = torch.ones(2, 10, 5, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 3, 4] * 2, [0, 0, 0, 0, 1] * 2])
    np.testing.assert_allclose(contrast(same, labels, 0.33).numpy(), math.log(9))
    balanced = contrast(same, labels, 0.33, balanced=True).numpy()
    np.testing.assert_allclose(balanced[0], math.log(5))
    np.testing.assert_allclose(balanced[1], math.log(2))


def test_order_does_not_matter_and_scale_neither():
    vectors, labels = torch.from_numpy(EMBEDDINGS), torch.from_numpy(LABELS)
    order = torch.from_numpy(RNG.permutation(6))
    plain = contrast(vectors, labels, 0.33)
    mixed = contrast(vectors[:, order] * 7.5, labels[:, order], 0.33)
    torch.testing.assert_close(mixed, plain[:, order])


@pytest.mark.parametrize("options", [{}, {"rarity": "raw", "balanced": True}])
def test_gradients_are_those_of_finite_differences(options):
    vectors = torch.from_numpy(EMBEDDINGS).requires_grad_()
    labels = torch.from_numpy(LABELS)
    assert torch.autograd.gradcheck(
        lambda v: contrast(v, labels, 0.33, **options).sum(), (vectors,)
    )


def test_gradients_stay_finite_where_cosines_are_one():
    vectors = torch.ones(1, 64, 8, requires_grad=True)
    labels = torch.arange(32).repeat(2)[None]
    contrast(vectors, labels, 0.01).sum().backward()
    assert torch.isfinite(vectors.grad).all()


def test_the_nearest_voxel_of_the_other_view():
    first = torch.eye(4)[None]
    second = torch.eye(4)[[2, 0, 3, 1]][None] * 3 + 0.1
    found = nearest_in_other_view(torch.cat([first, second], dim=1))
    assert found.tolist() == [[1, 3, 0, 2]]
