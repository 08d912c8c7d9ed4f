"""Filter responses against scipy, numpy.linalg, closed forms and loops."""

from itertools import combinations

import numpy as np
import pytest
from scipy import ndimage
from tracing import untraced

from napari_mrissl.features import filters
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.volumes import Volume

SPACING = (2.0, 1.0, 0.8)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).random((14, 17, 19), dtype=np.float32)


def blob(spacing, extent=40.0, sigma=4.0):
    """exp(-d^2 / 2 sigma^2) around the middle, sampled; and the distances d in mm."""
    counts = [round(extent / step) | 1 for step in spacing]
    axes = [(np.arange(n) - n // 2) * step for n, step in zip(counts, spacing, strict=True)]
    square = sum(g**2 for g in np.meshgrid(*axes, indexing="ij"))
    return np.exp(-square / (2 * sigma**2)).astype(np.float32), np.sqrt(square)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 1.0, 2.5, 8.0])
def test_gaussian_is_scipys(noise, sigma):
    expected = ndimage.gaussian_filter(
        noise.astype(np.float64), sigma / np.array(SPACING), mode="nearest"
    )
    np.testing.assert_allclose(filters.gaussian(noise, sigma, SPACING), expected, atol=2e-6)


def test_gradient_is_central_differences(noise):
    parts = [
        ndimage.correlate1d(noise.astype(np.float64), [-0.5, 0, 0.5], axis, mode="nearest") / step
        for axis, step in enumerate(SPACING)
    ]
    expected = 3.0 * np.sqrt(sum(p**2 for p in parts))
    np.testing.assert_allclose(filters.gradient_magnitude(noise, 3.0, SPACING), expected, atol=1e-5)


def test_hessian_eigenvalues_are_numpys(noise):
    values = noise.astype(np.float64)
    matrix = np.empty((*noise.shape, 3, 3))
    for a in range(3):
        for b in range(a, 3):
            if a == b:
                part = ndimage.correlate1d(values, [1, -2, 1], a, mode="nearest")
            else:
                part = ndimage.correlate1d(values, [-0.5, 0, 0.5], a, mode="nearest")
                part = ndimage.correlate1d(part, [-0.5, 0, 0.5], b, mode="nearest")
            matrix[..., a, b] = matrix[..., b, a] = part / (SPACING[a] * SPACING[b])
    expected = np.moveaxis(4.0 * np.linalg.eigvalsh(matrix), -1, 0)
    np.testing.assert_allclose(
        filters.hessian_eigenvalues(noise, 2.0, SPACING), expected, atol=2e-5
    )


def test_hessian_of_a_constant_is_zero():
    flat = np.full((5, 5, 5), 0.3, np.float32)
    assert not filters.hessian_eigenvalues(flat, 1.0, SPACING).any()


