import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import POSE_COLUMNS, Pose, apply_affine


def random_pose(rng):
    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return Pose(rng.uniform(-200, 200, 3), rotation, float(np.exp(rng.uniform(-2, 7))))


def test_right_is_up_cross_normal_and_up_loses_its_part_along_the_normal():
    pose = Pose.from_normal_up((1, 2, 3), (0, 0, 5), (0, 3, 7), 100)
    np.testing.assert_allclose(pose.right, (1, 0, 0), atol=1e-15)
    np.testing.assert_allclose(pose.up, (0, 1, 0), atol=1e-15)
    np.testing.assert_allclose(pose.normal, (0, 0, 1), atol=1e-15)
    rng = np.random.default_rng(0)
    for _ in range(50):
        normal, up = rng.normal(size=(2, 3))
        pose = Pose.from_normal_up((0, 0, 0), normal, up, 1)
        np.testing.assert_allclose(np.cross(pose.up, pose.normal), pose.right, atol=1e-12)
        assert np.linalg.det(pose.rotation) == pytest.approx(1)
        np.testing.assert_allclose(np.cross(pose.normal, normal), 0, atol=1e-12)
        assert pose.up @ up > 0
        assert pose.right @ up == pytest.approx(0, abs=1e-12)


def test_grid_and_corners_follow_the_pixel_formula():
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 128):
        pose = random_pose(rng)
        for i, j in {(0, 0), (size - 1, 0), (0, size - 1), (size // 2, size // 3)}:
            along, against = (j + 0.5) / size - 0.5, (i + 0.5) / size - 0.5
            expected = pose.center + along * pose.fov * pose.right - against * pose.fov * pose.up
            found = apply_affine(pose.grid(size), (0, i, j))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
        edges = apply_affine(pose.grid(size), [(0, -0.5, -0.5), (0, size - 0.5, size - 0.5)])
        np.testing.assert_allclose(pose.corners()[[0, 2]], edges, rtol=1e-9, atol=1e-9)
        sides = np.linalg.norm(np.diff(pose.corners(), axis=0, append=pose.corners()[:1]), axis=1)
        np.testing.assert_allclose(sides, pose.fov)
        assert np.linalg.det(pose.grid(size)[:3, :3]) > 0


def test_rows_round_trip_with_scipys_quaternion():
    rng = np.random.default_rng(2)
    for _ in range(200):
        pose = random_pose(rng)
        row = pose.to_row()
        assert row.shape == (len(POSE_COLUMNS),)
        assert row[3] >= 0
        x, y, z, w = Rotation.from_matrix(pose.rotation).as_quat()
        wanted = np.array([w, x, y, z])
        assert abs(abs(row[3:7] @ wanted) - 1) < 1e-12
        back = Pose.from_row(row)
        np.testing.assert_allclose(back.rotation, pose.rotation, atol=1e-12)
        np.testing.assert_array_equal(back.center, pose.center)
        assert back.fov == pose.fov


def test_half_turns_have_a_quaternion_too():
    for axis in np.eye(3):
        rotation = Rotation.from_rotvec(np.pi * axis).as_matrix()
        back = Pose.from_row(Pose((0, 0, 0), rotation, 1).to_row())
        np.testing.assert_allclose(back.rotation, rotation, atol=1e-12)


def test_poses_are_values():
    first = Pose.from_normal_up((1, 2, 3), (0, 0, 1), (0, 1, 0), 50)
    second = Pose.from_normal_up([1, 2, 3], [0, 0, 2], [0, 3, 0], 50.0)
    assert first == second
    assert hash(first) == hash(second)
    assert first != Pose.from_normal_up((1, 2, 3), (0, 0, 1), (0, 1, 0), 51)
    assert first != "pose"
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301 - worker processes do this
    with pytest.raises(ValueError, match="read-only"):
        first.center[0] = 5
    with pytest.raises(AttributeError):
        first.fov = 3


@pytest.mark.parametrize(
    "arguments",
    [
        ((0, 0), (0, 0, 1), (0, 1, 0), 1),
        ((0, 0, np.nan), (0, 0, 1), (0, 1, 0), 1),
        ((0, 0, 0), (0, 0, 0), (0, 1, 0), 1),
        ((0, 0, 0), (0, 0, np.inf), (0, 1, 0), 1),
        ((0, 0, 0), (0, 0, 1), (0, 0, -2), 1),
        ((0, 0, 0), (0, 0, 1), (0, 1), 1),
        ((0, 0, 0), (0, 0, 1), (0, 1, 0), 0),
        ((0, 0, 0), (0, 0, 1), (0, 1, 0), -1),
        ((0, 0, 0), (0, 0, 1), (0, 1, 0), np.nan),
    ],
)
def test_planes_that_are_none_are_refused(arguments):
    with pytest.raises(MrisslError):
        Pose.from_normal_up(*arguments)


@pytest.mark.parametrize(
    "rotation", [np.eye(2), 2 * np.eye(3), np.diag([1, 1, -1]), np.full((3, 3), np.nan)]
)
def test_matrices_that_do_not_rotate_are_refused(rotation):
    with pytest.raises(MrisslError, match="rotation"):
        Pose((0, 0, 0), rotation, 1)


@pytest.mark.parametrize(
    "row",
    [
        np.zeros(7),
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 2, 0, 0, 0, 1],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [np.inf, 0, 0, 1, 0, 0, 0, 1],
    ],
)
def test_rows_that_are_no_pose_are_refused(row):
    with pytest.raises(MrisslError):
        Pose.from_row(row)
