"""Settings and subjects small enough for quick tests of slice navigation."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage

from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.pretext.navigation.settings import (
    DynamicsSettings,
    FlightSettings,
    TokenizerSettings,
)
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.volumes import Volume

SHAPE = TokenizerShape(size=32, patch=8, width=16, depth=1, decoder=1, heads=2, latent=8)
DYNAMICS = DynamicsShape(width=16, depth=1, heads=2, context=8)


def tokenizer_settings(**flights: Any) -> TokenizerSettings:
    """Of a small tokenizer, with settings of flights."""
    return TokenizerSettings(backbone=SHAPE, flights=FlightSettings(**{"frames": 3, **flights}))


def dynamics_settings(objective: Any = "l1", **flights: Any) -> DynamicsSettings:
    """Of small dynamics, with settings of flights."""
    chosen = FlightSettings(**{"frames": 4, **flights})
    return DynamicsSettings(backbone=SHAPE, dynamics=DYNAMICS, flights=chosen, objective=objective)


def small_run(method: str, **task: object) -> RunSettings:
    """A run that is small enough to be compared between processes."""
    settings = tokenizer_settings() if method == "tokenizer" else dynamics_settings()
    return RunSettings.model_validate(
        {
            "method": method,
            "task": {**settings.model_dump(mode="json"), **task},
            "data": {"workers": 0},
            "optimisation": {"batch": 4, "learning_rate": 1e-3, "warmup": 4},
            "device": "cpu",
        }
    )


class Smooth:
    """Scans of smooth noise, 80 mm along each side."""

    def __init__(self, first: int = 0, count: int = 3) -> None:
        self.numbers = range(first, first + count)

    def __len__(self) -> int:
        return len(self.numbers)

    def scan(self, number: int) -> Scan:
        """The scan of a person."""
        return smooth(self.numbers[number])


@cache
def smooth(who: int) -> Scan:
    """One of them; turned a little against the world, with voxels of three sizes."""
    rng = np.random.default_rng(who)
    grey = ndimage.gaussian_filter(rng.standard_normal((40, 36, 44)), 4)
    grey = (grey - grey.min()) / np.ptp(grey)
    affine = np.diag([2.0, 2.2, 1.8, 1.0])
    affine[:3, :3] = ndimage_rotation(0.1) @ affine[:3, :3]
    affine[:3, 3] = rng.normal(0, 5, 3)
    volume = Volume.from_stored((grey * 1000).astype(np.int16), affine)
    return Scan(volume, 100.0, 900.0, f"subject-{who:03d}", volume.identity)


def ndimage_rotation(angle: float) -> np.ndarray:
    """About the third axis, radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
