"""Every classifier by name: separable classes, balance, determinism, the compiled form."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import kernels
from napari_mrissl.segmentation.classifiers import CLASSIFIERS, fit_classifier, separability
from napari_mrissl.segmentation.models import FusedModel, Outputs


def three_classes(counts=(30, 20, 10), seed=0):
    rng = np.random.default_rng(seed)
    centers = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0]], np.float32)
    classes = np.repeat([0, 1, 2], counts)
    rows = centers[classes] + rng.normal(0, 0.5, (len(classes), 3))
    return rows.astype(np.float32), classes


def outputs(count, classes):
    return Outputs(
        np.zeros(count, np.uint8),
        np.zeros((classes, count), np.float32),
        np.zeros(count, np.float32),
    )


def random_model(rng, channels=7, units=5, classes=3):
    def numbers(*shape):
        return rng.normal(size=shape).astype(np.float32)

    return FusedModel(
        numbers(units, channels),
        numbers(units),
        numbers(classes, channels),
        numbers(classes, units),
        numbers(classes),
        2.0,
    )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_separable_classes_are_separated(name):
    rows, classes = three_classes()
    model = fit_classifier(name, rows, classes, np.ascontiguousarray(rows.T))
    seen, truth = three_classes((300, 300, 300), seed=1)
    features = np.ascontiguousarray(seen.T)
    table = np.array([5, 7, 200], np.uint8)
    result = outputs(len(truth), 3)
    model.classify(features, table, result, 0, len(truth))
    assert (result.labels == table[truth]).mean() > 0.97
    np.testing.assert_allclose(result.probability.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(table[result.probability.argmax(axis=0)], result.labels)
    assert result.uncertainty.min() >= 0
    assert result.uncertainty.max() <= 1 + 1e-6
    p = result.probability.astype(np.float64)
    entropy = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=0) / np.log(3)
    np.testing.assert_allclose(result.uncertainty, entropy, atol=1e-4)
    voxels = np.array([-1, 3, 800, -1, 3])
    labels = np.full(5, 9, np.uint8)
    model.classify_at(features, voxels, table, labels, 0, 5)
    assert labels.tolist() == [0, *result.labels[[3, 800]].tolist(), 0, result.labels[3]]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_classes(name):
    rows, classes = three_classes((20, 20, 0))
    model = fit_classifier(name, rows, classes)
    result = Outputs.for_labels(np.zeros(40, np.uint8))
    model.classify(np.ascontiguousarray(rows.T), np.array([1, 2], np.uint8), result, 0, 40)
    np.testing.assert_array_equal(result.labels, classes + 1)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_first_two_prompts_are_enough_to_begin(name):
    rows = np.array([[0, 0, 0], [4, 4, 0]], np.float32)
    model = fit_classifier(name, rows, np.array([0, 1]), np.ascontiguousarray(rows.T))
    result = outputs(2, 2)
    model.classify(np.ascontiguousarray(rows.T), np.array([3, 9], np.uint8), result, 0, 2)
    np.testing.assert_allclose(result.probability.sum(axis=0), 1, atol=1e-5)
    # Leaves of boosted trees hold three prompts, and one prompt a class has no covariance.
    if name not in ("gradient_boosting", "lda"):
        np.testing.assert_array_equal(result.labels, [3, 9])


@pytest.mark.parametrize("name", ["fast", "logistic", "lda", "random_forest"])
def test_a_class_with_one_prompt_is_not_forgotten(name):
    rng = np.random.default_rng(0)
    rows = np.r_[rng.normal(0, 1, (200, 2)), [[6.0, 6.0]]].astype(np.float32)
    classes = np.r_[np.zeros(200, int), 1]
    model = fit_classifier(name, rows, classes)
    result = Outputs.for_labels(np.zeros(1, np.uint8))
    model.classify(np.array([[5.9], [5.9]], np.float32), np.array([1, 2], np.uint8), result, 0, 1)
    assert result.labels == [2]


def test_classes_weigh_the_same_whatever_their_numbers():
    rng = np.random.default_rng(0)
    one, other = rng.normal(-1, 1, (1000, 1)), rng.normal(1, 1, (20, 1))
    rows = np.r_[one, other].astype(np.float32)
    classes = np.repeat([0, 1], (1000, 20))
    model = fit_classifier("fast", rows, classes)
    line = np.linspace(-2, 2, 401, dtype=np.float32)[None]
    result = Outputs.for_labels(np.zeros(401, np.uint8))
    model.classify(line, np.array([0, 1], np.uint8), result, 0, 401)
    assert abs(line[0, int(result.labels.argmax())]) < 0.7


def test_an_unknown_name():
    with pytest.raises(MrisslError, match="oracle"):
        fit_classifier("oracle", *three_classes())


def test_constant_channels_do_no_harm():
    rows, classes = three_classes()
    flat = np.c_[rows, np.full((len(rows), 2), 3, np.float32)]
    model = fit_classifier("fast", flat, classes)
    result = Outputs.for_labels(np.zeros(len(rows), np.uint8))
    model.classify(np.ascontiguousarray(flat.T), np.arange(3, dtype=np.uint8), result, 0, len(rows))
    assert (result.labels == classes).mean() > 0.95


def test_prompts_that_cannot_be_told_apart_still_give_a_model():
    rows = np.zeros((6, 2), np.float32)
    model = fit_classifier("fast", rows, np.array([0, 1] * 3), np.zeros((2, 50), np.float32))
    result = outputs(6, 2)
    model.classify(np.ascontiguousarray(rows.T), np.arange(2, dtype=np.uint8), result, 0, 6)
    assert np.isfinite(result.probability).all()


def test_long_scribbles_are_thinned_evenly():
    rows, classes = three_classes((5000, 3000, 10))
    model = fit_classifier("fast", rows, classes)
    again = fit_classifier("fast", rows, classes)
    np.testing.assert_array_equal(model.weights, again.weights)


def test_separability_of_a_pair():
    rows = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0], [1.0, 2.0]])
    value = separability(rows, np.array([0, 0, 1, 1]), np.full(4, 0.25))
    np.testing.assert_allclose(value, [1, 0], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 4, 7])
@pytest.mark.parametrize("units", [0, 5])
def test_the_compiled_form_is_the_formula(channels, units):
    rng = np.random.default_rng(0)
    model = random_model(rng, channels, units)
    x = rng.normal(size=(channels, 700)).astype(np.float32)
    hidden = np.maximum(model.units.astype(float) @ x + model.unit_bias[:, None], 0)
    scores = model.linear @ x + model.weights @ hidden + model.bias[:, None]
    p = np.exp(2.0 * scores)
    p /= p.sum(axis=0)
    result = outputs(700, 3)
    model.classify(x, np.arange(3, dtype=np.uint8), result, 0, 700)
    np.testing.assert_allclose(result.probability, p, atol=1e-5)
    np.testing.assert_array_equal(result.labels, scores.argmax(axis=0))


def test_a_voxel_does_not_depend_on_its_place_in_a_block():
    rng = np.random.default_rng(0)
    model = random_model(rng, 11, 128, 4)
    x = rng.normal(size=(11, 1000)).astype(np.float32)
    whole, parts = outputs(1000, 4), outputs(1000, 4)
    table = np.arange(4, dtype=np.uint8)
    model.classify(x, table, whole, 0, 1000)
    for first, last in ((0, 1), (1, 258), (258, 999), (999, 1000)):
        model.classify(x, table, parts, first, last)
    np.testing.assert_array_equal(whole.probability, parts.probability)


def test_solving():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(9, 6)), rng.random(9)
    gram = np.empty((6, 6))
    kernels.weighted_gram(rows, weights, gram)
    np.testing.assert_allclose(gram, (rows.T * weights) @ rows)
    right = rng.normal(size=(6, 2))
    expected = np.linalg.solve(gram, right)
    for solve in (kernels.solve_positive, kernels.solve_positive.py_func):
        solution = right.copy()
        solve(gram.copy(), solution)
        np.testing.assert_allclose(solution, expected)


def test_left_out_scores_are_those_of_a_fit_without_the_row():
    from napari_mrissl.segmentation import classifiers

    rng = np.random.default_rng(0)
    design, classes = rng.normal(size=(12, 4)), np.arange(12) % 3
    weights = np.full(12, 1 / 12)
    _, held_out = classifiers._ridge(design, classes, weights, 9)
    for row in (0, 7):
        kept = np.arange(12) != row
        part = design[kept]
        gram = part.T @ part / 12 + classifiers._RIDGE * np.eye(4)
        solution = np.linalg.solve(gram, part.T @ np.eye(3)[classes[kept]] / 12)
        np.testing.assert_allclose(held_out[row], design[row] @ solution)


def test_kernels_without_compiler():
    rng = np.random.default_rng(0)
    model = random_model(rng, 6, 3)
    x = rng.normal(size=(6, 20)).astype(np.float32)
    compiled, plain = outputs(20, 3), outputs(20, 3)
    table = np.arange(3, dtype=np.uint8)
    model.classify(x, table, compiled, 0, 20)
    parts = (model.units, model.unit_bias, model.linear, model.weights, model.bias)
    kernels.classify.py_func(x, *parts, table, 2.0, *plain, 0, 20)
    np.testing.assert_array_equal(plain.labels, compiled.labels)
    unit, scores = np.empty(256, np.float32), np.empty((3, 256), np.float32)
    block = np.zeros((6, 256), np.float32)
    block[:, :20] = x
    kernels.block_scores.py_func(block, *parts, unit, scores)
    assert kernels.best_class.py_func(scores, 4) == compiled.labels[4]
    kernels.write_probabilities.py_func(scores, 2.0, 20, 0, plain.probability, plain.uncertainty)
    np.testing.assert_allclose(plain.probability, compiled.probability, atol=1e-5)
    voxels, labels = np.array([4, -1]), np.empty(2, np.uint8)
    kernels.classify_at.py_func(x, voxels, *parts, table, labels, 0, 2)
    assert labels.tolist() == [compiled.labels[4], 0]
    found, expected = np.empty((4, 3), np.int64), np.empty((4, 3), np.int64)
    matrix = np.array([[0.5, 0, 0, 0], [0, 1.0, 0.2, -0.6], [0, 0, 1.1, 0]])
    shape = np.array((2, 2, 3))
    kernels.nearest_voxels.py_func(matrix, shape, 2, 3, found, 0, 4)
    kernels.nearest_voxels(matrix, shape, 2, 3, expected, 0, 4)
    np.testing.assert_array_equal(found, expected)
    gram = np.empty((3, 3))
    kernels.weighted_gram.py_func(x[:3].T.astype(float), np.ones(20), gram)
    np.testing.assert_allclose(gram, x[:3] @ x[:3].T, rtol=1e-5)
