"""Networks on patches of a volume: cut, averaged at each map's own resolution, and brought back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.of_networks import without_contrast
from napari_mrissl.features.patch_grid import PatchGrid, Place
from napari_mrissl.slicing import box_kernels
from napari_mrissl.slicing.gather import number_type
from napari_mrissl.volumes import Volume

Image = NDArray[np.float32]
Maps = Callable[[torch.Tensor, Sequence[Place]], Sequence[torch.Tensor]]
"""Maps (N, C, z, y, x) of patches (N, 1, Z, Y, X) that begin at some places."""

_AT_ONCE = 4


def device() -> str:
    """Where networks run."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def ends_of(
    volume: Volume,
    percentiles: tuple[float, float] | None,
    window: tuple[float, float] | None,
) -> tuple[float, float]:
    """The values of a scan that become 0 and 1.

    Raises
    ------
    MrisslError
        If they are the same.
    """
    if window is not None:
        return window
    assert percentiles is not None  # noqa: S101 - sources choose one of both
    if volume.data.min() == volume.data.max():
        raise without_contrast(volume)
    return volume.value_range(*percentiles)


def resampled(grid: PatchGrid, ends: tuple[float, float]) -> Image:
    """(Z, Y, X) the volume on the grid, in [0, 1], as patches of a training are cut."""
    volume, (low, high) = grid.volume, ends
    number = number_type(volume.data.dtype)
    gain, origin = volume.slope / (high - low), (low - volume.intercept) / volume.slope
    image = np.empty(grid.shape, np.float32)
    lower, upper = (tuple(corner) for corner in grid.corners)
    box_kernels.cut(volume.data, lower, upper, number(origin), number(gain), image)
    return image


def averaged(
    grid: PatchGrid, image: Image, maps: Maps, tell: Callable[[float], None]
) -> list[torch.Tensor]:
    """Maps (C, z, y, x) of the whole grid, on the CPU: means over the patches that overlap.

    Each keeps its own resolution: a pyramid of them is an eighth of what it would be on the
    finest grid, or less.

    Parameters
    ----------
    grid
        Says where patches are.
    image
        (Z, Y, X) on it.
    maps
        Called with a few patches at a time.
    tell
        Is told the share that is done; what it raises ends the work.
    """
    places, side = grid.places, grid.side
    sums: list[torch.Tensor] = []
    counts: list[torch.Tensor] = []
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        patches = torch.from_numpy(np.stack([image[grid.box(at)] for at in some])[:, None])
        with torch.inference_mode():
            found = maps(patches.to(device()), some)
        if not sums:
            shapes = [[n * one.shape[2] // side for n in grid.shape] for one in found]
            sums = [torch.zeros(m.shape[1], *s) for m, s in zip(found, shapes, strict=True)]
            counts = [torch.zeros(*shape) for shape in shapes]
        for total, count, batch in zip(sums, counts, found, strict=True):
            cells = batch.shape[2]
            for at, one in zip(some, batch.float().cpu(), strict=True):
                z, y, x = (place * cells // side for place in at)
                box = np.s_[z : z + cells, y : y + cells, x : x + cells]
                total[:, *box] += one
                count[box] += 1
        tell((first + len(some)) / len(places))
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    if not all(bool(one.isfinite().all()) for one in means):
        raise MrisslError("the network answers with numbers that are not finite", where="weights")
    return means


def to_voxels(grid: PatchGrid, maps: torch.Tensor, out: Image) -> None:
    """Fill `out`, (C, S, A, R), from maps (C, z, y, x) of the grid, one channel at a time."""
    z, y, x = grid.mixes(grid.shape[0] // maps.shape[1])
    for channel, one in enumerate(maps.numpy()):
        fine = np.tensordot(z, one, (1, 0))
        fine = np.matmul(y, fine)
        out[channel] = np.matmul(fine, x.T)
