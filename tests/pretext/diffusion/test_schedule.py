"""Tables of noise against the method's own, MONAI's, formulas by hand and least squares."""

import json
import math

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.noise_schedule import Schedule, optimum
from napari_mrissl.pretext.diffusion.optima import Moments

KINDS = {"linear": "linear_beta", "scaled_linear": "scaled_linear_beta", "cosine": "cosine"}
TABLE = {
    "linear": {25: 20.4, 50: 15.1, 100: 9.3, 150: 5.7, 200: 2.8, 250: 0.4, 400: -6.2, 600: -15.8},
    "cosine": {50: 20.8, 100: 15.3, 150: 12.0, 250: 7.4, 400: 2.6, 600: -2.9},
}


@pytest.mark.parametrize(
    ("kind", "step", "snr_db"), [(k, t, db) for k, of in TABLE.items() for t, db in of.items()]
)
def test_ratios_are_those_of_the_method(kind, step, snr_db):
    schedule = Schedule(kind)
    assert schedule.snr_db[step] == pytest.approx(snr_db, abs=0.1)
    assert schedule.step_of(float(schedule.snr_db[step])) == step


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_monais_in_double_precision(kind):
    schedule, other = Schedule(kind), DDPMScheduler(1000, schedule=KINDS[kind])
    np.testing.assert_allclose(schedule.betas, other.betas, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(schedule.alpha_bar, other.alphas_cumprod, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(schedule.signal**2 + schedule.noise**2, 1, rtol=1e-12)
    assert (np.diff(schedule.snr_db) < 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [0, 1, 17, 500, 999])
def test_the_posterior_is_bayes_rule(kind, step):
    """x at the step before is Gaussian with two messages: from the clean patch, and from x_t."""
    schedule = Schedule(kind)
    of_clean, of_noisy, variance = schedule.posterior(step)
    alpha = 1 - float(schedule.betas[step])
    before = math.prod(1 - float(beta) for beta in schedule.betas[:step])
    if step == 0:
        assert (of_clean, of_noisy, variance) == (pytest.approx(1), 0, 0)
        return
    # Precisions add: N(sqrt(before) x_0, 1 - before) and N(x_t / sqrt(alpha), beta / alpha).
    first, second = 1 / (1 - before), alpha / (1 - alpha)
    assert variance == pytest.approx(1 / (first + second), rel=1e-6)
    assert of_clean == pytest.approx(first * math.sqrt(before) * variance, rel=1e-6)
    assert of_noisy == pytest.approx(second / math.sqrt(alpha) * variance, rel=1e-6)
    other = DDPMScheduler(1000, schedule=KINDS[kind], clip_sample=False)
    clean, noisy = torch.tensor([0.3]), torch.tensor([-1.1])
    mean = other._get_mean(step, clean, noisy)
    assert of_clean * 0.3 + of_noisy * -1.1 == pytest.approx(float(mean), rel=2e-2, abs=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("step", [20, 250, 700])
def test_a_gaussian_s_best_denoiser_has_the_error_of_the_formula(prediction, step):
    """Least squares over draws of a toy in one dimension, and its coefficients by hand."""
    schedule, mean, variance = Schedule("linear"), 0.4, 0.3
    a, s = schedule.signal[step], schedule.noise[step]
    draws = np.random.default_rng(0).standard_normal((2, 4000))
    draws -= draws.mean(axis=1, keepdims=True)
    # Of these very draws the moments are those of the toy, so nothing is left to sampling.
    unit, noise = np.linalg.solve(np.linalg.cholesky(np.cov(draws, bias=True)), draws)
    clean = mean + variance**0.5 * unit
    noisy = a * clean + s * noise
    wanted = noise if prediction == "epsilon" else a * noise - s * clean
    slope, offset = np.polyfit(noisy, wanted, 1)
    total = a**2 * variance + s**2
    by_hand = s / total if prediction == "epsilon" else a * s * (1 - variance) / total
    assert slope == pytest.approx(by_hand, rel=1e-9)
    middle = 0.0 if prediction == "epsilon" else -s * mean
    assert offset + slope * a * mean == pytest.approx(middle, abs=1e-9)
    error = np.mean((wanted - slope * noisy - offset) ** 2)
    assert optimum(variance, a, s, prediction) == pytest.approx(error, rel=1e-9)


def test_a_spectrum_s_optimum_is_that_of_a_wiener_filter():
    """Filtered among frequencies by hand; flat spectra give the voxels' own optimum."""
    rng = np.random.default_rng(1)
    shape = (8, 8, 8)
    lengths = np.zeros(shape, int)
    for place in np.ndindex(shape):
        lengths[place] = round(math.hypot(*(min(k, 8 - k) for k in place)))
    power = 1 / (0.3 + lengths**2)
    waves = np.fft.fftn(rng.standard_normal((600, *shape)), axes=(1, 2, 3), norm="ortho")
    clean = np.fft.ifftn(np.sqrt(power) * waves, axes=(1, 2, 3), norm="ortho").real + 0.2
    moments = Moments.of(clean)
    assert moments.power @ moments.share == pytest.approx(moments.variance, rel=1e-9)
    np.testing.assert_allclose(moments.power, 1 / (0.3 + np.arange(8) ** 2), rtol=0.15)
    schedule, step = Schedule("linear"), 300
    a, s = schedule.signal[step], schedule.noise[step]
    noise = rng.standard_normal(clean.shape)
    seen = np.fft.fftn(a * (clean - moments.mean) + s * noise, axes=(1, 2, 3), norm="ortho")
    best = s / (a**2 * moments.power[lengths] + s**2)
    guess = np.fft.ifftn(seen * best, axes=(1, 2, 3), norm="ortho").real
    error = np.mean((noise - guess) ** 2)
    assert moments.wiener(schedule, "epsilon", step) == pytest.approx(error, rel=1e-2)
    assert moments.wiener(schedule, "epsilon", step) < moments.voxelwise(schedule, "epsilon")[step]
    flat = Moments(0.0, 0.7, np.full(3, 0.7), np.array([0.2, 0.5, 0.3]))
    same = flat.voxelwise(schedule, "v")[step]
    assert flat.wiener(schedule, "v", step) == pytest.approx(same)
    again = Moments.from_plain(json.loads(json.dumps(moments.plain())))
    np.testing.assert_array_equal(again.power, moments.power)
    for plain in (None, {}, {**moments.plain(), "power": [1.0]}):
        with pytest.raises(MrisslError, match="no moments"):
            Moments.from_plain(plain)


def test_visited_steps_go_from_noise_to_clean():
    schedule = Schedule("linear")
    assert schedule.visited(4) == (999, 666, 333, 0)
    assert schedule.visited(1000) == tuple(range(999, -1, -1))
    assert schedule.visited(1) == (999,)
    for count in (0, 1001):
        with pytest.raises(MrisslError, match="1 to 1000"):
            schedule.visited(count)
