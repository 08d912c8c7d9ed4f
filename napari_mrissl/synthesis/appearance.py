"""How labels become grey values: the Gaussian mixture and the smooth noise of one view.

The first half of step 2 of the reference (arXiv:2411.02372, ``step2_generate_views.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.synthesis.draws import generator, voxel_key
from napari_mrissl.synthesis.noise import draw_fields
from napari_mrissl.synthesis.settings import AppearanceSettings

LABELS = 256
"""As many as an 8-bit label map can have."""


@dataclass(frozen=True, eq=False)
class AppearanceDraw:
    """The grey values of one view.

    Attributes
    ----------
    means, stds
        (256,) float32 by label; only those of labels that occur are used.
    skip_lowest
        Whether the lowest label of the map stays black.
    key
        Of the noise per voxel.
    noise_stds
        Standard deviation of the smooth noise, scale after scale.
    coarse
        (nodes,) the smooth noise; not part of the record, the seed gives it.
    """

    means: NDArray[np.float32]
    stds: NDArray[np.float32]
    skip_lowest: bool
    key: int
    noise_stds: tuple[float, ...]
    coarse: NDArray[np.float32]

    def tables(self, lowest: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation by label, for a map with this lowest label."""
        means, stds = self.means.copy(), self.stds.copy()
        if self.skip_lowest:
            means[lowest] = stds[lowest] = 0
        return means, stds

    def record(self, lowest: int, highest: int) -> dict[str, object]:
        """The drawn numbers, as plain data, for a map with these labels."""
        means, stds = self.tables(lowest)
        return {
            "means": [float(value) for value in means[: highest + 1]],
            "stds": [float(value) for value in stds[: highest + 1]],
            "skip_lowest": self.skip_lowest,
            "key": self.key,
            "noise_stds": self.noise_stds,
        }


def draw_appearance(
    seed: int, index: int, view: int, settings: AppearanceSettings
) -> AppearanceDraw:
    """Draw the grey values of a view; nothing in it depends on the other view."""
    rng = generator(seed, index, f"view {view}, mixture")
    means = rng.uniform(*settings.mean, LABELS).astype(np.float32)
    stds = rng.uniform(*settings.std, LABELS).astype(np.float32)
    skip = bool(rng.random() < settings.background_skip)
    rng = generator(seed, index, f"view {view}, noise")
    noise_stds, coarse = draw_fields(rng, settings.noise_scales, settings.noise_std)
    key = voxel_key(seed, index, f"view {view}")
    return AppearanceDraw(means, stds, skip, key, noise_stds, coarse[0])
