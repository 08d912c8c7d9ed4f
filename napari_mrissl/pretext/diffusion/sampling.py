"""Patches out of noise, step by step: DDIM, DDPM and classifier-free guidance.

Random numbers come from outside: the same noise with other coordinates shows what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from napari_mrissl.networks.noise_schedule import Prediction, Schedule
from napari_mrissl.pretext.diffusion.network import DiffusionNetwork

Predict = Callable[[torch.Tensor, int], torch.Tensor]
"""What a denoiser answers, from noisy patches and the step of their noise."""

Noise = Callable[[int], torch.Tensor]
"""New noise for the patches at a step."""


@dataclass(frozen=True, eq=False)
class State:
    """Patches on their way out of noise.

    Attributes
    ----------
    step
        Whose noise the patches have; -1 where they have none.
    noisy
        The patches.
    clean
        What the denoiser last thought they would become.
    """

    step: int
    noisy: torch.Tensor
    clean: torch.Tensor


def estimates(
    answer: torch.Tensor, noisy: torch.Tensor, a: float, s: float, prediction: Prediction
) -> tuple[torch.Tensor, torch.Tensor]:
    """The clean patch and the noise that an answer stands for, x_t = a x_0 + s e."""
    if prediction == "epsilon":
        return (noisy - s * answer) / a, answer
    return a * noisy - s * answer, s * noisy + a * answer


def guided(network: DiffusionNetwork, where: torch.Tensor | None, strength: float = 1.0) -> Predict:
    """A network's answers, told coordinates so strongly (classifier-free, arXiv:2207.12598).

    Parameters
    ----------
    network
        In evaluation mode.
    where
        (N, 3, Z, Y, X) coordinates, see `DiffusionNetwork.where`; None tells of none.
    strength
        0 is without them, 1 with them, more pushes further that way.
    """

    @torch.no_grad()
    def predict(noisy: torch.Tensor, step: int) -> torch.Tensor:
        steps = torch.full((len(noisy),), step, device=noisy.device)
        if where is None or strength == 0:
            return network.denoised(noisy, steps, None).answer
        told = network.denoised(noisy, steps, where).answer
        if strength == 1:
            return told
        alone = network.denoised(noisy, steps, None).answer
        return alone + strength * (told - alone)

    return predict


def ddim(
    predict: Predict,
    schedule: Schedule,
    prediction: Prediction,
    start: torch.Tensor,
    count: int,
    eta: float = 0.0,
    noise: Noise | None = None,
    clip: float | None = None,
) -> Iterator[State]:
    """Go from noise to patches in a few steps (arXiv:2010.02502, equations 12 and 16).

    Corrected, against MONAI's scheduler: each step goes to the level of noise that the next one
    begins at, whatever the number of steps.

    Parameters
    ----------
    predict
        The denoiser.
    schedule, prediction
        That it was trained with.
    start
        Noise at the last step.
    count
        How many steps are visited.
    eta
        0 is deterministic, 1 as random as DDPM.
    noise
        New noise, needed where ``eta`` is not 0.
    clip
        Largest size of voxels of estimated clean patches.

    Yields
    ------
    State
        Where the patches are after each step; the last one is without noise.

    Raises
    ------
    MrisslError
        If there are not so many steps.
    ValueError
        If there is no noise for ``eta``.
    """
    if eta and noise is None:
        raise ValueError("eta needs noise")
    visited = schedule.visited(count)
    noisy = start
    for now, after in zip(visited, (*visited[1:], -1), strict=True):
        a, s = float(schedule.signal[now]), float(schedule.noise[now])
        clean, found = estimates(predict(noisy, now), noisy, a, s, prediction)
        if clip is not None:
            clean = clean.clamp(-clip, clip)
        bar = 1.0 if after < 0 else float(schedule.alpha_bar[after])
        spread = eta * ((1 - bar) / s**2 * (1 - a**2 / bar)) ** 0.5
        noisy = bar**0.5 * clean + (1 - bar - spread**2) ** 0.5 * found
        if spread and noise is not None:
            noisy = noisy + spread * noise(now)
        yield State(after, noisy, clean)


def ddpm(
    predict: Predict,
    schedule: Schedule,
    prediction: Prediction,
    start: torch.Tensor,
    noise: Noise,
    clip: float | None = None,
) -> Iterator[State]:
    """Go from noise to patches through every step (arXiv:2006.11239, algorithm 2).

    Parameters and states are those of `ddim`.
    """
    noisy = start
    for now in range(schedule.steps - 1, -1, -1):
        a, s = float(schedule.signal[now]), float(schedule.noise[now])
        clean, _ = estimates(predict(noisy, now), noisy, a, s, prediction)
        if clip is not None:
            clean = clean.clamp(-clip, clip)
        of_clean, of_noisy, variance = schedule.posterior(now)
        noisy = of_clean * clean + of_noisy * noisy
        if now:
            noisy = noisy + variance**0.5 * noise(now)
        yield State(now - 1, noisy, clean)
