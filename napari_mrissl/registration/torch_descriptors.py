"""What is compared: MIND-SSC, a network's features, both, or grey values, averaged over nodes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_mrissl.features import filters
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.features.of_weights import settings_of
from napari_mrissl.features.source import source_for
from napari_mrissl.registration.prepared import Prepared
from napari_mrissl.registration.settings import RegistrationSettings

_PERCENTILES = (0.5, 99.5)
_SAMPLE = 50_000
"""Nodes of each scan that principal components are found from."""

Pools = dict[int, torch.Tensor]
"""Features (C, Z, Y, X) averaged over cubes of so many voxels."""


def descriptors(
    scan: Prepared,
    settings: RegistrationSettings,
    steps: tuple[int, ...],
    device: torch.device,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Pools:
    """The features of a prepared scan, averaged over cubes of the wanted sizes.

    A network's features have length 1 at each voxel, which is the range of MIND's (inferred: the
    code of arXiv:2411.02372 multiplies raw ones by 0.1 to the same end) and are 0 outside a
    mask, as there.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If the weights are unknown or the scan has no contrast.
    """
    blocks: list[Pools] = []
    for features in _blocks(scan, settings, device, progress, cancelled):
        blocks.append({step: functional.avg_pool3d(features, step) for step in set(steps)})
        del features
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    return {step: torch.cat([block[step] for block in blocks]).to(dtype) for step in set(steps)}


def reduced(fixed: Pools, moving: Pools, channels: int, finest: int) -> tuple[Pools, Pools]:
    """Both scans' features along their first common principal components.

    Directions are of length 1 and nothing is standardised, so squared distances are kept as far
    as so many numbers can; they are scaled so that means over channels are as before.
    """
    count = len(fixed[finest])
    if not 0 < channels < count:
        return fixed, moving
    sums = torch.zeros(count, dtype=torch.float64)
    products = torch.zeros((count, count), dtype=torch.float64)
    nodes = 0
    for pools in (fixed, moving):
        flat = pools[finest].flatten(1)
        # A copy of all scans' samples side by side would be the peak of a small registration.
        sample = flat[:, :: max(1, flat.shape[1] // _SAMPLE)].double().cpu()
        sums += sample.sum(1)
        products += sample @ sample.T
        nodes += sample.shape[1]
    means = sums / nodes
    values, vectors = torch.linalg.eigh(products / nodes - torch.outer(means, means))
    axes = vectors[:, values.argsort(descending=True)[:channels]].T * (channels / count) ** 0.5

    def project(pools: Pools) -> Pools:
        return {
            step: (axes.to(features) @ features.flatten(1)).view(-1, *features.shape[1:])
            for step, features in pools.items()
        }

    return project(fixed), project(moving)


def _blocks(
    scan: Prepared,
    settings: RegistrationSettings,
    device: torch.device,
    progress: Progress | None,
    cancelled: IsCancelled | None,
) -> Iterator[torch.Tensor]:
    if settings.features == "intensity":
        values = scan.image[scan.seen if scan.mask is None else scan.mask]
        low, high = np.percentile(values[:: max(1, values.size // 250_000)], _PERCENTILES)
        del values
        scaled = scan.image - np.float32(low)
        scaled /= np.float32(max(high - low, 1e-12))
        yield torch.from_numpy(np.clip(scaled, 0, 1, out=scaled)[None]).to(device)
    if settings.features in ("mind", "both"):
        radius, dilation = settings.mind_radius, settings.mind_dilation
        if device.type == "cpu":
            # Without a name, so that it is not kept while a network's are made.
            yield torch.from_numpy(
                filters.mind_ssc(scan.image, None, radius, dilation, cancelled=cancelled)
            )
        else:
            yield mind_ssc(torch.from_numpy(scan.image).to(device), radius, dilation)
    if settings.features in ("network", "both"):
        yield torch.from_numpy(_of_network(scan, settings, progress, cancelled)).to(device)


def _of_network(
    scan: Prepared,
    settings: RegistrationSettings,
    progress: Progress | None,
    cancelled: IsCancelled | None,
) -> NDArray[np.float32]:
    source = source_for(settings_of(settings.weights))
    volume = scan.as_volume()
    out = np.empty((len(source.channel_names()), *volume.shape), np.float32)
    source.compute_into(volume, out, progress, cancelled)
    if scan.mask is not None:
        out *= scan.mask
    return out


def mind_ssc(image: torch.Tensor, radius: int, dilation: int) -> torch.Tensor:
    """`filters.mind_ssc` in torch, on any device: (12, Z, Y, X) of an image (Z, Y, X).

    Lengths are in voxels.
    """
    around = _padded(image, dilation)

    def shifted(shift: torch.Tensor) -> torch.Tensor:
        for axis, (step, side) in enumerate(zip(shift.tolist(), image.shape, strict=True)):
            places[axis] = slice(dilation + step, dilation + step + side)
        return around[tuple(places)]

    places = [slice(None)] * 3
    box = 2 * radius + 1
    distances = []
    for one, other in _pairs(dilation):
        squared = _padded((shifted(one) - shifted(other)).square_(), radius)
        distances.append(functional.avg_pool3d(squared[None], box, stride=1)[0])
    stacked = torch.stack(distances)
    stacked -= stacked.amin(0)
    mean = stacked.mean(0)
    middle = float(mean.mean()) or 1.0
    return stacked.div_(mean.clamp_(1e-3 * middle, 1e3 * middle)).neg_().exp_()


def _padded(image: torch.Tensor, width: int) -> torch.Tensor:
    return functional.pad(image[None, None], (width,) * 6, mode="replicate")[0, 0]


def _pairs(reach: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    units = [sign * reach * torch.eye(3, dtype=torch.long)[a] for a in range(3) for sign in (-1, 1)]
    return [(one, other) for one, other in combinations(units, 2) if not (one * other).any()]
