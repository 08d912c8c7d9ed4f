"""Sources of features that are no networks: pixels, and where a scan ends."""

import numpy as np
import pytest

from napari_mrissl.evaluation.navigation.encoders import BoxEncoder, PixelEncoder
from napari_mrissl.evaluation.navigation.probe_slices import Amounts, draw
from napari_mrissl.evaluation.navigation.probing import probe
from tests.pretext.navigation.small import Smooth

PATCH = 4


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    grey, inside = rng.random((3, 32, 32)), rng.random((3, 32, 32)) < 0.7
    return np.stack([grey, inside], axis=1).astype(np.float32)


def test_the_box_is_the_share_of_each_patch_within_the_scan(images):
    tokens, rows = BoxEncoder(PATCH).tokens(images), BoxEncoder(PATCH).pooled(images)
    assert tokens.shape == (3, 8, 8, 1)
    part = images[2, 1, 12:16, 20:24]
    assert tokens[2, 3, 5, 0] == pytest.approx(part.mean())
    assert rows[2, 3 * 8 + 5] == pytest.approx(part.mean())
    other = images.copy()
    other[:, 0] = 1 - other[:, 0]
    np.testing.assert_array_equal(BoxEncoder(PATCH).pooled(other), rows)


def test_pixels_are_told_where_the_scan_ends_as_networks_are(images):
    tokens, rows = PixelEncoder(PATCH).tokens(images), PixelEncoder(PATCH).pooled(images)
    np.testing.assert_array_equal(tokens[1, 2, 6], images[1, :, 8:12, 24:28].reshape(-1))
    expected = images[1].reshape(2, 16, 2, 16, 2).mean(axis=(2, 4)).reshape(-1)
    np.testing.assert_allclose(rows[1], expected, atol=1e-6)


def test_noise_on_like_grids_is_placed_by_its_box_alone():
    """Nothing in these scans is where it is in others, but all of them end alike."""
    train, test = (
        draw(Smooth(first, count), Amounts(count, 96, 0), 32, 0)
        for first, count in ((0, 6), (6, 3))
    )
    found = probe(BoxEncoder(8), train, test)
    assert found["log_fov_r2"].value > 0.2
    assert found["position_mm"].value < 0.98 * found["position_mm"].chance
