"""Another appearance of the same anatomy: each change by its closed form."""

import numpy as np
import pytest
from pydantic import ValidationError

from napari_mrissl.features import Cancelled
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.volumes import Volume

AFFINE = np.array([[0, 0, 1.5, -10], [-0.8, 0, 0, 20], [0, 3.0, 0, 5], [0, 0, 0, 1]])


def scan():
    ramp = np.linspace(0, 1, 12 * 14 * 16).reshape(12, 14, 16)
    voxels = (1000 * np.random.default_rng(0).permuted(ramp)).astype(np.int16)
    return Volume.from_stored(voxels, AFFINE, name="ramp")


def image():
    return recoloured(scan(), Recolouring()).data


def test_nothing_changes_but_the_range():
    volume = scan()
    low, high = volume.value_range()
    expected = np.clip((volume.data - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image(), expected, atol=1e-5)


def test_the_grid_stays_and_the_identity_changes():
    volume = scan()
    made = recoloured(volume, Recolouring(gamma=2))
    np.testing.assert_array_equal(made.affine, volume.affine)
    assert made.shape == volume.shape
    assert made.identity != volume.identity
    assert (made.slope, made.intercept, made.source) == (1, 0, None)


def test_gamma_and_inversion():
    made = recoloured(scan(), Recolouring(gamma=2.5, inverted=True)).data
    np.testing.assert_allclose(made, 1 - image() ** 2.5, atol=1e-5)


def test_the_bias_field_is_smooth_and_as_strong_as_said():
    made = recoloured(scan(), Recolouring(bias=0.7, seed=4)).data
    with np.errstate(divide="ignore", invalid="ignore"):
        field = np.log(made / image())
    field = field[image() > 0.01]
    assert np.abs(field).max() == pytest.approx(0.7, rel=0.05)
    other = recoloured(scan(), Recolouring(bias=0.7, seed=5)).data
    assert not np.allclose(made, other)


def test_noise_has_the_spread_that_was_asked_for():
    noise = recoloured(scan(), Recolouring(noise=0.1, seed=1)).data - image()
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    assert abs(noise.mean()) < 0.01


def test_a_blur_is_in_millimetres_whatever_the_spacing():
    voxels = np.zeros((41, 31, 21), np.uint8)
    volume = Volume.from_stored(voxels, AFFINE)
    data = np.zeros(volume.shape, np.float32)
    middle = tuple(n // 2 for n in volume.shape)
    data[middle] = 1
    point = Volume.from_stored(volume.to_stored(data), volume.stored.affine)
    made = recoloured(point, Recolouring(blur_mm=3.0)).data
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        line = made.sum(axis=others)
        place = (np.arange(len(line)) - middle[axis]) * volume.spacing[axis]
        assert np.sqrt((line * place**2).sum() / line.sum()) == pytest.approx(3.0, rel=0.05)


def test_odd_changes_are_refused_and_cancelled_ones_end():
    with pytest.raises(ValidationError):
        Recolouring(gamma=0)
    with pytest.raises(ValidationError):
        Recolouring(noise=-1)
    with pytest.raises(Cancelled):
        recoloured(scan(), Recolouring(blur_mm=1), lambda: True)
