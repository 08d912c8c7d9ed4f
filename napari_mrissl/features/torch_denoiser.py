"""The pass of a denoiser over a volume: noised once, in patches, level by level to the voxels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.features import kernels
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.patch_grid import PatchGrid, Place
from napari_mrissl.features.torch_patches import averaged, device, ends_of, resampled, to_voxels
from napari_mrissl.networks.guided_denoiser import GuidedDenoiser
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.features.denoiser import DenoiserFeatures

Image = NDArray[np.float32]

_PASS_PART = 0.9


def compute_into(
    source: DenoiserFeatures,
    volume: Volume,
    out: Image,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> None:
    """Fill `out`; see `DenoiserFeatures.compute_into`."""

    def tell(part: float) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(part, "network")

    first = 0
    grid = source.grid(volume)
    for maps in pyramid(source, grid, lambda part: tell(_PASS_PART * part)):
        to_voxels(grid, maps, out[first : first + len(maps)])
        first += len(maps)
        tell(_PASS_PART + (1 - _PASS_PART) * first / len(out))
    if source.settings.normalise != "none":
        standardised = source.settings.normalise == "standardised"
        over_rows(
            lambda begin, end: kernels.normalise_channels(out, standardised, begin, end),
            out.shape[1],
            out.size,
        )


def pyramid(
    source: DenoiserFeatures, grid: PatchGrid, tell: Callable[[float], None]
) -> list[torch.Tensor]:
    """Maps (C, z, y, x) of the decoder's levels of the source, each at its own resolution.

    Parameters
    ----------
    source
        Says which, and how much noise.
    grid
        Of the volume.
    tell
        Is told the share that is done; what it raises ends the work.
    """
    settings, schedule = source.settings, source.card.schedule
    ends = ends_of(grid.volume, settings.percentiles, settings.window)
    clean = 2 * resampled(grid, ends) - 1
    network = GuidedDenoiser.open(source.file.path, device(), settings.untrained)
    a, s = (float(one[source.step]) for one in (schedule.signal, schedule.noise))
    noise = shared_noise(grid, settings.noise_seed)

    def maps(patches: torch.Tensor, places: Sequence[Place]) -> Sequence[torch.Tensor]:
        own = np.stack([noise[grid.box(place)] for place in places])[:, None]
        noisy = a * patches + s * torch.from_numpy(own).to(patches)
        where = network.where(patches) if settings.coordinates == "true" else None
        steps = torch.full((len(patches),), source.step, device=patches.device)
        decoder = network.denoised(noisy, steps, where).decoder
        return [decoder[level] for level in source.levels]

    return averaged(grid, clean, maps, tell)


def shared_noise(grid: PatchGrid, seed: int) -> Image:
    """(Z, Y, X) noise of a grid: that of one patch, over and over, so that all scans share it."""
    side = grid.side
    patch = np.random.default_rng(seed).standard_normal((side, side, side), np.float32)
    found: Image = patch[np.ix_(*(np.arange(length) % side for length in grid.shape))]
    return found
