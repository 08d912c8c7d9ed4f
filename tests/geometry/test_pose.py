"""Poses: conventions by the letter, round trips, and what is refused."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import POSE_COLUMNS, Pose

coordinates = st.tuples(*[st.floats(-200, 200)] * 3)
directions = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1)
fovs = st.floats(1, 500)


def random_poses(count, seed=0):
    rng = np.random.default_rng(seed)
    for rotation in Rotation.random(count, random_state=seed):
        yield Pose(rng.normal(0, 50, 3), rotation.as_matrix(), float(rng.uniform(5, 300)))


@pytest.mark.parametrize(
    ("normal", "up", "right"),
    [
        # A face seen from its normal: up is the second direction, right = up x normal.
        ((0, 0, -1), (0, 1, 0), (-1, 0, 0)),
        ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
        ((0, 1, 0), (0, 0, 1), (-1, 0, 0)),
        ((1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ],
)
def test_right_is_up_cross_normal(normal, up, right):
    pose = Pose.from_normal_up((1, 2, 3), normal, up, 100)
    np.testing.assert_allclose(pose.right, right, atol=1e-12)
    np.testing.assert_allclose(pose.up, up, atol=1e-12)
    np.testing.assert_allclose(pose.normal, normal, atol=1e-12)
    np.testing.assert_allclose(np.cross(pose.up, pose.normal), pose.right, atol=1e-12)


@given(coordinates, directions, directions, fovs)
def test_normal_and_up_make_a_rotation(center, normal, up, fov):
    n = np.array(normal) / np.linalg.norm(normal)
    assume(np.linalg.norm(np.cross(n, up)) > 0.01)
    pose = Pose.from_normal_up(center, normal, up, fov)
    np.testing.assert_allclose(pose.rotation.T @ pose.rotation, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose.rotation) == pytest.approx(1)
    np.testing.assert_allclose(pose.normal, n, atol=1e-9)
    # The part of up in the plane decides; what lies along the normal is dropped.
    assert pose.up @ np.array(up) > 0
    assert pose.right @ np.array(up) == pytest.approx(0, abs=1e-6)


def test_rows_round_trip_and_follow_scipys_quaternions():
    assert POSE_COLUMNS == ("cx", "cy", "cz", "qw", "qx", "qy", "qz", "fov")
    for pose in random_poses(200):
        row = pose.to_row()
        assert row.shape == (8,)
        assert row[3] >= 0
        np.testing.assert_array_equal(row[:3], pose.center)
        scipys = Rotation.from_quat(np.roll(row[3:7], -1)).as_matrix()
        np.testing.assert_allclose(scipys, pose.rotation, atol=1e-12)
        again = Pose.from_row(row)
        np.testing.assert_allclose(again.rotation, pose.rotation, atol=1e-5)
        assert again.fov == pose.fov
        # Rows written with seven digits are close enough, too.
        short = Pose.from_row(np.round(row, 7))
        np.testing.assert_allclose(short.rotation, pose.rotation, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 7, 128])
def test_pixels_lie_where_the_formula_says(size):
    for pose in random_poses(5, seed=size):
        grid = pose.grid(size)
        for i, j in {(0, 0), (0, size - 1), (size - 1, 0), (size // 2, size // 3)}:
            x, y = ((j + 0.5) / size - 0.5) * pose.fov, ((i + 0.5) / size - 0.5) * pose.fov
            expected = pose.center + x * pose.right - y * pose.up
            np.testing.assert_allclose((grid @ [0, i, j, 1])[:3], expected, atol=1e-9)
        step = pose.fov / size
        np.testing.assert_allclose((grid @ [1, 0, 0, 0])[:3], step * pose.normal, atol=1e-12)
        assert np.linalg.det(grid[:3, :3]) == pytest.approx(
            step**3 * np.linalg.det(np.stack([pose.normal, -pose.up, pose.right]))
        )


def test_corners_are_half_a_pixel_outside_the_outer_centres():
    pose = next(random_poses(1, seed=9))
    grid = pose.grid(10)
    indices = [(-0.5, -0.5), (-0.5, 9.5), (9.5, 9.5), (9.5, -0.5)]
    expected = [(grid @ [0, i, j, 1])[:3] for i, j in indices]
    np.testing.assert_allclose(pose.corners(), expected, atol=1e-9)


def test_poses_are_values():
    first, second = random_poses(2)
    same = Pose.from_row(first.to_row())
    assert first == Pose(first.center, first.rotation, first.fov)
    assert hash(first) == hash(Pose(first.center, first.rotation, first.fov))
    assert first != second
    assert first != "a pose"
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301
    np.testing.assert_allclose(same.rotation, first.rotation, atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        first.center[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        first.rotation[0, 0] = 1


@pytest.mark.parametrize(
    ("center", "rotation", "fov", "found"),
    [
        ((1, 2), np.eye(3), 10, "centre"),
        ((1, 2, np.nan), np.eye(3), 10, "centre"),
        ((1, 2, 3), np.eye(4), 10, "rotation"),
        ((1, 2, 3), 2 * np.eye(3), 10, "rotation"),
        ((1, 2, 3), np.diag([1, 1, -1]), 10, "rotation"),
        ((1, 2, 3), np.full((3, 3), np.nan), 10, "rotation"),
        ((1, 2, 3), np.eye(3), 0, "fov"),
        ((1, 2, 3), np.eye(3), -5, "fov"),
        ((1, 2, 3), np.eye(3), np.inf, "fov"),
    ],
)
def test_impossible_poses_are_refused(center, rotation, fov, found):
    with pytest.raises(MrisslError, match=found):
        Pose(center, rotation, fov)


@pytest.mark.parametrize(
    ("normal", "up", "found"),
    [
        ((0, 0, 0), (0, 1, 0), "normal is not a direction"),
        ((0, 0, 1), (0, 0, 0), "up is not a direction"),
        ((0, 0, 1), (0, 0, -2), "parallel"),
        ((0, np.nan, 1), (0, 1, 0), "normal"),
        ((0, 1), (0, 1, 0), "normal"),
    ],
)
def test_impossible_directions_are_refused(normal, up, found):
    with pytest.raises(MrisslError, match=found):
        Pose.from_normal_up((0, 0, 0), normal, up, 10)


@pytest.mark.parametrize(
    "row", [[1] * 7, [0, 0, 0, 1, 1, 0, 0, 9], [0, 0, 0, np.nan, 0, 0, 0, 9], [[0] * 8]]
)
def test_impossible_rows_are_refused(row):
    with pytest.raises(MrisslError, match=r"row|quaternion"):
        Pose.from_row(row)
