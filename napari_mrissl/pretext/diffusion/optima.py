"""What denoisers are worth that know only moments of the patches: the floors of the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext.diffusion.schedule import Floats, Prediction, Schedule, optimum


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean, variance and power spectrum of patches.

    Attributes
    ----------
    mean, variance
        Over all voxels.
    spectrum
        (Z, Y, X) power at each frequency; its mean is the variance.
    """

    mean: float
    variance: float
    spectrum: Floats

    @classmethod
    def of(cls, patches: NDArray[np.floating]) -> Moments:
        """Those of patches (N, Z, Y, X)."""
        values = np.asarray(patches, np.float64)
        mean = float(values.mean())
        waves = np.fft.fftn(values - mean, axes=(1, 2, 3), norm="ortho")
        return cls(mean, float(values.var()), np.asarray((np.abs(waves) ** 2).mean(axis=0)))

    def voxelwise(self, schedule: Schedule, prediction: Prediction) -> Floats:
        """(T,) least error of a denoiser that takes each voxel by itself, as a Gaussian."""
        return optimum(self.variance, schedule.signal, schedule.noise, prediction)

    def wiener(self, schedule: Schedule, prediction: Prediction, step: int) -> float:
        """Least error of a linear filter at a step: each frequency by itself.

        Patches are taken to go on periodically; the filter of their true covariance, which
        knows of borders, can be a little better.
        """
        a, s = schedule.signal[step], schedule.noise[step]
        return float(optimum(self.spectrum, a, s, prediction).mean())
