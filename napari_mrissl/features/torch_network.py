"""The pass of a network over a volume: prepared, padded, in windows where memory asks, cropped."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import filters, kernels
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.of_networks import without_contrast
from napari_mrissl.networks.fast_unet import FastUNet
from napari_mrissl.networks.inference_plan import Shape, mirror
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import load_unet
from napari_mrissl.slicing.threads import over_rows
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


def compute_into(
    source: NetworkFeatures,
    volume: Volume,
    out: Image,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> None:
    """Fill `out`; see `NetworkFeatures.compute_into`."""
    image, start = _padded(_prepared(volume, source.settings, cancelled), source)
    fast = _network(source)

    def check(part: float) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(_PASS_PART * part, "network")

    side = source.plan.window_side(volume.shape, _available(fast))
    if source.plan.level == 0:
        _fill(fast, image, side, out, start, source.settings.normalise, check)
    else:
        coarse = np.empty((source.plan.channels, *_halved(image.shape, fast)), np.float32)
        _fill(fast, image, side, coarse, (0, 0, 0), "none", check)
        _enlarge(coarse, out, start, source, cancelled)
    if fast.kept_bytes > _KEPT_BYTES or fast.device.type != "cpu":
        fast.release()
    if progress is not None:
        progress(1.0, "network")


def _prepared(volume: Volume, settings: NetworkSettings, cancelled: IsCancelled | None) -> Image:
    """The volume as the network wants it: the settings' values at 0 and 1."""
    if settings.window is not None:
        image = filters.scaled(volume, settings.window, (0.0, 1.0), cancelled)
    else:
        assert settings.percentiles is not None  # noqa: S101 for mypy
        ends = volume.value_range(*settings.percentiles)
        image = filters.scaled(volume, ends, (-np.inf, np.inf), cancelled)
    if image.min() == image.max():
        raise without_contrast(
            volume, "choose another scan" if settings.window is None else "choose another window"
        )
    return image


def _padded(image: Image, source: NetworkFeatures) -> tuple[Image, Shape]:
    """The image with mirrored margins, evenly at both ends, and where it begins in it."""
    shape = (image.shape[0], image.shape[1], image.shape[2])
    sides = source.plan.padded(shape)
    indices, starts = zip(*map(mirror, shape, sides), strict=True)
    padded = image if shape == sides else np.ascontiguousarray(image[np.ix_(*indices)])
    return padded, (starts[0], starts[1], starts[2])


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
    start: Shape,
    normalise: str,
    check: Callable[[float], None],
) -> None:
    """The features of a padded image from `start` on, from one window or several.

    What several windows say is averaged with a Gaussian weight of the distance from their
    middle. The weights are products over axes, and so are their sums.
    """
    starts = fast.plan.windows((image.shape[0], image.shape[1], image.shape[2]), side)
    extents = [min(side, whole) for whole in image.shape]
    places = list(itertools.product(*starts))
    blended = len(places) > 1
    if blended:
        out[:] = 0
    for number, place in enumerate(places):
        window = image[tuple(slice(p, p + e) for p, e in zip(place, extents, strict=True))]
        weights = [_gaussian(e >> fast.plan.level) for e in extents] if blended else None
        there = _halved(place, fast)
        origin = (there[0] - start[0], there[1] - start[1], there[2] - start[2])
        writer = _Writer(out, origin, weights, normalise)
        fast.run(
            torch.from_numpy(np.ascontiguousarray(window)),
            writer,
            lambda part, number=number: check((number + part) / len(places)),  # type: ignore[misc]
        )
    if blended:
        _finish(out, start, starts, extents, fast.plan.level, normalise)


class _Writer:
    """Puts the planes of a window where they belong."""

    def __init__(
        self,
        out: Image,
        origin: Shape,
        weights: list[torch.Tensor] | None,
        normalise: str,
    ) -> None:
        self.out, self.origin = out, origin
        self.weights, self.normalise = weights, normalise

    def __call__(self, first: int, planes: torch.Tensor) -> None:
        found = planes.to("cpu", torch.float32)
        origin = (self.origin[0] + first, *self.origin[1:])
        if self.weights is not None:
            self._add(found, first, origin)
            return
        content = found.numpy()
        over_rows(
            lambda begin, end: kernels.channels_first(content, self.out, origin, begin, end),
            len(content),
            content.size,
        )
        _normalise(self.out, self.normalise, origin[0], origin[0] + len(found))

    def _add(self, planes: torch.Tensor, first: int, origin: Shape) -> None:
        inside, there = [], []
        for start, extent, length in zip(origin, planes.shape, self.out.shape[1:], strict=False):
            begin, end = max(start, 0), min(start + extent, length)
            if end <= begin:
                return
            inside.append(slice(begin - start, end - start))
            there.append(slice(begin, end))
        down, back, right = self.weights or []
        weight = down[first:][inside[0]].view(-1, 1, 1) * back[inside[1]].view(-1, 1)
        weight = weight * right[inside[2]]
        target = torch.from_numpy(self.out)[(slice(None), *there)]
        target += planes[tuple(inside)].permute(3, 0, 1, 2) * weight


def _normalise(out: Image, how: str, first: int, last: int) -> None:
    """Normalise the voxels of those slices of (C, S, A, R) that there are, in place."""
    first, last = max(first, 0), min(last, out.shape[1])
    if how == "none" or last <= first:
        return
    over_rows(
        lambda begin, end: kernels.normalise_channels(
            out, how == "standardised", first + begin, first + end
        ),
        last - first,
        out.size,
    )


def _gaussian(side: int) -> torch.Tensor:
    middle = (side - 1) / 2
    return torch.exp(-0.5 * ((torch.arange(side) - middle) / (_SIGMA * side)) ** 2)


def _finish(
    out: Image,
    start: Shape,
    starts: list[list[int]],
    extents: list[int],
    level: int,
    normalise: str,
) -> None:
    """Divide by the sums of the windows' weights, and normalise."""
    sums = []
    for axis, own in enumerate(starts):
        total = torch.zeros((own[-1] + extents[axis]) >> level)
        for place in own:
            part = total[place >> level : (place + extents[axis]) >> level]
            part += _gaussian(len(part))
        sums.append(total[start[axis] : start[axis] + out.shape[1 + axis]].numpy())
    plane = sums[1][:, None] * sums[2]
    for first in range(0, out.shape[1], _SLAB):
        out[:, first : first + _SLAB] /= sums[0][first : first + _SLAB, None, None] * plane
        _normalise(out, normalise, first, first + _SLAB)


def _enlarge(
    coarse: Image,
    out: Image,
    start: Shape,
    source: NetworkFeatures,
    cancelled: IsCancelled | None,
) -> None:
    """Bring a coarse map to the volume's grid by linear interpolation, channel by channel."""
    crop = tuple(slice(s, s + n) for s, n in zip(start, out.shape[1:], strict=True))
    target = torch.from_numpy(out)
    for channel, map_ in enumerate(torch.from_numpy(coarse)):
        stop_if(cancelled)
        fine = functional.interpolate(
            map_[None, None], scale_factor=2**source.plan.level, mode="trilinear"
        )
        target[channel].copy_(fine[0, 0][crop])
    for first in range(0, out.shape[1], _SLAB):
        stop_if(cancelled)
        _normalise(out, source.settings.normalise, first, first + _SLAB)
