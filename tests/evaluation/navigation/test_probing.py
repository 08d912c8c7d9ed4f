"""Probes: what is known gives no error, noise gives chance, and scores are scikit-learn's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.metrics import r2_score, roc_auc_score

from napari_mrissl.evaluation import linear_head
from napari_mrissl.evaluation.navigation import probes
from napari_mrissl.evaluation.navigation.probing import Measure, probe, segmentation
from tests.evaluation.navigation.made import GRID, SIZE, Told, probe_slices


@pytest.fixture(scope="module")
def parts():
    return probe_slices(1, 4), probe_slices(2, 3)


def true_rows(slices):
    """All that probes ask about single slices, as a linear map can read it."""
    normals = np.abs(slices.rotations[:, ::-1, 2])
    six = probes.six_numbers(slices.rotations)
    return np.concatenate([slices.places, 50 * six, 50 * np.log(slices.fovs)[:, None],
                           100 * normals], axis=1)  # fmt: skip


@pytest.fixture(scope="module")
def known(parts):
    train, test = parts
    return probe(Told((train, true_rows(train)), (test, true_rows(test))), train, test)


@pytest.fixture(scope="module")
def noise(parts):
    train, test = parts
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(len(one.images), 12)) for one in parts]
    return probe(Told((train, rows[0]), (test, rows[1])), train, test)


def test_features_that_are_the_pose_leave_no_error(known):
    assert known["position_mm"].value < 0.1
    assert known["position_r2"].value > 0.9999
    assert known["angle_degrees"].value < 0.1
    assert known["log_fov_r2"].value > 0.9999
    assert known["plane_accuracy"].value > 0.85
    assert known["position_mm"].subjects == 3
    assert known["position_mm"].low <= known["position_mm"].value <= known["position_mm"].high


def test_noise_is_worth_what_looking_at_nothing_is(noise):
    for name in ("position_mm", "angle_degrees", "moved_mm", "moved_degrees"):
        assert noise[name].value == pytest.approx(noise[name].chance, rel=0.12), name
    assert abs(noise["position_r2"].value) < 0.1
    assert abs(noise["order_accuracy"].value - 0.5) < 0.25
    assert abs(noise["presence_auroc"].value - 0.5) < 0.15
    assert noise["presence_auroc"].chance == 0.5


def test_chance_by_hand(parts, known):
    train, test = parts
    mean = train.places[train.singles].mean(axis=0)
    far = np.linalg.norm(test.places[test.singles] - mean, axis=1).reshape(3, -1)
    assert known["position_mm"].chance == pytest.approx(far.mean())
    columns = train.rotations[train.singles][:, :, :2].mean(axis=0)
    right = columns[:, 0] / np.linalg.norm(columns[:, 0])
    up = columns[:, 1] - (columns[:, 1] @ right) * right
    up /= np.linalg.norm(up)
    usual = Rotation.from_matrix(np.stack([right, up, np.cross(right, up)], axis=1))
    turns = (usual.inv() * Rotation.from_matrix(test.rotations[test.singles])).magnitude()
    assert known["angle_degrees"].chance == pytest.approx(np.degrees(turns).mean(), abs=1e-6)


def test_the_way_between_slices_and_their_order_can_be_read(parts):
    """Rows whose difference is the action, and the place along the common normal."""
    train, test = parts
    rows = []
    for one in parts:
        own = np.zeros((len(one.images), 8))
        own[one.moved[:, 1], :7] = 30 * one.actions
        along = np.where(one.later, 1.0, -1.0)
        own[one.ordered[:, 1], 7] = 20 * along
        rows.append(own)
    found = probe(Told((train, rows[0]), (test, rows[1])), train, test)
    assert found["moved_mm"].value < 0.02 * found["moved_mm"].chance
    assert found["moved_degrees"].value < 0.5
    assert found["order_accuracy"].value == 1.0
    shifts = np.linalg.norm((test.actions - train.actions.mean(axis=0))[:, :3], axis=1)
    by_hand = (shifts * test.fovs[test.moved[:, 0]]).reshape(3, -1).mean(axis=1).mean()
    assert found["moved_mm"].chance == pytest.approx(by_hand)


def test_labels_that_tokens_name_are_segmented_whole(parts):
    train, test = parts
    tokens = []
    for one in parts:
        patches = one.labels.reshape(len(one.labels), GRID, SIZE // GRID, GRID, SIZE // GRID)
        values = patches[:, :, 0, :, 0]
        tokens.append(np.stack([values == k for k in (0, 3, 7)], axis=-1).astype(float))
    found = segmentation(Told((train, tokens[0]), (test, tokens[1])), train, test, (3, 7))
    assert found["dice"].value == 1.0
    assert found["dice_3"].value == found["dice_7"].value == 1.0
    # Half of 60 % of the slices, said everywhere: 2 n / (n + N).
    share = np.array([(test.labels[test.singles][test.subjects[test.singles] == k] == 3).mean()
                      for k in range(3)])  # fmt: skip
    assert found["dice_3"].chance == pytest.approx(np.mean(2 * share / (1 + share)))


def test_tokens_of_noise_are_segmented_no_better_than_by_chance(parts):
    train, test = parts
    rng = np.random.default_rng(3)
    tokens = [rng.normal(size=(len(one.images), GRID, GRID, 5)) for one in parts]
    found = segmentation(Told((train, tokens[0]), (test, tokens[1])), train, test, (3, 7))
    assert found["dice"].value < found["dice"].chance + 0.08


@pytest.mark.parametrize("channels", [5, 9])
def test_heads_of_sources_that_are_compared_have_as_many_weights(parts, channels, monkeypatch):
    train, test = parts
    rng = np.random.default_rng(3)
    tokens = [rng.normal(size=(len(one.images), GRID, GRID, channels)) for one in parts]
    fit, fitted = linear_head.fit, []

    def noted(rows, labels):
        fitted.extend(one.shape[1] for one in rows)
        return fit(rows, labels)

    monkeypatch.setattr(linear_head, "fit", noted)
    probe(Told((train, tokens[0]), (test, tokens[1])), train, test, 4)
    assert set(fitted) == {4}


def test_areas_and_shares_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    subjects = np.repeat([0, 1], 50)
    present, scores = rng.random((100, 3)) < 0.4, rng.normal(size=(100, 3))
    present[:50, 2] = False  # a label that the first subject has nowhere
    first, second = probes.auroc(present, scores, subjects)
    own = [roc_auc_score(present[:50, k], scores[:50, k]) for k in (0, 1)]
    assert first == pytest.approx(np.mean(own))
    own = [roc_auc_score(present[50:, k], scores[50:, k]) for k in (0, 1, 2)]
    assert second == pytest.approx(np.mean(own))
    true, found = rng.normal(size=(100, 1)), rng.normal(size=(100, 1))
    shares = probes.explained(true, found, true[:50].mean(axis=0), subjects)
    assert shares[0] == pytest.approx(r2_score(true[:50], found[:50]))


def test_rotations_by_scipy():
    one, other = Rotation.random(20, random_state=0), Rotation.random(20, random_state=1)
    found = probes.geodesic_degrees(one.as_matrix(), other.as_matrix())
    np.testing.assert_allclose(found, np.degrees((one.inv() * other).magnitude()), atol=1e-6)
    stretched = probes.six_numbers(one.as_matrix()) * 3.0
    np.testing.assert_allclose(probes.orthonormal(stretched), one.as_matrix(), atol=1e-12)


def test_penalties_are_chosen_by_subject():
    groups = np.repeat(np.arange(3), 10)
    for train, test in probes.folds(groups):
        assert not set(groups[train]) & set(groups[test])
    assert len(probes.folds(np.zeros(12, np.int64))) == 5


def test_one_class_is_sure_and_one_subject_has_no_interval():
    likely, classes = probes.classify(
        np.eye(6), np.ones(6, np.bool_), np.arange(6), np.zeros((2, 6))
    )
    assert classes.tolist() == [True]
    assert likely.tolist() == [[1.0], [1.0]]
    alone = Measure.of(np.array([2.0]), np.array([3.0]))
    assert (alone.value, alone.low, alone.high, alone.chance) == (2.0, None, None, 3.0)
