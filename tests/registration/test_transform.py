"""Transforms and warping against SimpleITK, scipy and closed forms."""

import numpy as np
import pytest
from geometries import grids
from scipy import ndimage
from scipy.spatial.transform import Rotation
from warped_pairs import cube_affine, smooth_field

from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.registration.grids import Grid, working_grid
from napari_mrissl.registration.initial import initial_transform
from napari_mrissl.registration.transform import Transform, jacobian, warped, warped_labels
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.samples import phantom

GRIDS = list(grids())


def bent(side: int = 12, peak: float = 3.0) -> Transform:
    """A turn, a shift and a smooth field on a coarse grid."""
    linear = np.eye(4)
    linear[:3, :3] = Rotation.from_rotvec([0.1, -0.05, 0.2]).as_matrix() * 1.1
    linear[:3, 3] = (2, -1, 3)
    nodes = smooth_field(side, peak, 3, 2.0).astype(np.float32)
    return Transform(linear, Grid((side,) * 3, cube_affine(side, 4.0)), nodes)


def test_displacements_are_the_transform_at_the_voxels():
    transform = bent()
    grid = Grid((5, 6, 7), GRIDS[150][1])
    places = apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))
    expected = transform(places.reshape(-1, 3)).reshape(places.shape) - places
    np.testing.assert_allclose(transform.displacements(grid), expected, atol=1e-4)


def test_the_inverse_field_leads_back():
    transform = bent()
    grid = Grid((20, 20, 20), cube_affine(20, 2.0))
    inverse, left = transform.inverse_displacements(grid)
    places = apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1)).reshape(-1, 3)
    there = transform(places + inverse.reshape(-1, 3))
    assert left <= 2e-3
    np.testing.assert_allclose(there, places, atol=5e-3)
    assert np.abs(inverse).max() > 1


def test_values_and_labels_are_those_of_scipy():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 9, 9)).astype(np.float32)
    volume = Volume.from_stored(values, cube_affine(9), slope=2.0, intercept=1.0)
    grid = Grid((6, 6, 6), cube_affine(6, 0.9))
    field = rng.uniform(-1.2, 1.2, (6, 6, 6, 3)).astype(np.float32)
    places = apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1)) + field
    index = np.moveaxis(apply_affine(volume.to_index, places), -1, 0)
    expected = ndimage.map_coordinates(volume.data, index, np.float64, 1, mode="nearest")
    np.testing.assert_allclose(warped(volume, field, grid), 2 * expected + 1, atol=1e-5)
    labels = rng.integers(0, 5, volume.shape).astype(np.uint8)
    nearest = labels[tuple(np.floor(index + 0.5).astype(int))]
    np.testing.assert_array_equal(warped_labels(labels, volume, field, grid), nearest)


def test_beyond_a_scan_there_is_nothing():
    volume = Volume.from_stored(np.ones((4, 4, 4), np.float32), cube_affine(4))
    grid = Grid((4, 4, 4), cube_affine(4))
    away = np.zeros((4, 4, 4, 3), np.float32)
    away[..., 0] = 3.6
    expected = np.zeros((4, 4, 4), np.float32)
    np.testing.assert_array_equal(warped(volume, away, grid), expected)
    assert warped(volume, away, grid, edge=True).min() == 1
    assert not warped_labels(np.ones((4, 4, 4), np.uint8), volume, away, grid).any()


@pytest.mark.parametrize("number", [0, 77, 130, 191])
def test_the_jacobian_of_a_linear_map_is_its_determinant(number):
    grid = Grid((5, 6, 7), GRIDS[number][1])
    matrix = np.diag([1.2, 0.8, 1.5, 1.0])
    matrix[0, 1] = 0.3
    field = Transform.of_linear(matrix).displacements(grid)
    np.testing.assert_allclose(jacobian(field, grid), 1.2 * 0.8 * 1.5, rtol=1e-3)


def test_a_mirroring_field_folds():
    grid = Grid((5, 5, 5), cube_affine(5))
    field = Transform.of_linear(np.diag([-1.0, 1, 1, 1])).displacements(grid)
    np.testing.assert_allclose(jacobian(field, grid), -1, atol=1e-5)


@pytest.mark.parametrize("number", range(0, 192, 17))
def test_the_working_grid_covers_the_scan_with_cubes(number):
    volume = Volume.from_stored(np.ones((5, 6, 7), np.float32), GRIDS[number][1])
    grid = working_grid(volume, 0.6, 4)
    assert all(side % 4 == 0 for side in grid.shape)
    np.testing.assert_allclose(grid.spacing, 0.6)
    corners = np.array(np.meshgrid(*[(-0.5, side - 0.5) for side in volume.shape])).reshape(3, -1).T
    index = apply_affine(grid.to_index, apply_affine(volume.affine, corners))
    assert (index >= -0.5 - 1e-6).all()
    assert (index <= np.array(grid.shape) - 0.5 + 1e-6).all()


def test_cubes_of_the_wanted_size_stay_where_they_are():
    volume = Volume.from_stored(np.ones((16, 24, 8), np.float32), cube_affine(16))
    grid = working_grid(volume, 0.0, 4)
    np.testing.assert_array_equal(grid.affine, volume.affine)
    assert grid.shape == volume.shape


def test_nodes_lie_in_the_middles_of_cubes():
    nodes = Grid((8, 8, 8), cube_affine(8)).nodes(4)
    assert nodes.shape == (2, 2, 2)
    np.testing.assert_allclose(nodes.affine, cube_affine(2, 4.0))


def test_centres_and_moments_find_a_shift_and_a_turn_and_never_mirror():
    scan = phantom()
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(np.radians([8, -12, 10])).as_matrix()
    move[:3, 3] = (20, -30, 15)
    other = Volume.from_stored(scan.data, move @ scan.affine)
    np.testing.assert_array_equal(initial_transform(scan, other, "header"), np.eye(4))
    centres = initial_transform(scan, other, "centres")
    np.testing.assert_allclose(apply_affine(centres, scan.center), other.center)
    found = initial_transform(scan, other, "moments")
    np.testing.assert_allclose(found, move, atol=1e-6)
    assert np.linalg.det(found[:3, :3]) > 0
