"""Maps from landmarks: known ones come back, outliers do not count, and left stays left."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from turned_pairs import turned_pair

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import apply_affine
from napari_mrissl.registration import RegistrationSettings, register
from napari_mrissl.registration.landmark_fit import fitted

AFFINE = np.array([[1.1, 0.1, 0, 30], [-0.05, 0.9, 0.2, -20], [0, -0.1, 1.0, 12], [0, 0, 0, 1]])


def landmarks(matrix, count=40, outliers=0, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(-80, 80, (count, 3))
    moving = apply_affine(matrix, fixed) + noise * rng.standard_normal((count, 3))
    moving[:outliers] = rng.uniform(-80, 80, (outliers, 3))
    return np.stack([fixed, moving], axis=1)


def rigid():
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (20, -35, 60), degrees=True).as_matrix()
    matrix[:3, 3] = (40, 5, -60)
    return matrix


def test_an_affine_map_comes_back_though_half_of_the_landmarks_are_wrong():
    found, counted = fitted(landmarks(AFFINE, outliers=20))
    np.testing.assert_allclose(found, AFFINE, atol=1e-8)
    assert not counted[:20].all()
    assert counted[20:].all()


def test_least_squares_are_those_of_numpy():
    given = landmarks(AFFINE, noise=0.5)
    found, counted = fitted(given)
    assert counted.all()
    fixed = np.column_stack([given[:, 0], np.ones(40)])
    expected = np.linalg.pinv(fixed) @ given[:, 1]
    np.testing.assert_allclose(found[:3].T, expected, atol=1e-8)


@pytest.mark.parametrize("count", [3, 7, 30])
def test_a_rigid_map_comes_back(count):
    found, _ = fitted(
        landmarks(rigid(), count, outliers=count // 3 if count > 7 else 0), rigid=True
    )
    np.testing.assert_allclose(found, rigid(), atol=1e-8)


def test_few_landmarks_and_those_in_a_plane_give_a_rigid_map():
    few = fitted(landmarks(AFFINE, 6))[0]
    flat = landmarks(rigid(), 30)
    flat[:, 0, 2] = 0
    flat[:, 1] = apply_affine(rigid(), flat[:, 0])
    plane, _ = fitted(flat)
    for found in (few, plane):
        np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-8)
    np.testing.assert_allclose(plane, rigid(), atol=1e-8)


def test_mirrored_landmarks_never_exchange_left_and_right():
    """Three places and their mirror image always agree with a rotation; more do not."""
    with pytest.raises(MrisslError, match="quarter of 40"):
        fitted(10 * landmarks(np.diag([-1.0, 1, 1, 1])))


def test_too_few_are_refused():
    given = landmarks(AFFINE, 2)
    with pytest.raises(MrisslError, match="2 landmarks"):
        fitted(given)
    line = np.stack([np.outer(np.arange(9), (1, 2, 3))] * 2, axis=1).astype(float)
    with pytest.raises(MrisslError, match="on a line"):
        fitted(line)


def test_registration_begins_with_landmarks():
    pair = turned_pair("LPS", 20)
    marks = np.stack([pair.body, apply_affine(pair.truth, pair.body)], axis=1)
    settings = RegistrationSettings(initial="landmarks", linear="none", deformable=False)
    found = register(pair.fixed, pair.moving, settings, landmarks=marks)
    np.testing.assert_allclose(found.linear, pair.truth, atol=1e-6)
    with pytest.raises(MrisslError, match="no landmarks"):
        register(pair.fixed, pair.moving, settings)
