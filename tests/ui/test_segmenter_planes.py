"""Planes in view: predicted places are the voxels that are shown there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mrissl.geometry import Pose, apply_affine
from napari_mrissl.ui.segmenter.planes import axis_planes, ball_voxels, pose_plane, write_plane
from napari_mrissl.ui.segmenter.prompt_layers import changed_voxels
from napari_mrissl.volumes import Volume


def oblique(angle=0.3):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Volume.from_stored(np.zeros((9, 8, 7), np.uint8), turn @ np.diag([1.0, 1.5, 2.5, 1.0]))


def nearest_labels(volume, truth, plane):
    """Label of the nearest voxel at each place of a plane, one by one."""
    found = np.zeros(plane.shape, truth.dtype)
    for place in np.ndindex(*plane.shape):
        index = np.rint(apply_affine(volume.to_index, apply_affine(plane.affine, place)))
        if (index >= 0).all() and (index < volume.shape).all():
            found[place] = truth[tuple(index.astype(int))]
    return found


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_of_the_volumes_own_grid_is_written_where_it_is(axis):
    volume = Volume.from_stored(np.zeros((9, 8, 7), np.uint8), np.diag([-1.0, 1.5, -2.5, 1.0]))
    truth = np.random.default_rng(0).integers(1, 9, volume.shape).astype(np.uint8)
    labels = np.zeros(volume.shape, np.uint8)
    plane = axis_planes(volume.affine, volume.shape, (3, 4, 5), axis)[0]
    write_plane(labels, volume, plane, nearest_labels(volume, truth, plane))
    expected = np.zeros_like(truth)
    chosen = [slice(None)] * 3
    chosen[axis] = (3, 4, 5)[axis]
    expected[tuple(chosen)] = truth[tuple(chosen)]
    assert (labels == expected).all()


def test_the_displayed_plane_comes_first_and_stays_inside():
    planes = axis_planes(np.eye(4), (4, 5, 6), (99, -7, 2.4), 1)
    assert [plane.shape for plane in planes] == [(4, 1, 6), (1, 5, 6), (4, 5, 1)]
    assert planes[0].affine[:3, 3].tolist() == [0, 0, 0]
    assert planes[1].affine[:3, 3].tolist() == [3, 0, 0]


@pytest.mark.parametrize("size", [5, 24])
def test_an_oblique_slice_shows_afterwards_what_was_predicted(size):
    volume = oblique()
    truth = np.random.default_rng(1).integers(1, 9, volume.shape).astype(np.uint8)
    pose = Pose.from_normal_up(volume.center, (0.3, 0.5, 0.8), (0, 1, 0), 14.0)
    plane = pose_plane(pose, size)
    predicted = nearest_labels(volume, truth, plane)
    labels = np.zeros(volume.shape, np.uint8)
    write_plane(labels, volume, plane, predicted)
    assert (nearest_labels(volume, labels, plane) == predicted).all()
    assert ((labels == truth) | (labels == 0)).all()


def test_pixels_of_a_slice_are_where_the_command_line_has_them():
    pose = Pose.from_normal_up((1, 2, 3), (0, 0, 1), (0, 1, 0), 8.0)
    plane = pose_plane(pose, 4)
    for i, j in np.ndindex(4, 4):
        expected = (
            pose.center
            + ((j + 0.5) / 4 - 0.5) * 8.0 * pose.right
            - ((i + 0.5) / 4 - 0.5) * 8.0 * pose.up
        )
        assert np.allclose(apply_affine(plane.affine, (0, i, j)), expected)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.floats(-8, 20)] * 3),
    st.floats(0.1, 6.0),
)
def test_a_ball_is_the_voxels_whose_centres_it_holds(center, radius):
    volume = oblique()
    found = set(ball_voxels(volume, center, radius).tolist())
    expected = set()
    for index in np.ndindex(*volume.shape):
        if np.linalg.norm(apply_affine(volume.affine, index) - center) <= radius:
            expected.add(int(np.ravel_multi_index(index, volume.shape)))
    nearest = np.rint(apply_affine(volume.to_index, center)).astype(int)
    if (nearest >= 0).all() and (nearest < volume.shape).all():
        expected.add(int(np.ravel_multi_index(tuple(nearest), volume.shape)))
    assert found == expected


@pytest.mark.parametrize("shape", [(3, 5, 7), (4, 4, 4)])
def test_changed_voxels_are_those_that_differ(shape):
    random = np.random.default_rng(5)
    before = random.integers(0, 3, shape).astype(np.uint8)
    for dtype in (np.uint8, np.uint16):
        after = before.astype(dtype)
        flat = random.choice(before.size, 9, replace=False)
        after.reshape(-1)[flat] += 1
        assert changed_voxels(before, after).tolist() == sorted(flat.tolist())
