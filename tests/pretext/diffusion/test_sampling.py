"""Patches out of noise: with the optimal denoiser, the right distribution comes out."""

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler

from napari_mrissl.networks.noise_schedule import Schedule
from napari_mrissl.pretext.diffusion.network import DiffusionNetwork
from napari_mrissl.pretext.diffusion.sampling import ddim, ddpm, estimates, guided
from napari_mrissl.pretext.diffusion.settings import DiffusionSettings
from tests.pretext.diffusion.small import SMALL

MEAN, VARIANCE = 0.4, 0.09


def _best(schedule, prediction):
    """The optimal denoiser of a Gaussian, in closed form."""

    def predict(noisy, step):
        a, s = schedule.signal[step], schedule.noise[step]
        clean = MEAN + a * VARIANCE / (a**2 * VARIANCE + s**2) * (noisy - a * MEAN)
        noise = (noisy - a * clean) / s
        return noise if prediction == "epsilon" else a * noise - s * clean

    return predict


def _start(count=20_000, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((count, 1)))


def _noise(shape):
    rng = np.random.default_rng(1)
    return lambda step: torch.from_numpy(rng.standard_normal(shape))


def _moments(states):
    *_, last = states
    assert last.step == -1
    return float(last.noisy.mean()), float(last.noisy.var())


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_with_the_optimal_denoiser_gives_the_right_distribution(kind, prediction, eta):
    schedule, start = Schedule(kind), _start()
    found = _moments(
        ddim(
            _best(schedule, prediction), schedule, prediction, start, 1000, eta, _noise(start.shape)
        )
    )
    assert found[0] == pytest.approx(MEAN, abs=0.01)
    # A random step's variance is the least that it can have: of a Gaussian it is a little more.
    assert found[1] == pytest.approx(VARIANCE, rel=0.06 if eta else 0.03)


def test_few_steps_come_near_and_more_come_nearer():
    """Also of numbers of steps that do not divide those of the noise."""
    schedule, start = Schedule("linear"), _start()
    best = _best(schedule, "epsilon")
    errors = [
        abs(_moments(ddim(best, schedule, "epsilon", start, count))[1] / VARIANCE - 1)
        for count in (7, 30, 170)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.08


def test_ddpm_with_the_optimal_denoiser_gives_the_right_distribution():
    schedule, start = Schedule("linear"), _start(10_000)
    best = _best(schedule, "epsilon")
    mean, variance = _moments(ddpm(best, schedule, "epsilon", start, _noise(start.shape)))
    assert mean == pytest.approx(MEAN, abs=0.015)
    assert variance == pytest.approx(VARIANCE, rel=0.06)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_a_step_is_monais_where_it_visits_every_step(prediction):
    schedule = Schedule("linear")
    name = "epsilon" if prediction == "epsilon" else "v_prediction"
    other = DDIMScheduler(1000, schedule="linear_beta", prediction_type=name, clip_sample=False)
    other.set_timesteps(1000)
    best, noisy = _best(schedule, prediction), _start(50)
    expected = noisy.clone()
    for state, step in zip(
        ddim(best, schedule, prediction, noisy, 1000), range(999, 989, -1), strict=False
    ):
        expected, clean = other.step(best(expected, step), step, expected)
        torch.testing.assert_close(state.noisy, expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(state.clean, clean, rtol=3e-2, atol=3e-2)


def test_a_random_step_is_monais_mean_and_spread():
    schedule = Schedule("linear", 50)
    other = DDPMScheduler(50, schedule="linear_beta", clip_sample=False)
    best, start = _best(schedule, "epsilon"), _start(50)
    quiet = ddpm(best, schedule, "epsilon", start, lambda step: torch.zeros_like(start))
    mean = next(quiet).noisy
    answer = best(start, 49)
    clean, _ = estimates(answer, start, schedule.signal[49], schedule.noise[49], "epsilon")
    torch.testing.assert_close(mean, other._get_mean(49, clean, start), rtol=1e-4, atol=1e-5)
    loud = ddpm(best, schedule, "epsilon", start, lambda step: torch.ones_like(start))
    spread = float((next(loud).noisy - mean).mean())
    assert spread == pytest.approx(float(other._get_variance(49)) ** 0.5, rel=1e-4)


def test_the_same_noise_gives_the_same_patches_and_clipped_ones_stay_within():
    schedule, start = Schedule("cosine"), _start(500)
    best = _best(schedule, "v")
    first, again = (list(ddim(best, schedule, "v", start, 10))[-1].noisy for _ in range(2))
    assert torch.equal(first, again)
    clipped = list(ddim(best, schedule, "v", start, 10, clip=0.45))
    assert max(float(state.clean.abs().max()) for state in clipped) <= 0.45
    with pytest.raises(ValueError, match="eta needs noise"):
        next(ddim(best, schedule, "v", start, 10, eta=0.5))


def test_guidance_goes_from_none_to_all_and_further():
    torch.manual_seed(0)
    network = DiffusionNetwork(DiffusionSettings.model_validate(SMALL)).eval()
    for parameter in network.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    noisy = torch.randn(2, 1, 16, 16, 16)
    where = torch.rand(2, 3, 16, 16, 16) * 2 - 1
    steps = torch.full((2,), 300)
    with torch.no_grad():
        told = network.denoised(noisy, steps, where).answer
        alone = network.denoised(noisy, steps, None).answer
        nothing = network.denoised(noisy, steps, where, torch.zeros(2)).answer
    assert not torch.allclose(told, alone)
    assert torch.equal(alone, nothing)
    for strength, expected in ((0.0, alone), (1.0, told), (3.0, alone + 3 * (told - alone))):
        torch.testing.assert_close(guided(network, where, strength)(noisy, 300), expected)
    assert torch.equal(guided(network, None, 3.0)(noisy, 300), alone)
