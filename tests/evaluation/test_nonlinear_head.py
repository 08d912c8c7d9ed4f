"""The nonlinear head gives scikit-learn's answers, and learns what no linear one can."""

import warnings

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from napari_mrissl.evaluation import linear_head, nonlinear_head


def checkered(classes=2, count=3000):
    random = np.random.default_rng(0)
    rows = random.uniform(-1, 1, (count, 3))
    labels = (rows[:, 0] > 0).astype(int) ^ (rows[:, 1] > 0)
    if classes == 3:
        labels = np.where(rows[:, 2] > 0.5, 2, labels)
    return rows * (1, 100, 0.01) + (0, -300, 7), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_it_predicts_what_scikit_learn_does(classes):
    rows, labels = checkered(classes)
    head = nonlinear_head.fit([rows[:900], rows[900:]], [labels[:900], labels[900:]], "likeliest")
    scaled = ((rows - rows.mean(axis=0)) / rows.std(axis=0)).astype(np.float32)
    # A thousand steps of 512 of 3000 voxels.
    other = MLPClassifier(
        (64,), batch_size=512, max_iter=167, tol=0.0, n_iter_no_change=167, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = other.fit(scaled, labels).predict(scaled)
    volume = rows.T.reshape(3, 10, 30, 10).astype(np.float32)
    found = head.predict(volume).reshape(-1)
    assert np.mean(found == wanted) > 0.999
    linear = linear_head.fit([rows], [labels], "likeliest").predict(volume).reshape(-1)
    assert np.mean(found == labels) > np.mean(linear == labels) + 0.05


def test_background_is_taken_back_as_by_the_linear_head():
    random = np.random.default_rng(0)
    labels = random.choice(3, 4000, p=(0.96, 0.02, 0.02))
    rows = np.array([[0.0, 0], [1, 0], [0, 1]])[labels] + random.normal(0, 0.8, (4000, 2))
    found = {
        decision: nonlinear_head.fit([rows], [labels], decision).predict(
            rows.T.reshape(2, 40, 10, 10).astype(np.float32)
        )
        for decision in ("dice", "likeliest")
    }
    assert np.count_nonzero(found["likeliest"]) < np.count_nonzero(found["dice"])
    truth = labels.reshape(40, 10, 10)
    common = np.count_nonzero((found["dice"] == truth) & (truth > 0))
    assert 2 * common / (np.count_nonzero(found["dice"]) + np.count_nonzero(truth)) > 0.1


def test_a_channel_that_never_changes_and_a_single_class_do_no_harm():
    rows, labels = checkered()
    rows[:, 2] = 1e6
    head = nonlinear_head.fit([rows], [labels])
    assert all(np.isfinite(part).all() for layer in head.layers for part in layer)
    one = nonlinear_head.fit([rows], [np.full(len(rows), 7)])
    assert (one.predict(np.zeros((3, 2, 3, 4), np.float32)) == 7).all()
