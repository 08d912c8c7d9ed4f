"""Lattices over scans, against the affine by hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_mrissl.pretext.lattices import Lattice
from napari_mrissl.volumes import Volume

TURN = Rotation.from_rotvec([0.2, -0.1, 0.25]).as_matrix()
MIDDLE = np.array([12.0, -30.0, 7.0])
SHAPE, SPACING = (10, 24, 20), np.array([5.0, 1.5, 2.0])


@pytest.fixture
def volume():
    """Oblique and anisotropic; indices run along (S, A, R)."""
    affine = np.eye(4)
    affine[:3, :3] = TURN[:, ::-1] * SPACING
    affine[:3, 3] = MIDDLE - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Volume.from_stored(np.zeros(SHAPE, np.uint8), affine)


def test_points_are_along_the_scan_s_own_axes(volume):
    lattice = Lattice.over(volume, (4.0, 3.0, 8.0))
    assert lattice.shape == (13, 12, 5)
    np.testing.assert_allclose(lattice.to_world((0, 0, 0)), MIDDLE)
    for point in ((8.0, 0.0, 0.0), (0.0, -3.0, 12.0)):
        world = MIDDLE + TURN @ point
        np.testing.assert_allclose(lattice.to_world(point), world)
        np.testing.assert_allclose(lattice.from_world(world), point, atol=1e-9)
        np.testing.assert_allclose(lattice.vectors_to_world(point), TURN @ point)
    # The first cell is at one end, and neighbours along R follow each other.
    np.testing.assert_allclose(lattice.points_mm[:2], [(-16, -16.5, -24), (-8, -16.5, -24)])
    np.testing.assert_allclose(lattice.index_of((-8, -16.5, -24)), (0, 0, 1))
    np.testing.assert_allclose(lattice.affine[:3, 3], MIDDLE + TURN @ (-16, -16.5, -24))


def test_filling_ends_with_the_scan_and_keeps_to_its_most(volume):
    lattice = Lattice.filling(volume, 4.0, 10**6)
    np.testing.assert_allclose(lattice.shape * lattice.steps_mm, (50, 36, 40))
    assert (lattice.steps_mm <= 4).all()
    assert np.prod(Lattice.filling(volume, 1.0, 500).shape) <= 8 * 500
    assert min(Lattice.filling(volume, 100.0, 500).shape) == 2


def test_finer_cells_share_the_box_of_each(volume):
    coarse = Lattice.over(volume, 5.0)
    fine = coarse.finer(2)
    assert fine.shape == tuple(2 * n for n in coarse.shape)
    eight = fine.points_mm.reshape(*fine.shape, 3)[:2, :2, :2].reshape(8, 3)
    np.testing.assert_allclose(eight.mean(axis=0), coarse.points_mm[0])
    np.testing.assert_allclose(fine.affine[:3, 3], MIDDLE + TURN @ fine.points_mm[0], atol=1e-9)
