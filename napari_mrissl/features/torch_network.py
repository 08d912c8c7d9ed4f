"""The pass of a network over a volume: prepared, padded, in windows where memory asks, cropped."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import filters
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.networks.fast_unet import FastUNet
from napari_mrissl.networks.inference_plan import Shape, mirror
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import load_unet
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.features.network import NetworkFeatures, NetworkSettings

Image = NDArray[np.float32]

_SHARE = 0.7
"""How much of the memory that is free a pass may take."""

_KEPT_BYTES = 256 << 20
"""Buffers up to this size stay for the next volume."""

_SIGMA = 0.25
"""Standard deviation of a window's weights over its side, as in the source's inference."""

_PASS_PART = 0.95
"""How much of the work the network is, where its result is worked on afterwards."""

_SLAB = 16
"""Slices finished at once."""

_ready: tuple[str, FastUNet] | None = None
_busy = threading.Lock()


class _Box(NamedTuple):
    """Where a volume lies in its padded copy."""

    start: Shape
    shape: Shape


def compute_into(
    source: NetworkFeatures,
    volume: Volume,
    out: Image,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> None:
    """Fill `out`, (C, S, A, R) float32, with the features; one volume at a time.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If all voxels have the same value, or the network cannot be had.
    """
    image, box = _padded(_prepared(volume, source.settings, cancelled), source)
    while not _busy.acquire(timeout=0.05):
        stop_if(cancelled)
    try:
        fast = _network(source)

        def check(part: float) -> None:
            stop_if(cancelled)
            if progress is not None:
                progress(_PASS_PART * part, "network")

        side = source.plan.window_side(volume.shape, _available(fast))
        if source.plan.level == 0:
            _fill(fast, image, side, out, box, source.settings.normalise, check)
        else:
            coarse = np.empty((source.plan.channels, *_halved(image.shape, fast)), np.float32)
            whole = _Box((0, 0, 0), _halved(image.shape, fast))
            _fill(fast, image, side, coarse, whole, "none", check)
            _enlarge(coarse, out, box, source, cancelled)
        if fast.kept_bytes > _KEPT_BYTES or fast.device.type != "cpu":
            fast.release()
    finally:
        _busy.release()
    if progress is not None:
        progress(1.0, "network")


def normalised(planes: torch.Tensor, how: str) -> torch.Tensor:
    """Features (..., C), the channels of each voxel brought to length 1, or to mean 0 and sd 1."""
    if how == "l2":
        return functional.normalize(planes.float(), dim=-1, eps=1e-6)
    if how == "standardised":
        planes = planes.float()
        planes = planes - planes.mean(dim=-1, keepdim=True)
        return planes / planes.square().mean(dim=-1, keepdim=True).sqrt().clamp_min(1e-6)
    return planes


def _prepared(volume: Volume, settings: NetworkSettings, cancelled: IsCancelled | None) -> Image:
    """The volume as the network wants it: the settings' values at 0 and 1."""
    if settings.window is not None:
        image = filters.scaled(volume, settings.window, (0.0, 1.0), cancelled)
    else:
        ends = volume.value_range(*settings.percentiles)
        image = filters.scaled(volume, ends, (-np.inf, np.inf), cancelled)
    if image.min() == image.max():
        raise MrisslError(
            "all voxels have the same value",
            where=volume.name,
            expected="a scan with some contrast",
            remedy="choose another scan" if settings.window is None else "choose another window",
        )
    return image


def _padded(image: Image, source: NetworkFeatures) -> tuple[Image, _Box]:
    """The image with mirrored margins, evenly at both ends, and where it is in it."""
    shape = (image.shape[0], image.shape[1], image.shape[2])
    sides = source.plan.padded(shape)
    indices, starts = zip(*map(mirror, shape, sides), strict=True)
    padded = image if shape == sides else np.ascontiguousarray(image[np.ix_(*indices)])
    return padded, _Box((starts[0], starts[1], starts[2]), shape)


def _network(source: NetworkFeatures) -> FastUNet:
    """The network, that of the last call where it is the same."""
    global _ready
    settings = source.settings
    wanted = settings.model_dump(include={"weights", "tap", "precision", "seed", "width", "depth"})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.precision == "bfloat16" and device == "cpu":
        raise MrisslError(
            "bfloat16 is slower and less exact on a CPU",
            where="precision",
            expected="a GPU",
            remedy="choose float32",
        )
    if _ready is None or _ready[0] != f"{device} {wanted}":
        _ready = None
        size = UNetSize(1, source.plan.size.out_channels, settings.width, settings.depth)
        network = load_unet(source.file, settings.seed, size=size)
        dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
        _ready = f"{device} {wanted}", FastUNet(network, settings.tap, device, dtype)
    return _ready[1]


def _available(fast: FastUNet) -> int:
    """Bytes that a pass may take."""
    if fast.device.type == "cuda":
        return int(_SHARE * torch.cuda.mem_get_info(fast.device)[0])
    return int(_SHARE * psutil.virtual_memory().available) + fast.kept_bytes


