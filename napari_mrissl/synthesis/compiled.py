"""The operations on the CPU: numba kernels over our own threads, and scipy's Fourier transform.

Importing this module imports numba.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_mrissl.slicing.threads import over_rows, threads
from napari_mrissl.synthesis import image_kernels, label_kernels, noise_kernels
from napari_mrissl.synthesis.noise import upsampling
from napari_mrissl.synthesis.operations import (
    Placements,
    Scaled,
    coarse_grid,
    frequency_of,
    gaussian_taps,
    gibbs_ball,
    legendre_planes,
    spike_wave,
    stretch,
)
from napari_mrissl.synthesis.templates import Templates

Labels = NDArray[np.uint8]
Image = NDArray[np.float32]


class CompiledOperations:
    """`Operations` on numpy arrays; results do not depend on the number of threads."""

    def __init__(self) -> None:
        self._templates: Templates | None = None

    def use(self, templates: Templates) -> None:
        """Take this pool."""
        self._templates = templates

    def paint(self, placements: Placements, side: int) -> Labels:
        """See `Operations.paint`."""
        assert self._templates is not None  # noqa: S101 - the engine has given it
        out = np.empty((side,) * 3, np.uint8)
        numbers = placements.numbers
        arguments = (
            self._templates.bits,
            self._templates.starts[numbers],
            self._templates.extents[numbers],
            *placements[3:],
            placements.origins,
            placements.steps,
            out,
        )
        bricks = side // label_kernels.BRICK
        over_rows(lambda a, b: label_kernels.paint(*arguments, a, b), bricks, out.size)
        return out

    def median(self, labels: Labels, width: int) -> Labels:
        """See `Operations.median`."""
        if width == 1:
            return labels
        out = np.empty_like(labels)
        _over_slices(label_kernels.median, out, np.pad(labels, 1, mode="edge"), out)
        return out

    def ball(
        self,
        nodes: tuple[int, ...],
        coarse: Image,
        centre: tuple[float, float, float],
        radius: float,
        side: int,
    ) -> Labels:
        """See `Operations.ball`."""
        out = np.empty((side,) * 3, np.uint8)
        up = upsampling(nodes, side)
        tables = (up.nodes, up.before, up.mix)
        place = np.array(centre, np.float32)
        _over_slices(noise_kernels.ball, out, coarse, *tables, place, np.float32(radius), out)
        return out

    def merge(self, labels: Labels, mask: Labels) -> Labels:
        """See `Operations.merge`."""
        _over_slices(label_kernels.merge, labels, labels, mask)
        return labels

    def envelope(self, labels: Labels, mask: Labels, width: float) -> Labels:
        """See `Operations.envelope`."""
        reach, limit = int(width), np.uint16(width * width)
        inward, outward = (np.empty(mask.shape, np.uint16) for _ in range(2))
        _over_slices(label_kernels.near_in_plane, mask, mask, reach, np.uint8(1), inward)
        _over_slices(label_kernels.near_in_plane, mask, mask, reach, np.uint8(0), outward)
        number = np.uint8(int(labels.max()) + 1)
        _over_slices(label_kernels.shell, labels, labels, inward, outward, reach, limit, number)
        return labels

    def range_of_labels(self, labels: Labels) -> tuple[int, int]:
        """See `Operations.range_of_labels`."""
        return int(labels.min()), int(labels.max())

    def mixture(self, labels: Labels, means: Image, stds: Image, key: int) -> Scaled:
        """See `Operations.mixture`."""
        out = np.empty(labels.shape, np.float32)
        lows, highs = _ends(out)
        number = np.uint64(key)
        _over_slices(image_kernels.mixture, out, labels, means, stds, number, out, lows, highs)
        return Scaled(out, float(lows.min()), float(highs.max()))

    def modulate(
        self, scaled: Scaled, nodes: tuple[int, ...], coarse: Image, amplitude: float
    ) -> Scaled:
        """See `Operations.modulate`."""
        image = scaled.image
        up = upsampling(nodes, len(image))
        tables = (up.nodes, up.before, up.mix)
        lows, highs = _ends(image)
        _over_slices(
            noise_kernels.modulate,
            image,
            image,
            *_scale(scaled.low, scaled.high),
            coarse,
            *tables,
            np.float32(amplitude),
            lows,
            highs,
        )
        return Scaled(image, float(lows.min()), float(highs.max()))

    def bias(self, scaled: Scaled, coefficients: tuple[float, ...]) -> Image:
        """See `Operations.bias`."""
        image: Image = scaled.image
        ends = _scale(scaled.low, scaled.high)
        planes = legendre_planes(coefficients, len(image))
        _over_slices(image_kernels.bias, image, image, *ends, *planes)
        return image

    def spike(self, image: Image, location: tuple[int, int, int], intensity: float) -> Image:
        """See `Operations.spike`; one wave is added, which spares the way back."""
        side = len(image)
        spectrum: Any = fft.rfftn(image, workers=threads())
        sums = np.empty(side)
        _over_slices(image_kernels.log_sums, image, spectrum, sums)
        mean_log = float(sums.sum()) * math.log(2) / image.size
        z, y, x = frequency = frequency_of(location, side)
        # The other half of the spectrum is the conjugate of this one.
        old = complex(spectrum[z, y, x] if x >= 0 else np.conj(spectrum[-z, -y, -x]))
        plane, line = spike_wave(frequency, old, intensity, mean_log, side)
        parts = plane.astype(np.complex64), *(p.astype(np.float32) for p in (line.real, line.imag))
        _over_slices(image_kernels.add_wave, image, image, *parts)
        return image

    def contrast(self, image: Image, gamma: float) -> Image:
        """See `Operations.contrast`."""
        low, high = _extremes(image)
        size = np.float32(high) - np.float32(low)
        _over_slices(image_kernels.contrast, image, image, np.float32(low), size, np.float32(gamma))
        return image

    def smooth(self, image: Image, sigma: tuple[float, float, float]) -> Image:
        """See `Operations.smooth`."""
        return _smooth(image, sigma, 0.0, 1.0)

    def gibbs(self, image: Image, alpha: float) -> Image:
        """See `Operations.gibbs`."""
        spectrum: Any = fft.rfftn(image, workers=threads())
        _over_slices(image_kernels.cut_off, image, spectrum, *gibbs_ball(len(image), alpha))
        back: Image = fft.irfftn(spectrum, image.shape, overwrite_x=True, workers=threads())
        return back

    def sharpen(
        self,
        image: Image,
        sigma: tuple[float, float, float],
        second: tuple[float, float, float],
        alpha: float,
    ) -> Image:
        """See `Operations.sharpen`."""
        return _smooth(_smooth(image, sigma, 0.0, 1.0), second, 1.0 + alpha, -alpha)

    def low_resolution(self, image: Image, zoom: float) -> Image:
        """See `Operations.low_resolution`; both ways in one pass."""
        before, after, mix = (np.stack([table] * 3) for table in coarse_grid(len(image), zoom))
        out = np.empty_like(image)
        _over_slices(image_kernels.resample, out, image, before, after, mix, out)
        return out

    def finish(self, image: Image) -> Image:
        """See `Operations.finish`."""
        low, high = (max(value, 0.0) for value in _extremes(image))
        ends = _scale(low, high)
        _over_slices(image_kernels.rescale, image, image, *ends, np.float32(0))
        return image

    def unit(self, scaled: Scaled) -> Image:
        """See `Operations.unit`."""
        out: Image = scaled.image.copy()
        ends = _scale(scaled.low, scaled.high)
        _over_slices(image_kernels.rescale, out, out, *ends, np.float32(-np.inf))
        return out

    def copy(self, array: NDArray[Any]) -> NDArray[Any]:
        """See `Operations.copy`."""
        return array.copy()

    def to_numpy(self, array: NDArray[Any]) -> NDArray[Any]:
        """See `Operations.to_numpy`."""
        return array


def _over_slices(kernel: Callable[..., object], volume: NDArray[Any], *arguments: Any) -> None:
    over_rows(lambda a, b: kernel(*arguments, a, b), len(volume), volume.size)


def _ends(image: Image) -> tuple[Image, Image]:
    """Room for the least and the most of each slice."""
    return np.empty(len(image), np.float32), np.empty(len(image), np.float32)


def _extremes(image: Image) -> tuple[float, float]:
    lows, highs = _ends(image)
    _over_slices(image_kernels.extremes, image, image, lows, highs)
    return float(lows.min()), float(highs.max())


def _scale(low: float, high: float) -> tuple[np.float32, np.float32]:
    """What to subtract and to multiply by; a constant volume becomes 0."""
    return np.float32(low), np.float32(stretch(low, high))


def _smooth(image: Image, sigma: tuple[float, float, float], keep: float, add: float) -> Image:
    out = np.empty_like(image)
    taps = [gaussian_taps(width) for width in sigma]
    _over_slices(image_kernels.smooth, out, image, *taps, np.float32(keep), np.float32(add), out)
    return out
