"""`Volume` and `StoredGrid` on their own."""

import nibabel as nib
import numpy as np
import pytest
from geometries import SHAPE, grids, numbered

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes import ScanError, Volume
from napari_mrissl.volumes.errors import UnsupportedVoxels

GRIDS = dict(grids())


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["uint8", ">i2", "float32", "int64"])
def test_all_grids_go_to_canonical_order_and_back(order, dtype):
    voxels = np.array(numbered((33, 18, 20)), dtype, order=order)
    for affine in GRIDS.values():
        volume = Volume.from_stored(voxels, affine)
        np.testing.assert_array_equal(volume.to_stored(volume.data), voxels)
        assert volume.data.flags.c_contiguous
        assert not volume.data.flags.writeable
        assert volume.data.dtype.isnative
        assert nib.aff2axcodes(volume.affine) == ("S", "A", "R")
        assert volume.stored.shape == voxels.shape
        for corner in ((0, 0, 0), (32, 17, 19), (3, 14, 15)):
            world = nib.affines.apply_affine(affine, corner)
            index = nib.affines.apply_affine(volume.to_index, world)
            np.testing.assert_allclose(index, np.rint(index), atol=1e-9)
            assert volume.data[tuple(np.rint(index).astype(int))] == voxels[corner]


def test_the_volume_owns_its_voxels():
    voxels = numbered()
    volume = Volume.from_stored(voxels, np.eye(4))
    voxels[:] = 0
    assert volume.data.any()


def test_an_array_in_canonical_order_can_be_taken_over():
    voxels = numbered().copy(order="F")
    assert np.shares_memory(Volume.from_stored(voxels, np.eye(4), copy=False).data, voxels)
    turned = Volume.from_stored(voxels, GRIDS["y-x+z- aniso straight"], copy=False)
    assert not np.shares_memory(turned.data, voxels)
    big = Volume.from_stored(voxels.astype(">i2"), np.eye(4), copy=False)
    assert big.data.dtype.isnative


def test_sizes_and_places():
    affine = GRIDS["y-x+z- aniso straight"]
    volume = Volume.from_stored(numbered(), affine)
    assert volume.shape == (7, 5, 6)
    np.testing.assert_allclose(volume.spacing, [5, 0.5, 0.7])
    np.testing.assert_allclose(volume.stored.spacing, [0.5, 0.7, 5])
    assert volume.stored.orientation == "PRI"
    middle = nib.affines.apply_affine(affine, (np.array(SHAPE) - 1) / 2)
    np.testing.assert_allclose(volume.center, middle)
    np.testing.assert_allclose(volume.extent, [6 * 0.7, 5 * 0.5, 7 * 5])
    assert not volume.oblique
    assert Volume.from_stored(numbered(), GRIDS["y-x+z- aniso oblique"]).oblique


def test_what_is_no_scan_is_refused():
    for voxels in (np.zeros((3, 3)), np.zeros((3, 0, 3)), np.zeros((2, 2, 2), complex)):
        with pytest.raises(UnsupportedVoxels):
            Volume.from_stored(voxels, np.eye(4))
    with pytest.raises(MrisslError, match="singular"):
        Volume.from_stored(numbered(), np.diag([1, 1, 0, 1]))
    volume = Volume.from_stored(numbered(), np.eye(4))
    with pytest.raises(ScanError, match="expected"):
        volume.to_stored(numbered())


def test_bool_becomes_uint8():
    assert Volume.from_stored(numbered() > 5, np.eye(4)).data.dtype == np.uint8


def test_value_ranges_are_percentiles_of_finite_values():
    rng = np.random.default_rng(0)
    voxels = rng.normal(100, 20, (90, 80, 70)).astype(np.float32)
    voxels[0] = np.nan
    volume = Volume.from_stored(voxels, np.eye(4), slope=2.0, intercept=-5.0)
    exact = 2 * np.nanpercentile(voxels, (0.5, 99.5)) - 5
    np.testing.assert_allclose(volume.value_range(), exact, atol=2)
    constant = Volume.from_stored(np.full((4, 4, 4), 3), np.eye(4))
    assert constant.value_range() == (3, 4)
    rare = np.zeros((10, 10, 10))
    rare[5, 5, 5] = 9
    assert Volume.from_stored(rare, np.eye(4)).value_range() == (0, 9)
    nothing = Volume.from_stored(np.full((4, 4, 4), np.nan), np.eye(4))
    assert nothing.value_range() == (0, 1)


def test_a_ct_is_shown_in_its_soft_tissue_window_and_nothing_else_is():
    random = np.random.default_rng(3)
    body = random.normal(40, 30, (20, 30, 30))
    body[:, :8] = random.normal(-1000, 10, (20, 8, 30))
    body[:, 28:] = -3024  # padding outside the scanner's circle
    ct = Volume.from_stored(body.astype(np.int16), np.eye(4))
    assert ct.display_window() == (-160, 240)
    raw = (body + 1024).clip(0).astype(np.uint16)
    scaled = Volume.from_stored(raw, np.eye(4), slope=1.0, intercept=-1024.0)
    assert scaled.display_window() == (-160, 240)
    phase = Volume.from_stored(
        random.uniform(-4096, 4096, (20, 30, 30)).astype(np.int16), np.eye(4)
    )
    magnitude = Volume.from_stored((raw // 4).astype(np.uint16), np.eye(4))
    for other in (phase, magnitude):
        assert other.display_window() == other.value_range()


@pytest.mark.parametrize("value", [0.0, 7.0, -5.111130140243986e17, 3e38, -1e300])
def test_a_constant_scan_has_a_range_that_rises(value):
    volume = Volume.from_stored(np.full((3, 4, 5), value), np.eye(4))
    low, high = volume.value_range()
    assert low == value < high


def test_values_beyond_all_numbers_do_not_count_in_the_range():
    voxels = np.array([1e300, 1.0, 2.0, np.inf]).reshape(2, 2, 1)
    volume = Volume.from_stored(voxels, np.eye(4), slope=1e30)
    assert volume.value_range(0, 100) == (1e30, 2e30)
