"""A whole scan seen through overlapping patches, and where these do not agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.pretext import crops
from napari_mrissl.pretext.diffusion.inspection import Inspector
from napari_mrissl.pretext.diffusion.sampling import estimates, guided
from napari_mrissl.pretext.lattices import Lattice
from napari_mrissl.pretext.observable.sampling import edges_of
from napari_mrissl.pretext.subjects import Scan

Singles = NDArray[np.float32]
Progress = Callable[[float], object]
"""Is told the share that is done; what it raises ends the work."""

_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Seams:
    """What overlapping patches say of the voxels of a scan.

    Attributes
    ----------
    lattice
        Of the voxels, as large as those of patches.
    clean, mean
        (S, A, R) the scan, and the average of what is seen behind its noise; 0 to 1.
    count
        (S, A, R) patches that cover a voxel.
    variance
        (S, A, R) between what they say; 0 where there is one.
    """

    lattice: Lattice
    clean: Singles
    mean: Singles
    count: NDArray[np.uint8]
    variance: Singles

    @property
    def numbers(self) -> dict[str, float]:
        """Root mean squares: ``between`` patches where they overlap, and the ``error`` of means."""
        several = self.count > 1
        between = float(self.variance[several].mean()) if several.any() else 0.0
        error = float(((self.mean - self.clean) ** 2).mean())
        return {"between": between**0.5, "error": error**0.5, "most": float(self.count.max())}


def seams(
    inspector: Inspector,
    scan: Scan,
    step: int,
    guide: str,
    seed: int,
    parts: int = 2,
    progress: Progress | None = None,
) -> Seams:
    """See a scan behind the noise of a step, patch by patch.

    The noise belongs to the voxels of the scan, not to patches: where patches do not agree, it
    is because of what else they see, and what they are told.

    Parameters
    ----------
    inspector, scan
        The network and what it is shown.
    step
        Of the noise.
    guide
        ``true`` tells each patch its coordinates, ``off`` none.
    seed
        Of the noise.
    parts
        A patch begins each so many parts of a patch: 2 overlap by half.
    progress
        Is told the share that is done.
    """
    side = inspector.settings.patch.side
    lattice = Lattice.over(scan.volume, edges_of(scan, inspector.task.view)[::-1] / side)
    clean = np.empty(lattice.shape, np.float32)
    steps = lattice.steps_mm / scan.volume.spacing
    middle = (np.array(scan.volume.shape) - 1) / 2
    half = np.array(lattice.shape) * steps / 2
    crops.cut_box(scan, tuple(middle - half), tuple(middle + half), clean)
    noise = np.random.default_rng(seed).standard_normal(lattice.shape, np.float32)
    sums, squares = np.zeros((2, *lattice.shape))
    count = np.zeros(lattice.shape, np.uint8)
    boxes = _boxes(lattice.shape, side, max(1, side // parts))
    for first in range(0, len(boxes), _AT_ONCE):
        some = boxes[first : first + _AT_ONCE]
        seen = _seen(inspector, clean, noise, some, step, guide)
        for box, one in zip(some, seen, strict=True):
            sums[box] += one
            squares[box] += one.astype(np.float64) ** 2
            count[box] += 1
        if progress is not None:
            progress(min(1.0, (first + _AT_ONCE) / len(boxes)))
    mean = sums / count
    variance = np.maximum(squares / count - mean**2, 0)
    return Seams(lattice, clean, mean.astype(np.float32), count, variance.astype(np.float32))


def _seen(
    inspector: Inspector,
    clean: Singles,
    noise: Singles,
    boxes: list[tuple[slice, slice, slice]],
    step: int,
    guide: str,
) -> Singles:
    like = next(inspector.network.parameters())
    patches, noises = (
        torch.from_numpy(np.stack([values[box] for box in boxes])[:, None]).to(like)
        for values in (2 * clean - 1, noise)
    )
    a, s = float(inspector.schedule.signal[step]), float(inspector.schedule.noise[step])
    noisy = a * patches + s * noises
    where = None if guide == "off" else inspector.network.where(patches)
    answer = guided(inspector.network, where)(noisy, step)
    seen, _ = estimates(answer, noisy, a, s, inspector.settings.prediction)
    found: Singles = ((seen.clamp(-1, 1)[:, 0] + 1) / 2).float().cpu().numpy()
    return found


def _boxes(shape: tuple[int, int, int], side: int, stride: int) -> list[tuple[slice, slice, slice]]:
    """Boxes of this side that cover a grid; the last along each axis end with it."""
    starts = [sorted({*range(0, whole - side, stride), max(0, whole - side)}) for whole in shape]
    return [
        (slice(s, s + side), slice(a, a + side), slice(r, r + side))
        for s in starts[0]
        for a in starts[1]
        for r in starts[2]
    ]
