"""Each stage of a view against MONAI's transform with the same parameters."""

import numpy as np
import pytest
from scipy import ndimage, stats

from napari_mrissl.synthesis.compiled import CompiledOperations
from napari_mrissl.synthesis.draws import voxel_key
from napari_mrissl.synthesis.operations import Scaled

torch = pytest.importorskip("torch")
SIDE = 48


@pytest.fixture
def run() -> CompiledOperations:
    return CompiledOperations()


@pytest.fixture
def monai():
    return pytest.importorskip("monai.transforms")


@pytest.fixture
def image() -> np.ndarray:
    noise = np.random.default_rng(8).normal(size=(SIDE,) * 3)
    smooth = ndimage.gaussian_filter(noise, 2) * 4 + 0.3 * ndimage.gaussian_filter(noise, 0.5)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def close(found: np.ndarray, expected, tolerance: float = 2e-5) -> bool:
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    return bool(np.abs(found - expected).max() <= tolerance * max(1, np.abs(expected).max()))


def test_bias_field(run, monai, image):
    coefficients = tuple(np.random.default_rng(1).uniform(0, 0.075, 20))
    transform = monai.RandBiasField()
    field = np.exp(transform._generate_random_field((SIDE,) * 3, 3, coefficients))
    assert np.ptp(field) > 0.1
    assert close(run.bias(Scaled(image.copy(), 0.0, 1.0), coefficients), image * field)


@pytest.mark.parametrize("location", [(20, 30, 11), (20, 30, 40), (24, 3, 24), (0, 47, 0)])
def test_spike(run, monai, image, location):
    spectrum = np.fft.fftn(image)
    level = 2.5 * np.log(np.abs(spectrum) + 1e-10).mean()
    transform = monai.KSpaceSpikeNoise((0, *location), float(1.05 * level))
    expected = np.asarray(transform(image[None].copy())[0])
    assert np.abs(expected - image).max() > 1e-3
    assert close(run.spike(image.copy(), location, 1.05), expected, 5e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.7])
def test_contrast(run, monai, image, gamma):
    shifted = 3 * image - 0.7
    assert close(run.contrast(shifted.copy(), gamma), monai.AdjustContrast(gamma)(shifted))


@pytest.mark.parametrize("sigma", [(0.05, 0.2, 0.333), (0.9, 0.5, 1.3)])
def test_smoothing(run, monai, image, sigma):
    assert close(run.smooth(image, sigma), monai.GaussianSmooth(sigma)(image[None])[0])


@pytest.mark.parametrize("alpha", [0.02, 0.2, 0.333, 0.7])
def test_gibbs(run, monai, image, alpha):
    expected = monai.GibbsNoise(alpha)(image[None].copy())[0]
    assert close(run.gibbs(image.copy(), alpha), expected)


def test_sharpening(run, monai, image):
    first, second = (0.5, 0.8, 1.0), (0.5, 0.6, 0.9)
    expected = monai.GaussianSharpen(first, second, 25.0)(image[None])[0]
    assert np.abs(np.asarray(expected)).max() > 2
    assert close(run.sharpen(image, first, second, 25.0), expected)


@pytest.mark.parametrize("zoom", [0.5, 0.61, 0.87, 0.999])
def test_low_resolution(run, monai, image, zoom):
    transform = monai.RandSimulateLowResolution(1, downsample_mode="nearest-exact")
    transform.zoom_factor, transform._do_transform = zoom, True
    expected = transform(torch.from_numpy(image[None]), randomize=False)[0]
    assert close(run.low_resolution(image, zoom), expected)


def test_the_end_is_threshold_and_scale(run, monai, image):
    shifted = 3 * image - 1
    expected = monai.ScaleIntensity(0, 1)(monai.ThresholdIntensity(0.0)(shifted))
    assert close(run.finish(shifted.copy()), expected)


def test_a_constant_volume_becomes_black_without_a_warning(run):
    flat = np.full((16,) * 3, 0.3, np.float32)
    assert not run.finish(flat).any()


def test_smooth_noise_is_interpolates_sum(run, image):
    rng = np.random.default_rng(3)
    nodes = (32, 16, 8, 4)
    coarse = np.concatenate([rng.normal(size=n**3) for n in nodes]).astype(np.float32)
    noise, start = torch.zeros(1, 1, SIDE, SIDE, SIDE), 0
    for n in nodes:
        field = torch.from_numpy(coarse[start : start + n**3]).view(1, 1, n, n, n)
        noise += torch.nn.functional.interpolate(field, size=(SIDE,) * 3, mode="trilinear")
        start += n**3
    expected = image * (1 + 0.02 * noise[0, 0].numpy())
    made = run.modulate(Scaled(image.copy(), 0.0, 1.0), nodes, coarse, 0.02)
    assert close(made.image, expected)
    assert (made.low, made.high) == (made.image.min(), made.image.max())


def test_noise_per_voxel_is_gaussian_and_white(run):
    labels = np.zeros((64,) * 3, np.uint8)
    means, stds = np.full(256, 100, np.float32), np.full(256, 10, np.float32)
    made = run.mixture(labels, means, stds, voxel_key(0, 0, "view 0"))
    noise = (made.image.astype(np.float64) - 100) / 10
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    assert abs(stats.kurtosis(noise.ravel())) < 0.05
    assert 4 < np.abs(noise).max() < 6
    bound = 5 / np.sqrt(noise.size)
    for shift in ((0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 32), (0, 1, 32)):
        assert abs(np.mean(noise * np.roll(noise, shift, (0, 1, 2)))) < bound
    other = run.mixture(labels, means, stds, voxel_key(0, 0, "view 1")).image
    assert abs(np.mean(noise * (other - 100) / 10)) < bound


def test_grey_values_follow_the_labels_and_are_not_negative(run):
    labels = np.random.default_rng(0).integers(3, size=(32,) * 3).astype(np.uint8)
    means, stds = np.zeros(256, np.float32), np.zeros(256, np.float32)
    means[1:3], stds[1:3] = (50, 5), (4, 20)
    made = run.mixture(labels, means, stds, 12345)
    assert not made.image[labels == 0].any()
    assert abs(made.image[labels == 1].mean() - 50) < 0.3
    assert made.low == made.image.min() == 0
    assert made.high == made.image.max()
    clipped = stats.norm(5, 20)
    assert abs(np.mean(made.image[labels == 2] == 0) - clipped.cdf(0)) < 0.02
