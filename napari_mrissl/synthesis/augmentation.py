"""The augmentation chain of one view: what acts, and how strongly.

The second half of step 2 of the reference (arXiv:2411.02372). The formulas are those of
MONAI 1.6: its transforms are the reference's, with MONAI's defaults where it lists none
(degree 3 of the bias field; a second sharpening blur between 0.5 and the first).
Corrected, as upstream's later code: coarse grids take the nearest voxel by its centre.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from napari_mrissl.synthesis.draws import generator
from napari_mrissl.synthesis.settings import AugmentationSettings

Triple = tuple[float, float, float]
BIAS_COEFFICIENTS = 20
"""Products of Legendre polynomials of total degree up to 3 in three variables."""

STAGES = ("bias", "spike", "contrast", "smooth", "gibbs", "sharpen", "low_resolution")


@dataclass(frozen=True)
class Spike:
    """Where in (shifted) k-space, and how bright."""

    location: tuple[int, int, int]
    intensity: float


@dataclass(frozen=True)
class Sharpening:
    """Widths of the two blurs in voxels per axis, and the weight of their difference."""

    sigma: Triple
    second: Triple
    alpha: float


@dataclass(frozen=True)
class AugmentationDraw:
    """What each stage does to one view; None where it does nothing."""

    bias: tuple[float, ...] | None
    spike: Spike | None
    contrast: float | None
    smooth: Triple | None
    gibbs: float | None
    sharpen: Sharpening | None
    low_resolution: float | None

    def record(self) -> dict[str, object]:
        """The drawn numbers, as plain data."""
        return asdict(self)


def draw_augmentation(
    seed: int, index: int, view: int, settings: AugmentationSettings, side: int
) -> AugmentationDraw:
    """Draw what happens to a view; each stage has its own generator.

    So a changed range of one stage leaves all others as they were.
    """

    def acts(stage: str, probability: float) -> np.random.Generator | None:
        rng = generator(seed, index, f"view {view}, {stage}")
        return rng if rng.random() < probability else None

    bias = spike = contrast = smooth = gibbs = sharpen = low_resolution = None
    if rng := acts("bias", settings.bias.probability):
        drawn = rng.uniform(*settings.bias.coefficients, BIAS_COEFFICIENTS)
        bias = tuple(float(value) for value in drawn)
    if rng := acts("spike", settings.spike.probability):
        z, y, x = (int(place) for place in rng.integers(0, side, 3))
        spike = Spike((z, y, x), float(rng.uniform(*settings.spike.intensity)))
    if rng := acts("contrast", settings.contrast.probability):
        contrast = float(rng.uniform(*settings.contrast.gamma))
    if rng := acts("smooth", settings.smooth.probability):
        smooth = _triple(rng, settings.smooth.sigma)
    if rng := acts("gibbs", settings.gibbs.probability):
        gibbs = float(rng.uniform(*settings.gibbs.alpha))
    if rng := acts("sharpen", settings.sharpen.probability):
        first = _triple(rng, settings.sharpen.sigma)
        least = settings.sharpen.second_sigma
        a, b, c = (float(rng.uniform(min(least, s), max(least, s))) for s in first)
        sharpen = Sharpening(first, (a, b, c), float(rng.uniform(*settings.sharpen.alpha)))
    if rng := acts("low resolution", settings.low_resolution.probability):
        low_resolution = float(rng.uniform(*settings.low_resolution.zoom))
    return AugmentationDraw(bias, spike, contrast, smooth, gibbs, sharpen, low_resolution)


def _triple(rng: np.random.Generator, limits: tuple[float, float]) -> Triple:
    a, b, c = (float(value) for value in rng.uniform(*limits, 3))
    return a, b, c