def test_a_gaussian_blob_has_its_closed_form():
    image, distance = blob((1.0, 1.0, 1.0))
    wide = np.sqrt(4.0**2 + 2.0**2)
    height = (4.0 / wide) ** 3
    smoothed = filters.gaussian(image, 2.0, (1, 1, 1))
    inner = distance < 12
    expected = height * np.exp(-(distance**2) / (2 * wide**2))
    np.testing.assert_allclose(smoothed[inner], expected[inner], atol=2e-3)
    gradient = filters.gradient_magnitude(smoothed, 2.0, (1, 1, 1))
    slope = 2.0 * distance / wide**2 * expected
    np.testing.assert_allclose(gradient[inner], slope[inner], atol=0.025 * slope.max())
    middle = tuple(n // 2 for n in image.shape)
    peak = filters.hessian_eigenvalues(smoothed, 2.0, (1, 1, 1))[(slice(None), *middle)]
    np.testing.assert_allclose(peak, -(2.0**2) * height / wide**2, rtol=0.03)


def test_one_object_on_two_grids_looks_the_same():
    fine, _ = blob((1.0, 1.0, 1.0))
    coarse, _ = blob((2.0, 1.0, 1.0))
    part = fine[fine.shape[0] // 2 % 2 :: 2]
    assert part.shape[0] in (coarse.shape[0], coarse.shape[0] - 1, coarse.shape[0] + 1)

    def bank(image, spacing):
        smoothed = filters.gaussian(image, 2.0, spacing)
        return np.concatenate(
            [
                smoothed[None],
                filters.gradient_magnitude(smoothed, 2.0, spacing)[None],
                filters.hessian_eigenvalues(smoothed, 2.0, spacing),
            ]
        )

    one, two = bank(fine, (1.0, 1.0, 1.0)), bank(coarse, (2.0, 1.0, 1.0))
    middle_one, middle_two = fine.shape[0] // 2, coarse.shape[0] // 2
    for step in range(-5, 6):
        a, b = one[:, middle_one + 2 * step], two[:, middle_two + step]
        scale = np.abs(one).max(axis=(1, 2, 3), keepdims=True)[:, 0]
        assert (np.abs(a - b) < 0.12 * scale).all()


@untraced()
def loops_mind(image, reach, radius):
    """MIND-SSC voxel by voxel, after Heinrich et al. 2013."""

    def at(index):
        return image[tuple(np.clip(i, 0, n - 1) for i, n in zip(index, image.shape, strict=True))]

    units = [sign * np.eye(3, dtype=int)[axis] for axis in range(3) for sign in (-1, 1)]
    pairs = [(a * reach, b * reach) for a, b in combinations(units, 2) if a @ b == 0]
    assert len(pairs) == 12
    distance = np.zeros((12, *image.shape))
    patch = [
        np.array((i, j, k))
        for i in range(-radius[0], radius[0] + 1)
        for j in range(-radius[1], radius[1] + 1)
        for k in range(-radius[2], radius[2] + 1)
    ]
    last = np.array(image.shape) - 1
    for voxel in np.ndindex(image.shape):
        for c, (one, other) in enumerate(pairs):
            squares = []
            for offset in patch:
                place = np.clip(np.array(voxel) + offset, 0, last)
                squares.append((at(place + one) - at(place + other)) ** 2)
            distance[(c, *voxel)] = np.mean(squares)
    distance -= distance.min(axis=0)
    spread = distance.mean(axis=0)
    spread = np.clip(spread, 1e-3 * spread.mean(), 1e3 * spread.mean())
    return np.exp(-distance / spread)


@pytest.mark.parametrize(
    ("spacing", "reach", "radius"),
    [(None, (2, 2, 2), (1, 1, 1)), ((2.0, 1.0, 0.5), (1, 2, 4), (1, 1, 2))],
)
def test_mind_equals_loops(spacing, reach, radius):
    image = np.random.default_rng(1).random((4, 5, 4), dtype=np.float32)
    expected = loops_mind(image.astype(np.float64), np.array(reach), radius)
    np.testing.assert_allclose(filters.mind_ssc(image, spacing), expected, atol=2e-5)


def test_mind_of_a_constant_is_one():
    assert (filters.mind_ssc(np.zeros((4, 4, 4), np.float32)) == 1).all()


def test_mind_does_not_see_brightness_and_contrast():
    image = np.random.default_rng(2).random((8, 8, 8), dtype=np.float32)
    np.testing.assert_allclose(filters.mind_ssc(3 * image + 5), filters.mind_ssc(image), atol=1e-4)


def test_normalised_values():
    voxels = np.linspace(-50, 150, 1000).reshape(10, 10, 10).astype(np.float32)
    volume = Volume.from_stored(voxels, np.eye(4))
    low, high = volume.value_range()
    expected = (volume.data - low) / (high - low)
    np.testing.assert_allclose(filters.normalised(volume), expected, atol=1e-6)


def test_values_that_are_not_numbers_count_as_the_low_end():
    voxels = np.random.default_rng(0).random((6, 6, 6)).astype(np.float32)
    voxels[0, 0, 0], voxels[1, 1, 1], voxels[2, 2, 2] = np.nan, np.inf, -np.inf
    volume = Volume.from_stored(voxels, np.eye(4))
    image = filters.normalised(volume)
    assert np.isfinite(image).all()
    assert (image[~np.isfinite(volume.data)] == 0).all()


def test_slope_and_intercept_do_not_matter_and_metal_is_clipped():
    voxels = np.random.default_rng(0).integers(0, 100, (30, 30, 30)).astype(np.int16)
    voxels[0, 0, 0] = 30_000
    plain = filters.normalised(Volume.from_stored(voxels, np.eye(4)))
    scaled = filters.normalised(Volume.from_stored(voxels, np.eye(4), slope=3.0, intercept=-7.0))
    np.testing.assert_allclose(plain, scaled, atol=1e-6)
    assert plain.max() == filters.CLIP[1]


def test_a_constant_volume_gives_zeros():
    image = filters.normalised(Volume.from_stored(np.full((4, 4, 4), 7, np.uint8), np.eye(4)))
    assert not image.any()


def test_filters_stop_when_asked(noise):
    with pytest.raises(Cancelled):
        filters.gaussian(noise, 1.0, SPACING, cancelled=lambda: True)


def test_kernels_without_compiler(noise):
    from napari_mrissl.features import kernels

    small = noise[:5, :6, :7]
    smoothed = filters.gaussian(small, 1.0, (1, 1, 1))
    taps = filters._half_gaussian(1.0)
    out = np.empty_like(smoothed)
    kernels.smooth.py_func(small, taps, taps, taps, out, 0, 5)
    np.testing.assert_allclose(out, smoothed, atol=1e-6)
    kernels.gradient_magnitude.py_func(smoothed, np.ones(3), 1.0, out, 0, 5)
    expected = filters.gradient_magnitude(smoothed, 1.0, (1, 1, 1))
    np.testing.assert_allclose(out, expected, atol=1e-6)
    eigenvalues = np.empty((3, *small.shape), np.float32)
    kernels.hessian_eigenvalues.py_func(smoothed, (1.0, 1.0, 1.0), 1.0, *eigenvalues, 0, 5)
    expected = filters.hessian_eigenvalues(smoothed, 1.0, (1, 1, 1))
    np.testing.assert_allclose(eigenvalues, expected, atol=1e-6)
    assert kernels.symmetric_eigenvalues.py_func(1.0, 1.0, 1.0, 0.0, 0.0, 0.0) == (1.0, 1.0, 1.0)
    np.testing.assert_allclose(
        kernels.symmetric_eigenvalues.py_func(2.0, 3.0, 5.0, 1.0, -1.0, 0.5),
        np.linalg.eigvalsh([[2, 1, -1], [1, 3, 0.5], [-1, 0.5, 5]]),
    )
    one, other = np.array((0, 0, 2)), np.array((-2, 0, 0))
    padded = np.pad(small, 2, mode="edge")
    kernels.patch_distance.py_func(padded, 2, one, other, np.ones(3, int), out, 0, 5)
    compiled = np.empty_like(out)
    kernels.patch_distance(padded, 2, one, other, np.ones(3, np.int64), compiled, 0, 5)
    np.testing.assert_allclose(out, compiled, atol=1e-6)
    channels = np.stack([small, small + 0.5])
    sums = np.zeros(5)
    kernels.subtract_least.py_func(channels, sums, 0, 5)
    assert np.allclose(sums, 6 * 7 * 0.25)
    kernels.similarity.py_func(channels, 0.01, 10.0, 0, 5)
    assert np.allclose(channels[1], np.exp(-2.0))
    kernels.normalise.py_func(small, 2.0, 1.0, 1.0, 0.5, -1.0, 2.0, out, 0, 5)
    np.testing.assert_allclose(out, small, atol=1e-6)
