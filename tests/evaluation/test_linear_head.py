"""The head is the optimum of its loss, and gives the same labels as scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from napari_mrissl.evaluation import linear_head


def drawn(classes, seed=0, count=600):
    random = np.random.default_rng(seed)
    labels = random.choice(classes, count)
    centers = random.normal(0, 2, (max(classes) + 1, 5))
    rows = centers[labels] + random.normal(0, 1, (count, 5))
    return rows * (1, 10, 100, 0.01, 1) + (0, 5, -300, 0, 7), labels


@pytest.mark.parametrize("classes", [(0, 1), (0, 1, 2), (0, 2, 5, 9)])
def test_the_gradient_of_the_penalised_loss_is_zero(classes):
    rows, labels = drawn(classes)
    head = linear_head.fit([rows[:200], rows[200:]], [labels[:200], labels[200:]], "likeliest")
    assert head.classes.tolist() == list(classes)
    spread = rows.std(axis=0)
    scaled = (rows - rows.mean(axis=0)) / spread
    weights = head.weights * spread
    bias = head.bias + head.weights @ rows.mean(axis=0)
    scores = scaled @ weights.T + bias
    if len(classes) == 2:
        # Halves of one decision function, which alone carries the penalty.
        p = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
        gradient = ((p - (labels == classes[1]))[:, None] * scaled).sum(axis=0) + 2 * weights[1]
    else:
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        wrong = p - (labels[:, None] == np.array(classes))
        gradient = wrong.T @ scaled + weights
    assert np.abs(gradient).max() < 0.05


def test_it_predicts_what_scikit_learn_does():
    rows, labels = drawn((0, 1, 3), seed=1)
    head = linear_head.fit([rows], [labels], "likeliest")
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    other = LogisticRegression(max_iter=5000, tol=1e-9).fit(scaled, labels).predict(scaled)
    volume = rows.T.reshape(5, 10, 6, 10).astype(np.float32)
    found = head.predict(volume)
    assert found.shape == (10, 6, 10)
    assert np.count_nonzero(found.reshape(-1) != other) <= 1
    assert 0.8 < np.mean(found.reshape(-1) == labels) < 1


def test_a_channel_that_never_changes_and_a_single_class_do_no_harm():
    rows, labels = drawn((0, 1))
    rows[:, 2] = 1e6
    head = linear_head.fit([rows], [labels])
    assert np.isfinite(head.weights).all()
    assert (head.weights[:, 2] == 0).all()
    one = linear_head.fit([rows], [np.full(len(rows), 7)])
    assert (one.predict(np.zeros((5, 2, 3, 4), np.float32)) == 7).all()


def mean_dice(found, truth, labels):
    return np.mean(
        [
            2 * np.sum((found == k) & (truth == k)) / (np.sum(found == k) + np.sum(truth == k))
            for k in labels
        ]
    )


@pytest.mark.parametrize("rounded", [False, True])
def test_background_is_taken_back_by_the_best_amount_of_all(rounded):
    random = np.random.default_rng(3)
    truth = random.choice(3, 400, p=(0.9, 0.06, 0.04))
    scores = random.normal(0, 1, (400, 3)) + 0.7 * np.eye(3)[truth] + (3, 0, 0)
    scores = np.round(scores) if rounded else scores
    found = linear_head.best_amount(scores, truth)
    tried = {
        amount: mean_dice((scores - (amount, 0, 0)).argmax(axis=1), truth, (1, 2))
        for amount in (*np.arange(-8.03, 8, 0.01), found)
    }
    assert tried[found] == pytest.approx(max(tried.values()))
    assert tried[found] > 0.15 > tried[min(tried)]


def test_a_small_structure_is_found_that_is_never_the_likeliest():
    random = np.random.default_rng(0)
    labels = random.choice(3, 5000, p=(0.96, 0.02, 0.02))
    rows = np.array([[0.0, 0], [1, 0], [0, 1]])[labels] + random.normal(0, 0.8, (5000, 2))
    volume = rows.T.reshape(2, 50, 10, 10).astype(np.float32)
    scores = {}
    for decision in ("dice", "likeliest"):
        head = linear_head.fit([rows], [labels], decision)
        scores[decision] = mean_dice(head.predict(volume).reshape(-1), labels, (1, 2))
    assert scores["likeliest"] < 0.05
    assert scores["dice"] > 0.1
