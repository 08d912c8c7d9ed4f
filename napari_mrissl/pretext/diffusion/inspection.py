"""A denoiser at work on patches of a scan, for inspector and command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.pretext.diffusion.network import DiffusionNetwork
from napari_mrissl.pretext.diffusion.optima import Moments
from napari_mrissl.pretext.diffusion.sampling import State, ddim, guided
from napari_mrissl.pretext.diffusion.settings import INFO, DiffusionSettings
from napari_mrissl.pretext.diffusion.task import Diffusion
from napari_mrissl.pretext.observable.views import Views, cut
from napari_mrissl.pretext.opening import opened
from napari_mrissl.pretext.subjects import Scan

Progress = Callable[[float], object]
"""Is told the share that is done; what it raises ends the work."""

RATIOS_DB = (15.0, 7.5, 0.0, -7.5, -15.0)
"""Signal-to-noise ratios that losses are measured at, of patches with a variance of 1."""

GUIDES = ("true", "off", "shifted", "shuffled")
"""What a denoiser is told: the patch's coordinates, none, such of another place of the body, or
those of another patch."""

_AT_ONCE = 8
_SHIFT = 0.5
_CLIP = 1.0


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of a scan, the noise that is put on each, and their coordinates.

    Attributes
    ----------
    views
        Where each of them is.
    clean, noise
        (N, 1, Z, Y, X); clean ones in [-1, 1].
    where
        (N, 3, Z, Y, X) in [-1, 1]; None of a network without guidance.
    """

    views: tuple[Views, ...]
    clean: torch.Tensor
    noise: torch.Tensor
    where: torch.Tensor | None


class Inspector:
    """A network with its settings, which takes noise out of patches of any scan.

    Parameters
    ----------
    settings
        Of the task.
    network
        Trained; it is put into evaluation mode.
    card
        Of its weights: ``preprocessing``, and ``moments`` of the patches of its training.
    """

    def __init__(
        self, settings: DiffusionSettings, network: DiffusionNetwork, card: dict[str, Any]
    ) -> None:
        self.settings = settings
        self.network = network.eval()
        self.card = card
        self.task = Diffusion(settings)
        self.schedule = self.task.schedule

    @classmethod
    def open(cls, source: str | Path, device: str = "cpu") -> Inspector:
        """The network of a run's folder, or of a file of weights.

        Raises
        ------
        MrisslError
            If there are no weights yet, or they are of another method.
        """
        return cls(*opened(source, INFO, DiffusionSettings, DiffusionNetwork, device))

    @property
    def guides(self) -> tuple[str, ...]:
        """What this network can be told."""
        return GUIDES if self.settings.guided else ("off",)

    @property
    def moments(self) -> Moments:
        """Of the patches of the training.

        Raises
        ------
        MrisslError
            If the card has none.
        """
        return Moments.from_plain(self.card.get("moments"))

    def draw(self, scan: Scan, count: int, seed: int) -> Patches:
        """Draw patches of a scan, as in training but as they are, and noise."""
        rng = np.random.default_rng(seed)
        views = tuple(self.task.draw(rng, scan) for _ in range(count))
        images = np.stack([2 * cut(scan, one) - 1 for one in views])
        like = next(self.network.parameters())
        clean = torch.from_numpy(images).to(like)
        noise = torch.from_numpy(rng.standard_normal(images.shape, np.float32)).to(like)
        where = None
        if self.settings.guided:
            parts = (clean[first : first + _AT_ONCE] for first in range(0, count, _AT_ONCE))
            found = [self.network.where(part) for part in parts]
            where = torch.cat([one for one in found if one is not None])
        return Patches(views, clean, noise, where)

    def told(self, patches: Patches, guide: str) -> torch.Tensor | None:
        """(N, 3, Z, Y, X) coordinates that a guide of `GUIDES` stands for."""
        if patches.where is None or guide == "off":
            return None
        if guide == "shuffled":
            return patches.where.roll(1, 0)
        if guide == "shifted":
            # A quarter of the range along each axis, past the middle: still places of a body.
            middles = patches.where.mean((2, 3, 4), keepdim=True)
            return patches.where - _SHIFT * torch.where(middles < 0, -1.0, 1.0)
        return patches.where

    def losses(self, patches: Patches, ratio_db: float) -> dict[str, float]:
        """Mean squared errors at a signal-to-noise ratio, by guide, with the same noise."""
        step = self.schedule.step_of(ratio_db)
        a, s = float(self.schedule.signal[step]), float(self.schedule.noise[step])
        noisy = a * patches.clean + s * patches.noise
        epsilon = self.settings.prediction == "epsilon"
        wanted = patches.noise if epsilon else a * patches.noise - s * patches.clean
        found = {}
        for guide in self.guides:
            where = self.told(patches, guide)
            errors = []
            for first in range(0, len(noisy), _AT_ONCE):
                some = slice(first, first + _AT_ONCE)
                answer = guided(self.network, None if where is None else where[some])
                errors.append((answer(noisy[some], step) - wanted[some]).square().cpu().double())
            found[guide] = float(torch.cat(errors).mean())
        return found

    def drawn(
        self, patches: Patches, guide: str, count: int, strength: float = 1.0
    ) -> tuple[State, ...]:
        """Patches out of the noise of `patches`, by DDIM in so many steps, all states of it.

        Raises
        ------
        MrisslError
            If there are not so many steps.
        """
        predict = guided(self.network, self.told(patches, guide), strength)
        prediction = self.settings.prediction
        return tuple(ddim(predict, self.schedule, prediction, patches.noise, count, clip=_CLIP))

    def optima(self, ratio_db: float) -> Mapping[str, float]:
        """Floors of the loss at a ratio: voxel by voxel, and of a linear filter."""
        step = self.schedule.step_of(ratio_db)
        moments, prediction = self.moments, self.settings.prediction
        return {
            "voxelwise": float(moments.voxelwise(self.schedule, prediction)[step]),
            "wiener": moments.wiener(self.schedule, prediction, step),
        }


def middle(patches: torch.Tensor) -> NDArray[np.float32]:
    """(N, Y, X) the middle slices of patches (N, 1, Z, Y, X), in [0, 1]."""
    slices = patches[:, 0, patches.shape[2] // 2]
    found: NDArray[np.float32] = ((slices.float() + 1) / 2).clamp(0, 1).cpu().numpy()
    return found
