"""The edge target against scipy and scikit-image, and the same from torch."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters

from napari_mrissl.pretext.edges import batch_edges, boundary, edges, gradient
from napari_mrissl.pretext.settings import EdgeSettings


@pytest.fixture(scope="module")
def crop():
    """A smooth cube with noise on it, with sides that differ."""
    rng = np.random.default_rng(3)
    blobs = ndimage.gaussian_filter(rng.random((14, 17, 21)), 2)
    blobs = (blobs - blobs.min()) / np.ptp(blobs) + rng.normal(0, 0.02, blobs.shape)
    return np.clip(blobs, 0, 1).astype(np.float32)


@pytest.mark.parametrize("median", [1, 3, 5])
def test_edges_are_those_of_the_published_formula(crop, median):
    smooth = ndimage.median_filter(crop, size=median)
    expected = np.clip(30 * (filters.scharr(smooth) - 0.01), 0, 1)
    found = edges(crop, EdgeSettings(median=median))
    assert found.dtype == np.float32
    assert 0.05 < expected.mean() < 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("median", [1, 3, 5])
def test_torch_gives_what_arrays_give(crop, median):
    torch = pytest.importorskip("torch")
    from napari_mrissl.pretext.edges import torch_gradient

    found = torch_gradient(torch.from_numpy(crop), median)
    np.testing.assert_allclose(found.numpy(), gradient(crop, median), atol=3e-7)


def test_a_batch_has_the_edges_of_each_image_in_its_own_type(crop):
    torch = pytest.importorskip("torch")
    settings = EdgeSettings()
    pair = torch.from_numpy(np.stack([crop, crop[::-1].copy()])[:, None])
    found = batch_edges(pair.double().requires_grad_(), settings)
    assert found.shape == pair.shape
    assert found.dtype == torch.float64
    assert not found.requires_grad
    np.testing.assert_allclose(found[1, 0], edges(crop[::-1], settings), atol=1e-6)


def test_a_ramp_begins_and_saturates_where_the_settings_say():
    settings = EdgeSettings(median=1, threshold=0.02, gain=25)
    rises = np.array([0.01, 0.03, 0.08], np.float32)
    for rise in rises:
        ramp = np.broadcast_to(rise * np.arange(9, dtype=np.float32), (7, 7, 9))
        middle = edges(ramp, settings)[3, 3, 4]
        assert middle == pytest.approx(np.clip(25 * (2 * rise / 3**0.5 - 0.02), 0, 1), abs=1e-5)


def test_sliders_need_no_second_filter(crop):
    lengths = gradient(crop)
    for settings in (EdgeSettings(threshold=0), EdgeSettings(gain=5, threshold=0.1)):
        np.testing.assert_array_equal(boundary(lengths, settings), edges(crop, settings))
