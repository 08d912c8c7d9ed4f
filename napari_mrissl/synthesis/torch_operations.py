"""The operations as tensors on any device: the arithmetic of `compiled`, for GPUs.

Importing this module imports torch; nothing else in the package does at import.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.draws import GOLDEN, MIX
from napari_mrissl.synthesis.noise import upsampling
from napari_mrissl.synthesis.operations import (
    WHOLE,
    Placements,
    Scaled,
    frequency_of,
    gaussian_taps,
    gibbs_ball,
    legendre_planes,
    spike_wave,
    stretch,
)
from napari_mrissl.synthesis.templates import Templates

_FAR = 32_000


class TorchOperations:
    """`Operations` on tensors of one device.

    Raises
    ------
    MrisslError
        If torch has no such device.
    """

    def __init__(self, device: str) -> None:
        try:
            self.device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise MrisslError(
                f"no device {device!r} for torch",
                expected='"cpu", or e.g. "cuda" where it is there',
            ) from error
        self._templates: Templates | None = None
        self._bits = torch.empty(0, dtype=torch.uint8)

    def use(self, templates: Templates) -> None:
        """Take this pool; its bits are copied to the device."""
        self._templates = templates
        self._bits = self._here(templates.bits)

    def paint(self, placements: Placements, side: int) -> Tensor:
        """See `Operations.paint`."""
        assert self._templates is not None  # noqa: S101 - the engine has given it
        out = torch.zeros((side,) * 3, dtype=torch.uint8, device=self.device)
        line = torch.arange(side, device=self.device)
        for k in range(1, len(placements.numbers)):
            number = int(placements.numbers[k])
            start, extents = int(self._templates.starts[number]), self._templates.extents[number]
            _, height, width = (int(n) for n in extents)
            inside = torch.ones_like(out, dtype=torch.bool)
            places = []
            for axis in range(3):
                a, b, c = (int(step) for step in placements.steps[k, axis])
                at = int(placements.origins[k, axis]) + a * line[:, None] + b * line
                at = (at[:, :, None] + c * line) & (WHOLE - 1)
                inside &= at < int(placements.limits[k, axis])
                places.append((at * int(placements.periods[k, axis])) >> 32)
            z, y, x = places
            byte = start + (z * height + y) * ((width + 7) >> 3) + (x >> 3)
            # Voxels outside the box look at some byte or other and are then left as they are.
            byte.clamp_(0, len(self._bits) - 1)
            bit = (self._bits[byte].to(torch.int64) >> (x & 7)) & 1
            out[inside & (bit == 1)] = k
        return out

    def median(self, labels: Tensor, width: int) -> Tensor:
        """See `Operations.median`."""
        if width == 1:
            return labels
        side, half = len(labels), width**3 // 2 + 1
        line = torch.arange(-(width // 2), side + width // 2, device=self.device)
        line = line.clamp(0, side - 1)
        padded = labels[line][:, line][:, :, line]
        best = torch.zeros_like(labels)
        for plane in range(max(int(labels.max()).bit_length(), 1) - 1, -1, -1):
            trial = best | (1 << plane)
            reached = torch.zeros_like(labels)
            for z in range(width):
                for y in range(width):
                    for x in range(width):
                        reached += padded[z : z + side, y : y + side, x : x + side] >= trial
            best = torch.where(reached >= half, trial, best)
        return best

    def ball(
        self,
        nodes: tuple[int, ...],
        coarse: NDArray[np.float32],
        centre: tuple[float, float, float],
        radius: float,
        side: int,
    ) -> Tensor:
        """See `Operations.ball`."""
        line = torch.arange(side, dtype=torch.float32, device=self.device)
        last = float(side - 1)
        total: Tensor | None = None
        for axis in range(3):
            shape = [1, 1, 1]
            shape[axis] = side
            at = (line.view(shape) + self._smooth_noise(nodes, coarse[axis], side)).abs_()
            at -= torch.floor(at / (2 * last)) * (2 * last)
            at = torch.minimum(at, 2 * last - at)
            away = torch.floor(at + 0.5) - float(np.float32(centre[axis]))
            total = away * away if total is None else total + away * away
        assert total is not None  # noqa: S101 - there are three axes
        radius = float(np.float32(radius))
        return (total <= float(np.float32(radius * radius))).to(torch.uint8)

    def merge(self, labels: Tensor, mask: Tensor) -> Tensor:
        """See `Operations.merge`."""
        return (labels + 1) * mask

    def envelope(self, labels: Tensor, mask: Tensor, width: float) -> Tensor:
        """See `Operations.envelope`."""
        reach, limit = int(width), int(width * width)
        near = torch.ones_like(mask, dtype=torch.bool)
        for kind in (0, 1):
            squares = torch.where(mask == kind, 0, _FAR).to(torch.int16)
            for axis in range(3):
                squares = _nearest_along(squares, axis, reach)
            near &= squares <= limit
        labels[near] = int(labels.max()) + 1
        return labels

    def range_of_labels(self, labels: Tensor) -> tuple[int, int]:
        """See `Operations.range_of_labels`."""
        return int(labels.min()), int(labels.max())

    def mixture(
        self, labels: Tensor, means: NDArray[np.float32], stds: NDArray[np.float32], key: int
    ) -> Scaled:
        """See `Operations.mixture`."""
        side = len(labels)
        middle = side // 2
        numbers = torch.arange(1, side * side * middle + 1, device=self.device)
        mixed = numbers * _signed(GOLDEN) + _signed(key)
        mixed = (mixed ^ _shifted(mixed, 30)) * _signed(MIX[0])
        mixed = (mixed ^ _shifted(mixed, 27)) * _signed(MIX[1])
        mixed = mixed ^ _shifted(mixed, 31)
        chance = (_shifted(mixed, 40) + 1).to(torch.float32) * 2.0**-24
        angle = (mixed & 0xFFFFFF).to(torch.float32) * (2 * math.pi * 2.0**-24)
        length = torch.sqrt(-2 * torch.log(chance))
        halves = [length * torch.cos(angle), length * torch.sin(angle)]
        noise = torch.cat([half.view(side, side, middle) for half in halves], dim=2)
        numbers = labels.to(torch.int64)
        image = (self._here(means)[numbers] + self._here(stds)[numbers] * noise).clamp_(min=0)
        return Scaled(image, *_extremes(image))

    def modulate(
        self,
        scaled: Scaled,
        nodes: tuple[int, ...],
        coarse: NDArray[np.float32],
        amplitude: float,
    ) -> Scaled:
        """See `Operations.modulate`."""
        noise = self._smooth_noise(nodes, coarse, len(scaled.image))
        image = self.unit(scaled) * (1 + amplitude * noise)
        return Scaled(image, *_extremes(image))

    def bias(self, scaled: Scaled, coefficients: tuple[float, ...]) -> Tensor:
        """See `Operations.bias`."""
        cubic, rows = legendre_planes(coefficients, len(scaled.image))
        power = self._here(cubic) @ self._here(rows)
        return self.unit(scaled) * power.exp_()

    def spike(self, image: Tensor, location: tuple[int, int, int], intensity: float) -> Tensor:
        """See `Operations.spike`; one wave is added, which spares the way back."""
        side = len(image)
        spectrum = torch.fft.rfftn(image)
        logs = torch.log(spectrum.real**2 + spectrum.imag**2 + 1e-20)
        # The half spectrum holds two of its planes once and stands for the others twice.
        total = 2 * logs.sum(dtype=torch.float64) - logs[..., [0, -1]].sum(dtype=torch.float64)
        mean_log = 0.5 * float(total) / image.numel()
        z, y, x = frequency = frequency_of(location, side)
        old = complex(spectrum[z, y, x] if x >= 0 else spectrum[-z, -y, -x].conj())
        plane, row = spike_wave(frequency, old, intensity, mean_log, side)
        for part, line, sign in ((plane.real, row.real, 1), (plane.imag, row.imag, -1)):
            values = self._here(part.astype(np.float32)), self._here(line.astype(np.float32))
            image = image + sign * values[0][:, :, None] * values[1]
        return image

    def contrast(self, image: Tensor, gamma: float) -> Tensor:
        """See `Operations.contrast`."""
        low, high = _extremes(image)
        return ((image - low) / (high - low + 1e-7)) ** gamma * (high - low) + low

    def smooth(self, image: Tensor, sigma: tuple[float, float, float]) -> Tensor:
        """See `Operations.smooth`."""
        volume = image[None, None]
        for axis, width in enumerate(sigma):
            half = gaussian_taps(width)
            shape, padding = [1, 1, 1, 1, 1], [0, 0, 0]
            shape[2 + axis], padding[axis] = 2 * len(half) - 1, len(half) - 1
            taps = self._here(np.concatenate([half[:0:-1], half])).view(shape)
            volume = functional.conv3d(volume, taps, padding=padding)
        return volume[0, 0]

    def gibbs(self, image: Tensor, alpha: float) -> Tensor:
        """See `Operations.gibbs`."""
        side = len(image)
        squares, partners, radius = gibbs_ball(side, alpha)
        limit = float(radius)
        columns = side // 2 + 1
        weight: Any = 0.0
        for table in (squares, partners):
            line = self._here(table)
            within = line[:, None, None] + line[:, None] + line[:columns] <= limit
            weight = weight + 0.5 * within
        back: Tensor = torch.fft.irfftn(torch.fft.rfftn(image) * weight, s=tuple(image.shape))
        return back

    def sharpen(
        self,
        image: Tensor,
        sigma: tuple[float, float, float],
        second: tuple[float, float, float],
        alpha: float,
    ) -> Tensor:
        """See `Operations.sharpen`."""
        blurred = self.smooth(image, sigma)
        return blurred + alpha * (blurred - self.smooth(blurred, second))

    def low_resolution(self, image: Tensor, zoom: float) -> Tensor:
        """See `Operations.low_resolution`."""
        count = max(1, round(len(image) * zoom))
        coarse = functional.interpolate(image[None, None], size=(count,) * 3, mode="nearest-exact")
        return functional.interpolate(coarse, size=tuple(image.shape), mode="trilinear")[0, 0]

    def finish(self, image: Tensor) -> Tensor:
        """See `Operations.finish`."""
        image = image.clamp(min=0)
        return self.unit(Scaled(image, *_extremes(image)))

    def unit(self, scaled: Scaled) -> Tensor:
        """See `Operations.unit`."""
        image, low, high = scaled
        result: Tensor = (image - low) * stretch(low, high)
        return result

    def copy(self, array: Tensor) -> Tensor:
        """See `Operations.copy`."""
        return array.clone()

    def to_numpy(self, array: Tensor) -> NDArray[Any]:
        """See `Operations.to_numpy`."""
        values: NDArray[Any] = array.cpu().numpy()
        return values

    def _smooth_noise(
        self, nodes: tuple[int, ...], coarse: NDArray[np.float32], side: int
    ) -> Tensor:
        """The sum of trilinearly upsampled coarse fields: a product of matrices per field."""
        weights = self._here(upsampling(nodes, side).weights)
        fields = self._here(coarse)
        total = torch.zeros((side,) * 3, device=self.device)
        start = row = 0
        for n in nodes:
            up = weights[row : row + n]
            field = fields[start : start + n**3].view(n, n, n)
            planes = torch.einsum("ijk,iz,jy->zyk", field, up, up)
            total += planes @ up
            start, row = start + n**3, row + n
        return total

    def _here(self, array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)


def _signed(number: int) -> int:
    """An unsigned 64-bit number as torch's signed one, which wraps around alike."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _shifted(numbers: Tensor, places: int) -> Tensor:
    """A shift to the right that brings in zeros."""
    return (numbers >> places) & ((1 << (64 - places)) - 1)


def _extremes(image: Tensor) -> tuple[float, float]:
    low, high = torch.aminmax(image)
    return float(low), float(high)


def _nearest_along(squares: Tensor, axis: int, reach: int) -> Tensor:
    """The least of squared distance plus squared step, along one axis."""
    best = squares.clone()
    side = squares.shape[axis]
    for step in range(1, min(reach, side - 1) + 1):
        ahead, behind = (
            squares.narrow(axis, step, side - step) + step * step,
            squares.narrow(axis, 0, side - step) + step * step,
        )
        here = best.narrow(axis, 0, side - step)
        here.copy_(torch.minimum(here, ahead))
        there = best.narrow(axis, step, side - step)
        there.copy_(torch.minimum(there, behind))
    return best
