"""What denoisers are worth that know only moments of the patches: the floors of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.noise_schedule import Floats, Prediction, Schedule, optimum


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean, variance and power spectrum of patches.

    Attributes
    ----------
    mean, variance
        Over all voxels.
    power
        (K,) mean power of the frequencies whose length is about k cycles in a patch.
    share
        (K,) how many of all frequencies these are; the mean of the power by it is the variance.
    """

    mean: float
    variance: float
    power: Floats
    share: Floats

    @classmethod
    def of(cls, patches: NDArray[np.floating]) -> Moments:
        """Those of patches (N, Z, Y, X)."""
        values = np.asarray(patches, np.float64)
        mean = float(values.mean())
        waves = np.fft.fftn(values - mean, axes=(1, 2, 3), norm="ortho")
        lengths = frequencies(values.shape[1:])
        counts = np.bincount(lengths.ravel())
        sums = np.bincount(lengths.ravel(), (np.abs(waves) ** 2).mean(axis=0).ravel())
        return cls(mean, float(values.var()), sums / counts, counts / lengths.size)

    def voxelwise(self, schedule: Schedule, prediction: Prediction) -> Floats:
        """(T,) least error of a denoiser that takes each voxel by itself, as a Gaussian."""
        return optimum(self.variance, schedule.signal, schedule.noise, prediction)

    def wiener(self, schedule: Schedule, prediction: Prediction, step: int) -> float:
        """Least error of a linear filter at a step that is the same in all directions.

        Patches are taken to go on periodically; the filter of their true covariance, which
        knows of borders and directions, can be a little better.
        """
        a, s = schedule.signal[step], schedule.noise[step]
        return float(optimum(self.power, a, s, prediction) @ self.share)

    def plain(self) -> dict[str, Any]:
        """As plain data, for cards; `from_plain` takes it back."""
        return {
            "mean": self.mean,
            "variance": self.variance,
            "power": self.power.tolist(),
            "share": self.share.tolist(),
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Moments:
        """The moments of what `plain` gave.

        Raises
        ------
        MrisslError
            If fields are missing or of another form.
        """
        try:
            if not isinstance(plain, Mapping):
                raise TypeError
            power, share = (np.array(plain[name], np.float64) for name in ("power", "share"))
            found = cls(float(plain["mean"]), float(plain["variance"]), power, share)
            if power.ndim != 1 or power.shape != share.shape or not power.size:
                raise ValueError
            known = np.concatenate([[found.mean, found.variance], power, share])
            if not np.isfinite(known).all() or (known[1:] < 0).any():
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise MrisslError(
                "has no moments of the patches", where="card of the weights"
            ) from error
        return found


def frequencies(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """(Z, Y, X) lengths of the frequencies of a patch, in whole cycles of its sides."""
    lines = [np.fft.fftfreq(side) * side for side in shape]
    squares = sum(one**2 for one in np.meshgrid(*lines, indexing="ij"))
    lengths: NDArray[np.int64] = np.rint(np.sqrt(squares)).astype(np.int64)
    return lengths
