"""Actions: definition, composition, inverse; round trips below 1e-5."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import (
    ACTION_NAMES,
    Pose,
    apply_action,
    chained,
    invert_action,
    relative_action,
)

actions = st.tuples(*[st.floats(-1, 1)] * 3, *[st.floats(-1.7, 1.7)] * 3, st.floats(-1, 1))


def random_pose(seed):
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    return Pose(rng.normal(0, 50, 3), rotation, float(rng.uniform(20, 200)))


def assert_close(first, second, atol=1e-5):
    np.testing.assert_allclose(first.center, second.center, atol=atol * first.fov)
    np.testing.assert_allclose(first.rotation, second.rotation, atol=atol)
    assert first.fov == pytest.approx(second.fov, rel=atol)


@given(actions, st.integers(0, 99))
def test_the_definition(action, seed):
    pose = random_pose(seed)
    moved = apply_action(pose, action)
    d, (x, y, z), s = np.array(action[:3]), action[3:6], action[6]
    turn = expm(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
    np.testing.assert_allclose(moved.center, pose.center + pose.fov * pose.rotation @ d, atol=1e-9)
    np.testing.assert_allclose(moved.rotation, pose.rotation @ turn, atol=1e-9)
    assert moved.fov == pytest.approx(pose.fov * np.exp(s))


@given(actions, st.integers(0, 99))
def test_inverse_undoes_from_any_pose(action, seed):
    pose = random_pose(seed)
    assert_close(apply_action(apply_action(pose, action), invert_action(action)), pose)
    np.testing.assert_allclose(invert_action(invert_action(action)), action, atol=1e-9)


@given(actions, st.integers(0, 99))
def test_relative_finds_the_action(action, seed):
    pose = random_pose(seed)
    moved = apply_action(pose, action)
    found = relative_action(pose, moved)
    assert_close(apply_action(pose, found), moved)
    if np.linalg.norm(action[3:6]) < np.pi - 1e-3:
        np.testing.assert_allclose(found, action, atol=1e-7)


@given(st.integers(0, 99), st.integers(100, 199))
def test_relative_joins_any_two_poses(first, second):
    start, end = random_pose(first), random_pose(second)
    assert_close(apply_action(start, relative_action(start, end)), end)
    np.testing.assert_allclose(relative_action(start, start), 0, atol=1e-9)


def test_relative_rotation_is_scipys():
    start, end = random_pose(1), random_pose(2)
    turn = Rotation.from_matrix(start.rotation).inv() * Rotation.from_matrix(end.rotation)
    np.testing.assert_allclose(relative_action(start, end)[3:6], turn.as_rotvec(), atol=1e-9)


def test_each_number_does_what_its_name_says():
    assert ACTION_NAMES == ("dr", "du", "dn", "wr", "wu", "wn", "ds")
    pose = random_pose(5)
    axes = (pose.right, pose.up, pose.normal)
    for k in range(3):
        moved = apply_action(pose, 0.1 * np.eye(7)[k])
        np.testing.assert_allclose(moved.center - pose.center, 0.1 * pose.fov * axes[k], atol=1e-9)
        turned = apply_action(pose, 0.1 * np.eye(7)[k + 3])
        expected = Rotation.from_rotvec(0.1 * axes[k]).as_matrix() @ pose.rotation
        np.testing.assert_allclose(turned.rotation, expected, atol=1e-9)
    assert apply_action(pose, np.log(2) * np.eye(7)[6]).fov == pytest.approx(2 * pose.fov)


def test_a_long_flight_stays_orthonormal_and_comes_home():
    rng = np.random.default_rng(0)
    start = pose = random_pose(3)
    flown = []
    for _ in range(5000):
        action = rng.normal(0, 0.02, 7)
        flown.append(action)
        pose = apply_action(pose, action)
    np.testing.assert_allclose(pose.rotation.T @ pose.rotation, np.eye(3), atol=1e-12)
    for action in reversed(flown):
        pose = apply_action(pose, invert_action(action))
    assert_close(pose, start)


@pytest.mark.parametrize(
    "action", [np.zeros(6), np.full(7, np.nan), np.zeros((1, 7)), [np.inf] * 7]
)
def test_impossible_actions_are_refused(action):
    for use in (invert_action, lambda a: apply_action(random_pose(0), a)):
        with pytest.raises(MrisslError, match="seven finite numbers"):
            use(action)


def test_actions_in_a_row_lead_to_where_one_after_the_other_does():
    rng = np.random.default_rng(4)
    steps = rng.normal(size=(6, 7)) * (0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.2)
    start = random_pose(5)
    found, pose = chained(steps), start
    assert found.shape == (6, 7)
    for step, whole in zip(steps, found, strict=True):
        pose = apply_action(pose, step)
        assert_close(apply_action(start, whole), pose)
    assert chained(steps[:0]).shape == (0, 7)
