"""How much noise there is at each step, and what follows from it; no torch.

As in DDPM (arXiv:2006.11239), with the cosine of arXiv:2102.09672: x_t = a x_0 + s e with
a^2 = alpha_bar and s^2 = 1 - alpha_bar. MONAI's schedulers have the same tables, in single
precision; theirs visits steps that are not those that its DDIM goes to where T / n is no whole
number, and draws noise by the global state (checked for 1.6). Tables here are in double
precision, and a user interface can say what a step's SNR is without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError

Floats = NDArray[np.float64]
Kind = Literal["linear", "scaled_linear", "cosine"]
Prediction = Literal["epsilon", "v"]

_FIRST, _LAST = 1e-4, 2e-2
_OFFSET = 8e-3
_MOST = 0.999


@dataclass(frozen=True)
class Schedule:
    """The noise of a diffusion.

    Attributes
    ----------
    kind
        How variances rise.
    steps
        From 0, which is nearly clean, to ``steps`` - 1, nearly noise.
    """

    kind: Kind = "linear"
    steps: int = 1000

    @cached_property
    def betas(self) -> Floats:
        """(T,) variance that each step adds."""
        if self.kind == "linear":
            return np.linspace(_FIRST, _LAST, self.steps)
        if self.kind == "scaled_linear":
            return np.asarray(np.linspace(_FIRST**0.5, _LAST**0.5, self.steps) ** 2)
        at = np.linspace(0, 1, self.steps + 1)
        left = np.cos((at + _OFFSET) / (1 + _OFFSET) * np.pi / 2) ** 2
        return np.asarray(np.clip(1 - left[1:] / left[:-1], 0, _MOST))

    @cached_property
    def alpha_bar(self) -> Floats:
        """(T,) share of the clean patch's variance that is left."""
        return np.asarray(np.cumprod(1 - self.betas), np.float64)

    @cached_property
    def signal(self) -> Floats:
        """(T,) a: what the clean patch is multiplied with."""
        return np.asarray(np.sqrt(self.alpha_bar))

    @cached_property
    def noise(self) -> Floats:
        """(T,) s: what the noise is multiplied with."""
        return np.asarray(np.sqrt(1 - self.alpha_bar))

    @cached_property
    def snr_db(self) -> Floats:
        """(T,) 10 log10(a^2 / s^2), of patches with a variance of 1; never rises."""
        return np.asarray(10 * np.log10(self.alpha_bar / (1 - self.alpha_bar)))

    def step_of(self, snr_db: float) -> int:
        """The step whose SNR is nearest: what is comparable between schedules."""
        return int(np.abs(self.snr_db - snr_db).argmin())

    def visited(self, count: int) -> tuple[int, ...]:
        """So many steps from the noisiest to the cleanest, evenly spaced.

        Raises
        ------
        MrisslError
            If there are not so many.
        """
        if not 1 <= count <= self.steps:
            raise MrisslError(f"{count} steps", expected=f"1 to {self.steps}")
        return tuple(int(step) for step in np.linspace(self.steps - 1, 0, count).round())

    def posterior(self, step: int) -> tuple[float, float, float]:
        """Of x at the step before, given x_0 and x_t: their factors in its mean, its variance.

        Equations 6 and 7 of arXiv:2006.11239; at step 0 the mean is x_0, without variance.
        """
        before = 1.0 if step == 0 else float(self.alpha_bar[step - 1])
        bar, beta = float(self.alpha_bar[step]), float(self.betas[step])
        of_clean = before**0.5 * beta / (1 - bar)
        of_noisy = (1 - beta) ** 0.5 * (1 - before) / (1 - bar)
        return of_clean, of_noisy, (1 - before) / (1 - bar) * beta


def optimum(
    variance: ArrayLike, signal: ArrayLike, noise: ArrayLike, prediction: Prediction
) -> Floats:
    """Least squared error of a denoiser of Gaussian numbers, by their variance.

    Closed form: x_t = a x + s e with x of this variance leaves a^2 var / (a^2 var + s^2) of the
    noise unknown, and var / (a^2 var + s^2) of the velocity a e - s x.

    Parameters
    ----------
    variance
        Of a voxel, or of each frequency of a spectrum, whose mean then is the Wiener optimum.
    signal, noise
        a and s; they are broadcast against the variance.
    prediction
        What is predicted.
    """
    known = np.asarray(variance, np.float64)
    a2, s2 = (np.asarray(one, np.float64) ** 2 for one in (signal, noise))
    left = known / (a2 * known + s2)
    return np.asarray(a2 * left if prediction == "epsilon" else left)
