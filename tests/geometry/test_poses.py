"""Many poses at once are what each is by itself."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, Poses, apply_action
from napari_mrissl.slicing import render
from napari_mrissl.volumes import Volume


def drawn(count, seed):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        quaternion = rng.normal(size=4)
        row = [*rng.normal(scale=20, size=3), *quaternion / np.linalg.norm(quaternion), 30.0]
        found.append(Pose.from_row(row))
    return found


# Half turns about the axes, where one part of a quaternion is all of it.
SPECIAL = [Pose(np.zeros(3), np.diag(s), 9.0) for s in ([1, 1, 1], [1, -1, -1], [-1, 1, -1])]


def test_rows_and_single_poses_are_those_put_in():
    poses = [*drawn(200, 0), *SPECIAL]
    several = Poses.of(poses)
    assert len(several) == 203
    np.testing.assert_allclose(several.rows, [pose.to_row() for pose in poses], atol=1e-12)
    assert (several.rows[:, 3] >= 0).all()
    np.testing.assert_array_equal(several[7].to_row(), poses[7].to_row())
    np.testing.assert_array_equal(several.normals[3], poses[3].normal)
    few = several.chosen(np.array([5, 2]))
    np.testing.assert_array_equal(few[1].to_row(), poses[2].to_row())
    few.put(0, poses[9])
    np.testing.assert_array_equal(few[0].to_row(), poses[9].to_row())
    np.testing.assert_array_equal(several[5].to_row(), poses[5].to_row())


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 0.1, 2.0])
def test_actions_move_each_as_by_itself(scale):
    poses = [*drawn(50, 1), *SPECIAL]
    actions = np.random.default_rng(2).normal(scale=scale, size=(53, 7))
    moved = Poses.of(poses).moved(actions)
    for number, (pose, action) in enumerate(zip(poses, actions, strict=True)):
        alone = apply_action(pose, action)
        np.testing.assert_allclose(moved.centers[number], alone.center, atol=1e-12)
        np.testing.assert_allclose(moved.rotations[number], alone.rotation, atol=1e-12)
        np.testing.assert_allclose(moved.fovs[number], alone.fov, rtol=1e-14)


def test_long_flights_stay_rotations():
    several = Poses.of(drawn(4, 3))
    actions = np.random.default_rng(4).normal(scale=0.2, size=(3000, 4, 7))
    actions[..., 6] *= 0.01
    for action in actions:
        several = several.moved(action)
    product = np.swapaxes(several.rotations, 1, 2) @ several.rotations
    np.testing.assert_allclose(product, np.tile(np.eye(3), (4, 1, 1)), atol=1e-14)


def test_they_are_rendered_like_single_ones():
    rng = np.random.default_rng(5)
    volume = Volume.from_stored(rng.normal(size=(20, 24, 18)).astype(np.float32), np.eye(4))
    poses = drawn(9, 6)
    one, other = render(volume, poses, 12), render(volume, Poses.of(poses), 12)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.valid, other.valid)


@pytest.mark.parametrize("actions", [np.zeros((2, 7)), np.zeros((3, 6)), np.full((3, 7), np.nan)])
def test_actions_that_do_not_fit_are_refused(actions):
    with pytest.raises(MrisslError, match="seven finite numbers for each of 3"):
        Poses.of(drawn(3, 7)).moved(actions)
