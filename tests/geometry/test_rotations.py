"""Rotations against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_mrissl.geometry.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_quaternion,
    quaternion_from_matrix,
)

vectors = st.tuples(*[st.floats(-3.2, 3.2)] * 3)


def scipy_quaternion(rotation):
    quaternion = np.roll(rotation.as_quat(), 1)
    return -quaternion if quaternion[0] < 0 else quaternion


def test_random_rotations_agree_with_scipy():
    for rotation in Rotation.random(500, random_state=0):
        matrix = rotation.as_matrix()
        quaternion = quaternion_from_matrix(matrix)
        np.testing.assert_allclose(quaternion, scipy_quaternion(rotation), atol=1e-12)
        np.testing.assert_allclose(matrix_from_quaternion(quaternion), matrix, atol=1e-12)
        vector = axis_angle_from_matrix(matrix)
        np.testing.assert_allclose(vector, rotation.as_rotvec(), atol=1e-9)
        np.testing.assert_allclose(matrix_from_axis_angle(vector), matrix, atol=1e-12)


@given(vectors)
def test_axis_angles_give_scipys_matrices(vector):
    np.testing.assert_allclose(
        matrix_from_axis_angle(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12
    )


@given(vectors)
def test_axis_angles_come_back_as_the_same_rotation(vector):
    matrix = matrix_from_axis_angle(vector)
    back = axis_angle_from_matrix(matrix)
    assert np.linalg.norm(back) <= np.pi + 1e-9
    np.testing.assert_allclose(matrix_from_axis_angle(back), matrix, atol=1e-9)


@pytest.mark.parametrize("axis", np.vstack([np.eye(3), -np.eye(3), np.ones((1, 3)) / np.sqrt(3)]))
@pytest.mark.parametrize("angle", [0, 1e-14, 1e-9, 1e-4, 1, np.pi - 1e-7, np.pi])
def test_the_smallest_and_largest_angles(axis, angle):
    matrix = matrix_from_axis_angle(angle * axis)
    np.testing.assert_allclose(matrix, Rotation.from_rotvec(angle * axis).as_matrix(), atol=1e-12)
    back = axis_angle_from_matrix(matrix)
    np.testing.assert_allclose(np.linalg.norm(back), angle, atol=1e-8)
    np.testing.assert_allclose(matrix_from_axis_angle(back), matrix, atol=1e-8)


def test_quaternions_are_normalised_and_have_a_positive_real_part():
    quaternion = quaternion_from_matrix(matrix_from_quaternion([-2, 0.4, -0.6, 1]))
    np.testing.assert_allclose(np.linalg.norm(quaternion), 1)
    assert quaternion[0] >= 0
    np.testing.assert_allclose(
        quaternion, np.array([2, -0.4, 0.6, -1]) / np.linalg.norm([2, 0.4, 0.6, 1])
    )
