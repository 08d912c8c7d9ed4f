from dataclasses import replace

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.labels import labels_of

SHAPE = (3, 4, 5)


def volume(data, shift=0.0, name="map"):
    affine = np.eye(4)
    affine[:3, 3] = shift
    return Volume.from_stored(np.asarray(data).T, affine, name=name)


@pytest.fixture
def scan():
    return volume(np.zeros(SHAPE, np.float32), name="scan")


def test_whole_numbers_are_the_stored_ones(scan):
    numbers = np.arange(60, dtype=np.uint8).reshape(SHAPE)
    found = labels_of(volume(numbers), scan)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, numbers)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_labels_that_are_stored_as_floats_become_whole(scan, kind):
    numbers = np.arange(60).reshape(SHAPE)
    found = labels_of(volume(numbers.astype(kind)), scan)
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, numbers)


def test_a_scaled_map_has_the_scaled_numbers(scan):
    stored = replace(volume(np.full(SHAPE, 3, np.int16)), slope=2.0, intercept=1.0)
    assert np.unique(labels_of(stored, scan)).tolist() == [7]


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_anything_else_is_no_label(scan, value):
    with pytest.raises(MrisslError, match="map: holds labels that are no whole numbers"):
        labels_of(volume(np.full(SHAPE, value, np.float32)), scan)


@pytest.mark.parametrize("other", [{"shift": 1.0}, {"data": np.zeros((3, 4, 6), np.uint8)}])
def test_another_grid_is_refused(scan, other):
    found = volume(**{"data": np.zeros(SHAPE, np.uint8), **other})
    with pytest.raises(MrisslError, match=r"case\.nii: is on another grid than its scan"):
        labels_of(found, scan, "case.nii")
