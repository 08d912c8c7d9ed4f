import itertools

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine as nibabel_apply
from nibabel.affines import voxel_sizes
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import (
    Reorientation,
    apply_affine,
    axis_codes,
    is_oblique,
    lps_to_ras,
    spacing,
)
from napari_mrissl.geometry.affines import as_affine

ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
TILTS = [Rotation.from_euler("xyz", angles, degrees=True).as_matrix() for angles in
         ((0, 0, 0), (17, 0, 0), (9, -8, 11))]  # fmt: skip


def affines():
    """48 orientations, isotropic and not, straight and oblique: 288."""
    for turned, orientation in itertools.product(TILTS, ORIENTATIONS):
        for sides in ((1, 1, 1), (0.5, 0.7, 5)):
            affine = np.eye(4)
            affine[:3, :3] = turned @ orientation * sides
            affine[:3, 3] = (-90, 126, -72)
            yield affine


def test_codes_and_spacing_agree_with_nibabel():
    for affine in affines():
        assert axis_codes(affine) == "".join(nibabel.aff2axcodes(affine))
        np.testing.assert_allclose(spacing(affine), voxel_sizes(affine))


def test_points_go_where_nibabel_sends_them():
    points = np.random.default_rng(0).normal(size=(4, 5, 3))
    for affine in itertools.islice(affines(), 0, None, 7):
        np.testing.assert_allclose(apply_affine(affine, points), nibabel_apply(affine, points))


def test_oblique_means_off_the_axes():
    for affine in affines():
        straight = (np.abs(affine[:3, :3]) > 1e-9).sum() == 3
        assert is_oblique(affine) == (not straight)
    assert not is_oblique(Rotation.from_euler("z", 0.005, degrees=True).as_matrix())
    assert is_oblique(Rotation.from_euler("z", 0.02, degrees=True).as_matrix())


def test_lps_is_its_own_inverse_and_negates_x_and_y():
    for affine in itertools.islice(affines(), 0, None, 5):
        np.testing.assert_array_equal(lps_to_ras(lps_to_ras(affine)), affine)
        moved = apply_affine(lps_to_ras(affine), (1, 2, 3))
        np.testing.assert_allclose(moved, apply_affine(affine, (1, 2, 3)) * (-1, -1, 1))


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        np.full((4, 4), np.nan),
        np.diag([1, 1, 0, 1]),
        np.diag([1, 1, 1, 2]),
        np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.diag([1, 1, np.inf, 1]),
    ],
)
def test_matrices_that_place_nothing_are_refused(matrix):
    with pytest.raises(MrisslError, match="affine"):
        as_affine(matrix)


def test_canonical_axes_are_nibabels_canonical_axes_reversed():
    rng = np.random.default_rng(1)
    for affine in affines():
        voxels = rng.integers(0, 99, (3, 4, 5))
        image = nibabel.Nifti1Image(voxels.astype(np.int16), affine)
        wanted = nibabel.as_closest_canonical(image)
        way = Reorientation.closest_sar(affine)
        canonical = way.forward(voxels)
        np.testing.assert_array_equal(canonical, np.asarray(wanted.dataobj).T)
        np.testing.assert_array_equal(way.backward(canonical), voxels)
        found = way.canonical_affine(affine, voxels.shape)
        np.testing.assert_allclose(found[:, [2, 1, 0, 3]], wanted.affine, atol=1e-9)
        assert np.shares_memory(canonical, voxels)
