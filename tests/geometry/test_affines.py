"""Affines and reorientations against nibabel, on 192 grids and sheared ones."""

import nibabel as nib
import numpy as np
import pytest
from geometries import grids, numbered
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import (
    Reorientation,
    apply_affine,
    axis_codes,
    is_oblique,
    lps_to_ras,
    spacing,
)
from napari_mrissl.geometry.affines import as_affine, closest_axes

GRIDS = dict(grids())
linear_parts = arrays(float, (3, 3), elements=st.floats(-5, 5))


def with_linear(linear):
    return nib.affines.from_matvec(linear, [1.5, -2.5, 3.5])


def clearly_oriented(linear):
    """Whether no axis lies so near 45 degrees that rounding decides."""
    if np.linalg.matrix_rank(linear) < 3 or np.linalg.cond(linear) > 50:
        return False
    unit = linear / np.linalg.norm(linear, axis=0)
    left, _, right = np.linalg.svd(unit)
    squares = np.sort(np.abs(left @ right), axis=None)
    return np.diff(squares).min() > 1e-3


@pytest.mark.parametrize("name", GRIDS)
def test_all_grids_have_nibabels_codes_spacing_and_canonical_affine(name):
    affine = GRIDS[name]
    assert axis_codes(affine) == "".join(nib.aff2axcodes(affine))
    np.testing.assert_allclose(spacing(affine), nib.affines.voxel_sizes(affine))
    assert is_oblique(affine) == name.endswith("oblique")
    image = nib.Nifti1Image(numbered(), affine)
    canonical = nib.as_closest_canonical(image)
    to_sar = Reorientation.closest_sar(affine)
    ours = to_sar.canonical_affine(affine, image.shape)
    np.testing.assert_allclose(ours[:, [2, 1, 0, 3]], canonical.affine, atol=1e-9)
    voxels = numbered()
    forward = to_sar.forward(voxels)
    np.testing.assert_array_equal(forward, np.asarray(canonical.dataobj).T)
    np.testing.assert_array_equal(to_sar.backward(forward), voxels)
    assert np.shares_memory(forward, voxels)


@given(linear_parts)
def test_sheared_grids_have_nibabels_codes(linear):
    assume(clearly_oriented(linear))
    affine = with_linear(linear)
    assert axis_codes(affine) == "".join(nib.aff2axcodes(affine))
    axes, signs = closest_axes(affine)
    assert sorted(axes) == [0, 1, 2]
    expected = nib.io_orientation(affine)
    np.testing.assert_array_equal(axes, expected[:, 0])
    np.testing.assert_array_equal(signs, expected[:, 1])


@given(linear_parts)
def test_reorientation_keeps_every_voxel_in_its_place(linear):
    assume(clearly_oriented(linear))
    affine, shape = with_linear(linear), (2, 3, 4)
    to_sar = Reorientation.closest_sar(affine)
    indices = np.moveaxis(np.indices(shape), 0, -1)
    world = to_sar.forward(apply_affine(affine, indices).transpose(3, 0, 1, 2)[0])
    canonical = to_sar.canonical_affine(affine, shape)
    again = apply_affine(canonical, np.moveaxis(np.indices(world.shape), 0, -1))[..., 0]
    np.testing.assert_allclose(again, world, atol=1e-9)


def test_points_are_mapped_as_nibabel_maps_them():
    affine = GRIDS["y-x+z- aniso oblique"]
    points = np.random.default_rng(0).normal(size=(4, 5, 3))
    np.testing.assert_allclose(
        apply_affine(affine, points), nib.affines.apply_affine(affine, points)
    )
    np.testing.assert_allclose(apply_affine(affine, [1, 2, 3]), (affine @ [1, 2, 3, 1])[:3])


def test_lps_to_ras_turns_two_axes_and_undoes_itself():
    affine = GRIDS["y-x+z- aniso oblique"]
    turned = lps_to_ras(affine)
    np.testing.assert_array_equal(turned, np.diag([-1, -1, 1, 1]) @ affine)
    np.testing.assert_array_equal(lps_to_ras(turned), affine)
    assert not np.signbit(lps_to_ras(np.eye(4))[0, 1:]).any()


@pytest.mark.parametrize("degrees", [0.0, 0.005, 0.02, 10.0])
def test_obliqueness_has_a_tolerance(degrees):
    turn = nib.eulerangles.euler2mat(np.radians(degrees))
    assert is_oblique(nib.affines.from_matvec(turn @ np.diag([1, 2, 3]))) == (degrees > 0.01)


@pytest.mark.parametrize(
    ("matrix", "found"),
    [
        (np.eye(3), "shape"),
        (np.ones((4, 4)), "shape"),
        (np.diag([1, np.nan, 1, 1]), "finite"),
        (np.diag([1, np.inf, 1, 1]), "finite"),
        (np.diag([1, 0, 1, 1]), "singular"),
        (nib.affines.from_matvec([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), "singular"),
    ],
)
def test_impossible_affines_are_refused(matrix, found):
    with pytest.raises(MrisslError, match=found):
        as_affine(matrix)


def test_tiny_and_huge_voxels_are_fine():
    for size in (1e-6, 1e5):
        assert as_affine(np.diag([size, size, size, 1]))[0, 0] == size
    assert not np.signbit(as_affine(-np.eye(4) + np.diag([0, 0, 0, 2]))[0, 1])
