"""A trained plain U-Net, ready to give the features of one volume after another, fast.

Exact, not an approximation: batch normalisation is folded into the convolutions; channels come
last; maps are worked on in chunks of planes that stay in the cache, each convolution handing
its planes to the next; the half of a decoder's convolution that sees upsampled voxels is done
on the coarse grid by eight kernels of 2x2x2, one for each place within a coarse voxel; the
decoder writes over the skips it has read; and all large buffers are used again.

On a mirrored fine border the voxel beyond the last is the one before it, which is upsampled
from the last coarse voxel: on the coarse grid that border repeats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.folded_unet import Convolution, Joined, folded
from napari_mrissl.networks.inference_plan import CHUNK_BYTES, InferencePlan, Shape
from napari_mrissl.networks.unet import UNet3d
from napari_mrissl.networks.unet_layout import UNetSize

Write = Callable[[int, torch.Tensor], None]
"""Takes the number of the first plane, and planes (n, Y, X, C)."""

Check = Callable[[float], None]
"""Called between chunks with the part done; may raise to end the pass."""

_LEAST_CHUNK = 4
"""Planes: each of three convolutions in a row gives one plane less of the first chunk."""

_MOST_OVER = 5
"""Planes that a buffer holds beside a chunk: the last ones of earlier chunks, and the border."""

_DEVICE_CHUNK_BYTES = 1 << 29
"""On a GPU, where large pieces keep all its units busy."""

_MOST_OF_A_BLOCK = 31 << 20


class FastUNet:
    """The features of a volume, chunk by chunk.

    Parameters
    ----------
    network
        Trained; its weights are copied.
    tap
        Number of the convolution whose result is wanted, before its normalisation; None for
        the last one.
    device, dtype
        Where and in what to compute; ``torch.bfloat16`` only where there is hardware for it.

    Attributes
    ----------
    plan
        Sizes of the network and of the result.
    chunk_bytes
        About how much of a map is worked on at once.

    Raises
    ------
    MrisslError
        If the layer is none of the taps.
    """

    def __init__(
        self,
        network: UNet3d,
        tap: int | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        size = UNetSize(network.in_channels, network.out_channels, network.width, network.depth)
        self.plan = InferencePlan(size, tap)
        self.device, self.dtype = torch.device(device), dtype
        self.bytes_of_number = torch.empty((), dtype=dtype).element_size()
        self.chunk_bytes = CHUNK_BYTES if self.device.type == "cpu" else _DEVICE_CHUNK_BYTES
        self._convolutions = folded(network, self.plan.stop, self.device, dtype)
        self._kept: dict[str, torch.Tensor] = {}

    @property
    def kept_bytes(self) -> int:
        """What the buffers kept for the next volume take."""
        return sum(buffer.nbytes for buffer in self._kept.values())

    def release(self) -> None:
        """Give the buffers back."""
        self._kept.clear()

    @torch.inference_mode()
    def run(self, image: torch.Tensor, write: Write, check: Check | None = None) -> None:
        """Features of an image, in order of planes.

        Parameters
        ----------
        image
            (Z, Y, X) float32, prepared as the network wants it; sides as `InferencePlan.padded`
            gives them.
        write
            Takes the result: (n, Y, X, channels), each side halved `InferencePlan.level` times;
            the planes are overwritten later.
        check
            Told how far it is; what it raises ends the pass.

        Raises
        ------
        MrisslError
            If a side does not suit the network.
        """
        sides = tuple(image.shape)
        if len(sides) != 3 or self.plan.padded(sides) != sides:
            raise MrisslError(
                f"{' x '.join(map(str, sides))} voxels do not suit this network",
                where="image",
                expected=f"sides that are multiples of {self.plan.size.stride}, "
                f"and at least {2 * self.plan.size.stride}",
                remedy="pad it",
            )
        _keep_freed_memory()
        meter = _Meter(self.plan.multiply_adds(sides), check)
        first = 0
        for planes in _Pass(self, sides, meter).result(image):
            write(first, planes)
            first += len(planes)

    def convolution(self, number: int) -> Convolution | Joined:
        """A convolution by the number of its layer, normalisation included."""
        return self._convolutions[number]

    def buffer(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """Memory under this name: that of an earlier map where it is large enough."""
        numbers = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or len(kept) < numbers:
            self._kept.pop(name, None)
            if self.device.type == "cpu" and self.dtype == torch.float32:
                # numpy asks the system for huge pages: the first touch of small ones would
                # cost more than the network does.
                kept = torch.from_numpy(np.empty(numbers, np.float32))
            else:
                kept = torch.empty(numbers, dtype=self.dtype, device=self.device)
            self._kept[name] = kept
        return kept[:numbers].view(*shape)


class _Meter:
    """How far a pass is, by its multiply-adds."""

    def __init__(self, total: float, check: Check | None) -> None:
        self._total, self._check, self._done = total, check, 0.0

    def add(self, multiply_adds: float) -> None:
        """Note that so much is done."""
        self._done += multiply_adds
        if self._check is not None:
            self._check(min(self._done / self._total, 1.0))


class _Pass:
    """One volume on its way through the network."""

    def __init__(self, fast: FastUNet, shape: Shape, meter: _Meter) -> None:
        self.fast, self.depth, self.meter = fast, fast.plan.size.depth, meter
        self.sides = [tuple(side >> level for side in shape) for level in range(self.depth + 1)]
        self.skips: list[torch.Tensor] = []

    def result(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        """The planes of the wanted layer; all layers before it are done on the way."""
        source: Iterator[torch.Tensor] = self._image(image)
        for level in range(self.depth):
            first = 3 + 7 * level
            numbers = (0, first, first + 3) if level == 0 else (first, first + 3)
            chain = self._chained(source, numbers, level, rectified=True)
            if self.fast.plan.stop in numbers:
                return chain
            self.skips.append(self._stored(chain, f"skip {level}", level, mirrored=True))
            source = self._pooled(level)
        first = 3 + 7 * self.depth
        chain = self._chained(source, (first, first + 3), self.depth, rectified=True)
        if self.fast.plan.stop == first:
            return chain
        coarse = self._stored(chain, "bottleneck", self.depth, mirrored=False)
        for level in reversed(range(self.depth)):
            first = 3 + 7 * self.depth + 7 * (self.depth - level)
            source = self._joined(coarse, first, level)
            if self.fast.plan.stop == first:
                return source
            ends = (first + 3, first + 6) if level == 0 else (first + 3,)
            chain = self._chained(source, ends, level, rectified=False)
            if self.fast.plan.stop in ends:
                return chain
            # The map takes the place of the skip: a chunk of it is written when no later chunk
            # needs those planes of the skip any more.
            coarse = self._stored(chain, f"skip {level}", level, mirrored=False)
        raise AssertionError("the last layer was passed")

    def _chunk(self, level: int, channels: int) -> int:
        """Planes at once; even, since two of them make one of the next level."""
        deep, rows, columns = self.sides[level]
        plane = rows * columns * channels * self.fast.bytes_of_number
        return min(deep, max(_LEAST_CHUNK, self.fast.chunk_bytes // plane // 2 * 2))

    def _chunks(self, level: int) -> Iterator[tuple[int, int]]:
        deep = self.sides[level][0]
        step = self._chunk(level, self.fast.plan.size.width << level)
        return ((first, min(first + step, deep)) for first in range(0, deep, step))

    def _image(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        for first, last in self._chunks(0):
            yield image[first:last].to(self.fast.device, self.fast.dtype).unsqueeze(-1)

    def _pooled(self, level: int) -> Iterator[torch.Tensor]:
        """Chunks of the maxima over 2x2x2 of a skip."""
        for first, last in self._chunks(level + 1):
            planes = self.skips[level][1 + 2 * first : 1 + 2 * last, 1:-1, 1:-1]
            planes = torch.maximum(planes[0::2], planes[1::2])
            planes = torch.maximum(planes[:, 0::2], planes[:, 1::2])
            yield torch.maximum(planes[:, :, 0::2], planes[:, :, 1::2])

    def _joined(self, coarse: torch.Tensor, number: int, level: int) -> Iterator[torch.Tensor]:
        """Chunks of the first convolution of a level of the decoder."""
        convolution = self.fast.convolution(number)
        assert isinstance(convolution, Joined)  # noqa: S101 for mypy
        skip = self.skips[level]
        for first, last in self._chunks(level):
            part = coarse[first // 2 : last // 2 + 2]
            planes = convolution(skip[first : last + 2], part)
            self._count(planes, len(convolution.phases[0]) // 4 + coarse.shape[-1] * 64 / 216)
            yield planes

    def _chained(
        self,
        source: Iterator[torch.Tensor],
        numbers: Sequence[int],
        level: int,
        *,
        rectified: bool,
    ) -> Iterator[torch.Tensor]:
        for place, number in enumerate(numbers):
            source = self._convolved(source, number, place, level, rectified=rectified)
            rectified = False
            if number == self.fast.plan.stop:
                break
        return source

    def _convolved(
        self,
        source: Iterator[torch.Tensor],
        number: int,
        place: int,
        level: int,
        *,
        rectified: bool,
    ) -> Iterator[torch.Tensor]:
        """Planes of one convolution, as soon as the planes around them are there."""
        convolution = self.fast.convolution(number)
        assert isinstance(convolution, Convolution)  # noqa: S101 for mypy
        deep, rows, columns = self.sides[level]
        channels = convolution.weight.shape[1]
        room = self._chunk(level, self.fast.plan.size.width << level) + _MOST_OVER
        buffer = self.fast.buffer(f"chunk {place}", (room, rows + 2, columns + 2, channels))
        start, seen = 1, 0
        for planes in source:
            stop = start + len(planes)
            inside = buffer[start:stop, 1:-1, 1:-1]
            if rectified:
                inside.copy_(planes)
            else:
                torch.clamp_min(planes, 0, out=inside)
            _extend(buffer[start:stop], mirrored=True)
            if start == 1:
                buffer[0] = buffer[2]
            seen += len(planes)
            if seen == deep:
                buffer[stop] = buffer[stop - 2]
                stop += 1
            found = convolution(buffer[:stop])
            self._count(found, channels)
            yield found
            # Two planes are seen again by the convolution of the next chunk.
            buffer[:2] = buffer[stop - 2 : stop].clone()
            start = 2

    def _stored(
        self, chain: Iterator[torch.Tensor], name: str, level: int, *, mirrored: bool
    ) -> torch.Tensor:
        """All planes, rectified, with a border for the convolution that comes."""
        deep, rows, columns = self.sides[level]
        channels = self.fast.plan.size.width << level
        buffer = self.fast.buffer(name, (deep + 2, rows + 2, columns + 2, channels))
        start = 1
        for planes in chain:
            stop = start + len(planes)
            torch.clamp_min(planes, 0, out=buffer[start:stop, 1:-1, 1:-1])
            _extend(buffer[start:stop], mirrored=mirrored)
            start = stop
        inner = 2 if mirrored else 1
        buffer[0], buffer[-1] = buffer[inner], buffer[-1 - inner]
        return buffer

    def _count(self, planes: torch.Tensor, channels: float) -> None:
        self.meter.add(27 * planes.numel() * channels)


def _extend(planes: torch.Tensor, *, mirrored: bool) -> None:
    """Fill the border of planes (n, Y + 2, X + 2, C): mirrored, or the outermost repeated."""
    inner = 2 if mirrored else 1
    planes[:, 0], planes[:, -1] = planes[:, inner], planes[:, -1 - inner]
    planes[:, :, 0], planes[:, :, -1] = planes[:, :, inner], planes[:, :, -1 - inner]


def _keep_freed_memory() -> None:
    """Let the C library keep what chunks free, rather than return it and ask for it again.

    It keeps about twice the size of the largest block that it has given back to the system,
    if that was at most 32 MiB; pages never touched cost nothing. Without this, a pass spends a
    quarter of its time on first touches of memory that it had before.
    """
    torch.empty(_MOST_OF_A_BLOCK, dtype=torch.uint8)
