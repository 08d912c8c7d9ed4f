"""Joint principal components against numpy's own decomposition, and colours on one basis."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.features.projections import fit_projection
from napari_mrissl.features.similarity import channels_at, foreground_sample
from napari_mrissl.volumes import Volume


def scan(seed, shape=(18, 22, 26)):
    rng = np.random.default_rng(seed)
    voxels = rng.integers(0, 255, shape).astype(np.uint8)
    volume = Volume.from_stored(voxels, np.eye(4), name=f"scan {seed}")
    mixing = np.random.default_rng(99).standard_normal((6, 4))
    hidden = rng.standard_normal((4, *volume.shape)) * np.array([4, 2, 1, 0.3])[:, None, None, None]
    data = np.tensordot(mixing, hidden, 1) + np.arange(6)[:, None, None, None]
    return volume, data.astype(np.float32)


def pooled(scans):
    samples = [channels_at(d, foreground_sample(v)).astype(np.float64) for v, d in scans]
    least = min(one.shape[1] for one in samples)
    return np.concatenate(
        [one[:, np.linspace(0, one.shape[1] - 1, least).astype(int)] for one in samples], axis=1
    )


@pytest.mark.parametrize("standardised", [False, True])
def test_axes_are_the_leading_singular_vectors_of_all_scans_together(standardised):
    scans = [scan(1), scan(2, (12, 30, 20))]
    found = fit_projection(scans, standardised=standardised)
    rows = pooled(scans)
    centred = rows - rows.mean(axis=1, keepdims=True)
    if standardised:
        centred /= rows.std(axis=1, keepdims=True)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    for axis, expected in zip(found.axes, left.T, strict=False):
        assert abs(axis @ expected) == pytest.approx(1, abs=1e-6)
        assert axis[np.abs(axis).argmax()] > 0
    np.testing.assert_allclose(found.explained, (sizes**2 / (sizes**2).sum())[:3], rtol=1e-6)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(3), atol=1e-9)


def test_equal_features_have_equal_colours_in_both_scans():
    (one, data), (two, other) = scan(1), scan(2)
    other[:, 3, 4, 5] = data[:, 7, 8, 9]
    found = fit_projection([(one, data), (two, other)])
    colours, others = found.colours(data), found.colours(other)
    assert colours.shape == (*one.shape, 3)
    assert colours.dtype == np.uint8
    np.testing.assert_array_equal(colours[7, 8, 9], others[3, 4, 5])
    flat = data.reshape(6, -1)
    places = (found.coordinates(flat) - found.low[:, None]) / (found.high - found.low)[:, None]
    expected = np.rint(255 * np.clip(places, 0, 1)).T.reshape(colours.shape)
    assert np.abs(colours.astype(int) - expected).max() <= 1
    inside = colours.reshape(-1, 3)
    assert (inside.min(axis=0) == 0).all()
    assert (inside.max(axis=0) == 255).all()


def test_the_basis_is_the_same_at_every_fit():
    scans = [scan(1), scan(2)]
    one, two = fit_projection(scans), fit_projection(scans)
    np.testing.assert_array_equal(one.axes, two.axes)
    np.testing.assert_array_equal(one.low, two.low)


def test_one_channel_is_grey():
    volume, data = scan(1)
    found = fit_projection([(volume, data[:1])])
    colours = found.colours(data[:1])
    assert (colours == colours[..., :1]).all()
    assert found.explained.tolist() == [1, 0, 0]


def test_what_does_not_fit_is_refused():
    volume, data = scan(1)
    with pytest.raises(MrisslError, match="at least one"):
        fit_projection([])
    with pytest.raises(MrisslError, match="4 and 6 channels"):
        fit_projection([(volume, data), (volume, data[:4])])
    found = fit_projection([(volume, data)])
    with pytest.raises(MrisslError, match="as fitted"):
        found.colours(data[:2])
    with pytest.raises(Cancelled):
        found.colours(data, lambda: True)
