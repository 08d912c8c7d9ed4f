"""The on-line augmentation against scipy, loops, and the identities it must keep."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_mrissl.pretext.synthesis import online
from napari_mrissl.pretext.synthesis.settings import OFFLINE, OnlineSettings

IMAGE = np.random.default_rng(2).random((12, 12, 12))


def image():
    return torch.from_numpy(IMAGE)


def test_nothing_happens_where_nothing_is_to():
    found = online.augmented(image(), np.random.default_rng(0), OnlineSettings(**OFFLINE))
    assert torch.equal(found, image())


def test_a_blur_is_scipys():
    sigma = [0.8, 1.7, 0.3]
    expected = ndimage.gaussian_filter(IMAGE, sigma, mode="constant", truncate=5.0)
    found = online.blurred(image(), sigma).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_array_equal(online.blurred(image(), [0.0] * 3).numpy(), IMAGE)


def test_a_bias_field_is_the_exponential_of_a_cubic():
    coefficients = np.random.default_rng(3).uniform(-0.5, 0.5, 20)
    field = online.bias_field(coefficients, image()).numpy()
    line = np.linspace(-1, 1, 12)
    for place in ((0, 0, 0), (3, 7, 11), (11, 2, 5)):
        z, y, x = line[list(place)]
        total, number = 0.0, 0
        for i in range(4):
            for j in range(4 - i):
                for k in range(4 - i - j):
                    total += coefficients[number] * z**i * y**j * x**k
                    number += 1
        assert number == 20
        assert field[place] == pytest.approx(np.exp(total))


def test_noise_and_gamma_are_as_strong_as_drawn():
    only = {**OFFLINE, "noise": 1.0, "noise_std": 0.2}
    stds = [
        float((online.augmented(image(), np.random.default_rng(n), OnlineSettings(**only))
               - image()).std())
        for n in range(60)
    ]  # fmt: skip
    assert max(stds) < 0.21
    assert np.mean(stds) == pytest.approx(0.1, abs=0.03)
    only = {**OFFLINE, "gamma": 1.0, "log_gamma": 0.4}
    exponents = []
    for n in range(60):
        found = online.augmented(image(), np.random.default_rng(n), OnlineSettings(**only))
        ratio = (found.log() / image().log()).numpy()
        assert np.ptp(ratio) < 1e-6
        exponents.append(float(np.log(ratio.mean())))
    assert max(map(abs, exponents)) < 0.4
    assert abs(np.mean(exponents)) < 0.1


def test_without_moving_there_is_no_motion():
    still = OnlineSettings(motion_degrees=0.0, motion_shift=0.0)
    found = online.moved(image(), np.random.default_rng(0), still)
    torch.testing.assert_close(found, image())


def test_motion_keeps_a_view_where_its_labels_are():
    smooth = np.zeros((32, 32, 32))
    smooth[10:20, 8:18, 12:26] = 1
    smooth = ndimage.gaussian_filter(smooth, 0.7)
    for seed in range(8):
        found = online.moved(
            torch.from_numpy(smooth), np.random.default_rng(seed), OnlineSettings()
        ).numpy()
        assert np.abs(found - smooth).max() > 1e-4
        # The middle of k-space is the still image's: what is large stays in place.
        apart = np.subtract(ndimage.center_of_mass(np.clip(found, 0, None)),
                            ndimage.center_of_mass(smooth))  # fmt: skip
        assert np.linalg.norm(apart) < 1.5
        assert np.corrcoef(found.ravel(), smooth.ravel())[0, 1] > 0.8


def test_a_rigid_move_is_scipys():
    smooth = ndimage.gaussian_filter(IMAGE, 1.5)
    angles, shift = np.array([0.2, -0.1, 0.15]), np.array([1.0, -0.5, 0.7])
    matrix = online.rotation(angles)
    middle = (np.array(smooth.shape) - 1) / 2
    expected = ndimage.affine_transform(
        smooth, matrix, middle - matrix @ middle + shift, order=1, mode="constant"
    )
    found = online._rigid(torch.from_numpy(smooth), angles, shift).numpy()
    inside = (slice(3, -3),) * 3
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-10)


def test_it_follows_from_its_generator_alone():
    settings = OnlineSettings()
    one, same, other = (
        online.augmented(image(), np.random.default_rng(seed), settings) for seed in (4, 4, 6)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
