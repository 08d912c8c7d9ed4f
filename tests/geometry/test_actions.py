import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import (
    ACTION_NAMES,
    Pose,
    apply_action,
    invert_action,
    relative_action,
)

seeds = st.integers(0, 2**32 - 1)


def random_pose(rng):
    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return Pose(rng.uniform(-100, 100, 3), rotation, float(np.exp(rng.uniform(2, 6))))


def random_action(rng, turn=3.0):
    axis = rng.normal(size=3)
    angle = axis / np.linalg.norm(axis) * rng.uniform(0, turn)
    return np.concatenate([rng.uniform(-2, 2, 3), angle, rng.uniform(-1, 1, 1)])


def distance(a, b):
    """Largest difference of two poses in mm, matrix entries and parts of the fov."""
    return max(
        np.abs(a.center - b.center).max(), np.abs(a.rotation - b.rotation).max(),
        abs(a.fov / b.fov - 1),
    )  # fmt: skip


def test_an_action_is_what_the_definition_says():
    rng = np.random.default_rng(0)
    for _ in range(50):
        pose, action = random_pose(rng), random_action(rng)
        wx, wy, wz = action[3:6]
        turned = pose.rotation @ expm(np.array([[0, -wz, wy], [wz, 0, -wx], [-wy, wx, 0]]))
        found = apply_action(pose, action)
        expected = pose.center + pose.fov * pose.rotation @ action[:3]
        np.testing.assert_allclose(found.center, expected)
        np.testing.assert_allclose(found.rotation, turned, atol=1e-12)
        assert found.fov == pytest.approx(pose.fov * np.exp(action[6]))


@given(seeds)
@settings(deadline=None, max_examples=200)
def test_relative_action_undoes_apply_action(seed):
    rng = np.random.default_rng(seed)
    pose, action = random_pose(rng), random_action(rng)
    assert np.abs(relative_action(pose, apply_action(pose, action)) - action).max() < 1e-5


@given(seeds)
@settings(deadline=None, max_examples=200)
def test_any_two_poses_are_one_action_apart(seed):
    rng = np.random.default_rng(seed)
    start, end = random_pose(rng), random_pose(rng)
    assert distance(apply_action(start, relative_action(start, end)), end) < 1e-5


@given(seeds)
@settings(deadline=None, max_examples=200)
def test_an_action_and_its_inverse_cancel_in_both_orders(seed):
    rng = np.random.default_rng(seed)
    pose, action = random_pose(rng), random_action(rng)
    inverse = invert_action(action)
    assert distance(apply_action(apply_action(pose, action), inverse), pose) < 1e-5
    assert distance(apply_action(apply_action(pose, inverse), action), pose) < 1e-5
    assert np.abs(invert_action(inverse) - action).max() < 1e-9


def test_a_long_flight_keeps_its_axes_orthonormal_and_flies_back():
    rng = np.random.default_rng(3)
    start = random_pose(rng)
    actions = [random_action(rng) * 0.05 for _ in range(5000)]
    pose = start
    for action in actions:
        pose = apply_action(pose, action)
    np.testing.assert_allclose(pose.rotation.T @ pose.rotation, np.eye(3), atol=1e-12)
    for action in reversed(actions):
        pose = apply_action(pose, invert_action(action))
    assert distance(pose, start) < 1e-5


def test_tiny_and_half_turns():
    pose = random_pose(np.random.default_rng(4))
    for angle in (0, 1e-12, 1e-8, 1e-4, np.pi - 1e-6, np.pi):
        action = np.array([0, 0, 0, angle, 0, 0, 0.0])
        found = relative_action(pose, apply_action(pose, action))
        assert np.abs(np.abs(found) - action).max() < 1e-6


def test_seven_names_for_seven_numbers():
    assert len(ACTION_NAMES) == 7
    pose = random_pose(np.random.default_rng(5))
    for bad in (np.zeros(6), np.full(7, np.nan), np.zeros((7, 1))):
        with pytest.raises(MrisslError, match="action"):
            apply_action(pose, bad)
        with pytest.raises(MrisslError, match="action"):
            invert_action(bad)
