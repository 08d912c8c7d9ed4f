"""The task: noise by the sample's key, controls, and chance in closed form."""

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.diffusion.settings import DiffusionSettings
from napari_mrissl.pretext.diffusion.task import Diffusion
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.batches import made, stacked
from napari_mrissl.training.collective import Alone
from tests.pretext.diffusion.small import SMALL
from tests.pretext.painted import Blobs


def _task(**changes):
    return Diffusion(DiffusionSettings.model_validate({**SMALL, **changes}))


def _batch(task, count=4, *, shuffled=False):
    keys = [SampleKey(3, 5, number) for number in range(count)]
    samples = [made(task, Blobs(), key, count, shuffled=shuffled) for key in keys]
    arrays = stacked(samples, keys).arrays
    return task.prepare({n: torch.from_numpy(a) for n, a in arrays.items()}, keys), samples


def _value(term):
    return float(term.total.detach()) / float(term.count)


def test_noise_follows_from_the_key_of_its_sample():
    first, again = (_task().sample(Blobs(), SampleKey(0, 4, 2)) for _ in range(2))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    other = _task().sample(Blobs(), SampleKey(0, 4, 3))
    assert not np.array_equal(first.arrays["noise"], other.arrays["noise"])
    assert first.arrays["patch"].shape == first.arrays["noise"].shape == (1, 16, 16, 16)
    assert -1 <= first.arrays["patch"].min() < first.arrays["patch"].max() <= 1
    # What is told does not change what is drawn.
    for changes in ({"coordinates": "none"}, {"coordinates": "shuffled"}, {"prediction": "v"}):
        changed = _task(**changes).sample(Blobs(), SampleKey(0, 4, 2)).arrays
        for name in ("patch", "noise", "step", "told"):
            np.testing.assert_array_equal(changed[name], first.arrays[name])


def test_noise_is_gaussian_and_steps_are_even():
    batch, _ = _batch(_task(), 200)
    noise = batch["noise"]
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.var()) == pytest.approx(1, abs=0.01)
    steps = batch["step"].double()
    assert float(steps.mean()) == pytest.approx(499.5, abs=60)
    assert float((1 - batch["told"]).mean()) == pytest.approx(0.15, abs=0.08)


def test_controls_are_told_of_other_patches_or_of_none():
    true, _ = _batch(_task())
    assert torch.equal(true["guide"], true["patch"])
    shuffled, _ = _batch(_task(coordinates="shuffled"))
    assert not any(torch.equal(g, p) for g, p in zip(shuffled["guide"], true["patch"], strict=True))
    none, _ = _batch(_task(coordinates="none"))
    assert "guide" not in none
    assert _task(coordinates="none").targets == ()
    run, samples = _batch(_task(), shuffled=True)
    for number, sample in enumerate(samples):
        assert torch.equal(run["guide"][number], true["patch"][sample.record["targets of"]])
        assert torch.equal(run["noise"][number], true["noise"][number])


def test_a_plain_denoiser_has_one_level_of_noise():
    task = _task(levels="one", one_db=5.0)
    one, _ = _batch(task)
    all_levels, _ = _batch(_task())
    assert set(one["step"].tolist()) == {task.schedule.step_of(5.0)}
    assert len(set(all_levels["step"].tolist())) == 4
    for name in ("patch", "noise", "told"):
        assert torch.equal(one[name], all_levels[name])
    known = task.moments(Blobs(), 0).voxelwise(task.schedule, "epsilon")
    assert task.chance(Blobs(), 0)["denoise"] == pytest.approx(known[task.schedule.step_of(5.0)])


class _VoxelByVoxel(torch.nn.Module):
    """The best denoiser that takes each voxel by itself as a Gaussian."""

    def __init__(self, task, moments):
        super().__init__()
        self.task, self.moments = task, moments

    def forward(self, clean, noise, step, told, guide=None):
        from napari_mrissl.pretext.diffusion.network import Learned

        schedule = self.task.schedule
        a, s = (
            torch.from_numpy(v)[step][:, None, None, None, None]
            for v in (schedule.signal, schedule.noise)
        )
        mean, variance = self.moments.mean, self.moments.variance
        noisy = a * clean + s * noise
        guess = mean + a * variance / (a**2 * variance + s**2) * (noisy - a * mean)
        rest = (noisy - a * guess) / s
        if self.task.settings.prediction == "epsilon":
            return Learned(rest, noise.double(), None, None)
        return Learned(a * rest - s * guess, a * noise - s * clean, None, None)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_chance_is_the_voxelwise_optimum(prediction):
    """Measured by the loss of that very denoiser, on other draws."""
    task = _task(prediction=prediction)
    batch, _ = _batch(task, 200)
    network = _VoxelByVoxel(task, task.moments(Blobs(), 0))
    measured = _value(task.losses(network, batch, Alone())["denoise"])
    assert task.chance(Blobs(), 0)["denoise"] == pytest.approx(measured, rel=0.15)


def test_the_joint_head_has_a_chance_value_of_the_best_constant():
    task = _task(joint=0.5)
    torch.manual_seed(0)
    network = task.network().eval()
    batch, _ = _batch(task, 48)
    chance = task.chance_with(network, Blobs(), 0)
    found = network(batch["patch"], batch["noise"], batch["step"], batch["told"])
    cells = found.coordinates.transpose(0, 1).flatten(1)
    constant = (cells - cells.median(dim=1, keepdim=True).values).abs().mean()
    assert chance["joint"] == pytest.approx(float(constant), rel=0.2)
    assert chance["denoise"] == task.chance(Blobs(), 0)["denoise"]
    terms = task.losses(network, batch, Alone())
    assert terms["joint"].weight == 0.5
    assert _value(terms["joint"]) > 0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"coordinates": "none"},
        {"film": True, "joint": 0.3, "encoding": "waves", "prediction": "v"},
    ],
)
def test_a_step_reaches_all_that_is_trained_and_nothing_else(changes):
    task = _task(**changes)
    network = task.network().train()
    for parameter in network.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    batch, _ = _batch(task)
    terms = task.losses(network, batch, Alone())
    assert set(terms) == ({"denoise", "joint"} if "joint" in changes else {"denoise"})
    sum(t.weight * t.total / t.count for t in terms.values()).backward()
    for name, parameter in network.named_parameters():
        frozen = name.startswith(("backbone.", "coordinates."))
        assert (parameter.grad is None) == frozen, name


def test_pictures_show_what_is_seen_behind_noise():
    task = _task()
    batch, _ = _batch(task, 2)
    (shown,) = task.show(task.network().eval(), batch)
    assert shown.tiles.shape == (7, 16, 16)
    np.testing.assert_allclose(shown.tiles[0], (batch["patch"][0, 0, 8] + 1) / 2, rtol=1e-6)
    assert shown.captions[2] == "seen behind 10 dB"