def _halved(shape: tuple[int, ...], fast: FastUNet) -> Shape:
    s, a, r = (side >> fast.plan.level for side in shape)
    return s, a, r


def _fill(
    fast: FastUNet,
    image: Image,
    side: int,
    out: Image,
    box: _Box,
    normalise: str,
    check: Callable[[float], None],
) -> None:
    """The features of a padded image in a box of it, from one window or several.

    What several windows say is averaged with a Gaussian weight of the distance from their
    middle. The weights are products over axes, and so are their sums.
    """
    target = torch.from_numpy(out)
    starts = fast.plan.windows((image.shape[0], image.shape[1], image.shape[2]), side)
    extents = [min(side, whole) for whole in image.shape]
    places = list(itertools.product(*starts))
    blended = len(places) > 1
    if blended:
        out[:] = 0
    for number, place in enumerate(places):
        window = image[tuple(slice(p, p + e) for p, e in zip(place, extents, strict=True))]
        weights = [_gaussian(e >> fast.plan.level) for e in extents] if blended else None
        writer = _Writer(target, box, _halved(place, fast), weights, normalise)
        fast.run(
            torch.from_numpy(np.ascontiguousarray(window)),
            writer,
            lambda part, number=number: check((number + part) / len(places)),  # type: ignore[misc]
        )
    if blended:
        _finish(target, box, starts, extents, fast.plan.level, normalise)


class _Writer:
    """Puts the planes of a window where they belong."""

    def __init__(
        self,
        target: torch.Tensor,
        box: _Box,
        place: Shape,
        weights: list[torch.Tensor] | None,
        normalise: str,
    ) -> None:
        self.target, self.box, self.place = target, box, place
        self.weights, self.normalise = weights, normalise

    def __call__(self, first: int, planes: torch.Tensor) -> None:
        origin = (self.place[0] + first, *self.place[1:])
        inside, there = [], []
        for start, extent, low, length in zip(
            origin, planes.shape, self.box.start, self.box.shape, strict=False
        ):
            begin, end = max(start, low), min(start + extent, low + length)
            if end <= begin:
                return
            inside.append(slice(begin - start, end - start))
            there.append(slice(begin - low, end - low))
        found = planes[tuple(inside)]
        target = self.target[(slice(None), *there)]
        if self.weights is None:
            target.copy_(normalised(found, self.normalise).permute(3, 0, 1, 2))
            return
        down, back, right = self.weights
        weight = down[first:][inside[0]].view(-1, 1, 1) * back[inside[1]].view(-1, 1)
        weight = weight * right[inside[2]]
        target += found.to("cpu", torch.float32).permute(3, 0, 1, 2) * weight


def _gaussian(side: int) -> torch.Tensor:
    middle = (side - 1) / 2
    return torch.exp(-0.5 * ((torch.arange(side) - middle) / (_SIGMA * side)) ** 2)


def _finish(
    target: torch.Tensor,
    box: _Box,
    starts: list[list[int]],
    extents: list[int],
    level: int,
    normalise: str,
) -> None:
    """Divide by the sums of the windows' weights, and normalise."""
    sums = []
    for axis, own in enumerate(starts):
        total = torch.zeros((own[-1] + extents[axis]) >> level)
        for start in own:
            part = total[start >> level : (start + extents[axis]) >> level]
            part += _gaussian(len(part))
        sums.append(total[box.start[axis] : box.start[axis] + box.shape[axis]])
    plane = sums[1].view(-1, 1) * sums[2]
    for first in range(0, target.shape[1], _SLAB):
        part = target[:, first : first + _SLAB]
        part /= sums[0][first : first + _SLAB].view(-1, 1, 1) * plane
        part.copy_(normalised(part.permute(1, 2, 3, 0), normalise).permute(3, 0, 1, 2))


def _enlarge(
    coarse: Image,
    out: Image,
    box: _Box,
    source: NetworkFeatures,
    cancelled: IsCancelled | None,
) -> None:
    """Bring a coarse map to the volume's grid by linear interpolation, channel by channel."""
    crop = tuple(slice(s, s + n) for s, n in zip(box.start, box.shape, strict=True))
    target = torch.from_numpy(out)
    for channel, map_ in enumerate(torch.from_numpy(coarse)):
        stop_if(cancelled)
        fine = functional.interpolate(
            map_[None, None], scale_factor=2**source.plan.level, mode="trilinear"
        )
        target[channel].copy_(fine[0, 0][crop])
    if source.settings.normalise == "none":
        return
    for first in range(0, out.shape[1], _SLAB):
        stop_if(cancelled)
        part = target[:, first : first + _SLAB]
        found = normalised(part.permute(1, 2, 3, 0), source.settings.normalise)
        part.copy_(found.permute(3, 0, 1, 2))
