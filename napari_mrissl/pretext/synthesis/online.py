"""What each view goes through when it is used: blur, noise, bias field, gamma curve, motion.

The on-line augmentation of arXiv:2411.02372 with TorchIO's definitions, on tensors of any
device. Everything is drawn by numpy on the CPU, so that devices differ by rounding alone.
Faithful: nothing is brought back to [0, 1] afterwards. Corrected: shifts by motion scale with
the side, which the reference has at 128 only. Inferred: zero beyond the border of a blur, and
of a moved image.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from napari_mrissl.pretext.synthesis.label_crops import rotation
from napari_mrissl.pretext.synthesis.settings import OnlineSettings

_ORDER = 3
_MOVES = 2
_REFERENCE_SIDE = 128


def augmented(
    image: torch.Tensor, rng: np.random.Generator, settings: OnlineSettings
) -> torch.Tensor:
    """A view (S, S, S) after those stages that are drawn to act, in the published order."""

    # Drawn whether it acts or not: a stage that is left out leaves the others as they are.
    def acts(probability: float) -> tuple[bool, np.random.Generator]:
        own = np.random.default_rng(rng.integers(1 << 63))
        return bool(own.random() < probability), own

    act, own = acts(settings.blur)
    if act:
        image = blurred(image, own.uniform(0, settings.blur_sigma, 3).tolist())
    act, own = acts(settings.noise)
    if act:
        std = own.uniform(0, settings.noise_std)
        noise = std * own.standard_normal(tuple(image.shape), np.float32)
        image = image + torch.from_numpy(noise).to(image)
    act, own = acts(settings.bias)
    if act:
        limit = settings.bias_coefficient
        image = image * bias_field(own.uniform(-limit, limit, _TERMS), image)
    act, own = acts(settings.gamma)
    if act:
        gamma = math.exp(own.uniform(-settings.log_gamma, settings.log_gamma))
        image = image.sign() * image.abs() ** gamma
    act, own = acts(settings.motion)
    return moved(image, own, settings) if act else image


def blurred(image: torch.Tensor, sigma: list[float]) -> torch.Tensor:
    """A Gaussian blur of an image (S, S, S), with its own width in voxels along each axis."""
    for axis, width in enumerate(sigma):
        reach = math.ceil(4 * width)
        if reach == 0:
            continue
        places = torch.arange(-reach, reach + 1, dtype=torch.float64)
        taps = torch.exp(-0.5 * (places / width) ** 2)
        taps = (taps / taps.sum()).to(image)
        lines = image.movedim(axis, -1)
        flat = lines.reshape(-1, 1, lines.shape[-1])
        smooth = functional.conv1d(flat, taps[None, None], padding=reach)
        image = smooth.reshape(lines.shape).movedim(-1, axis)
    return image


def bias_field(coefficients: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """(S, S, S) the exponential of a polynomial of degree 3 in positions from -1 to 1."""
    total = torch.zeros_like(like)
    z, y, x = (
        torch.linspace(-1, 1, side, device=like.device, dtype=like.dtype).reshape(shape)
        for side, shape in zip(like.shape, ((-1, 1, 1), (-1, 1), (-1,)), strict=True)
    )
    for weight, (i, j, k) in zip(coefficients.tolist(), _POWERS, strict=True):
        total = total + weight * z**i * y**j * x**k
    return total.exp()


def moved(image: torch.Tensor, rng: np.random.Generator, settings: OnlineSettings) -> torch.Tensor:
    """An image whose k-space was filled, plane after plane, while the head moved twice.

    The position that holds the middle of k-space is that of the image, so that a view stays
    where its labels are.
    """
    side = len(image)
    # One after the other, each about its share of the time.
    share = 1 / (_MOVES + 1)
    times = share * (np.arange(1, _MOVES + 1) + rng.uniform(-0.5, 0.5, _MOVES))
    ends = [0, *(round(time * side) for time in times.tolist()), side]
    spectra = []
    for _ in range(_MOVES):
        angles = np.radians(rng.uniform(-1, 1, 3) * settings.motion_degrees)
        shift = rng.uniform(-1, 1, 3) * settings.motion_shift * side / _REFERENCE_SIDE
        spectra.append(_spectrum(_rigid(image, angles, shift)))
    middle = next(n for n in range(_MOVES + 1) if ends[n] <= side // 2 < ends[n + 1])
    spectra.insert(middle, _spectrum(image))
    parts = [
        spectrum[first:last]
        for spectrum, first, last in zip(spectra, ends[:-1], ends[1:], strict=True)
    ]
    filled = torch.fft.ifftshift(torch.cat(parts), dim=0)
    back: torch.Tensor = torch.fft.ifftn(filled).real.to(image.dtype)
    return back


def _spectrum(image: torch.Tensor) -> torch.Tensor:
    spectrum: torch.Tensor = torch.fft.fftshift(torch.fft.fftn(image), dim=0)
    return spectrum


def _rigid(image: torch.Tensor, angles: np.ndarray, shift: np.ndarray) -> torch.Tensor:
    """Turned about the middle (radians) and shifted (voxels), by linear interpolation."""
    matrix = np.concatenate([rotation(angles), 2 * shift[:, None] / len(image)], axis=1)
    # grid_sample has x first.
    turned = torch.from_numpy(np.ascontiguousarray(matrix[::-1][:, [2, 1, 0, 3]])).to(image)
    grid = functional.affine_grid(turned[None], [1, 1, *image.shape], align_corners=False)
    return functional.grid_sample(image[None, None], grid, align_corners=False)[0, 0]


_POWERS = tuple(
    (i, j, k)
    for i in range(_ORDER + 1)
    for j in range(_ORDER + 1 - i)
    for k in range(_ORDER + 1 - i - j)
)
_TERMS = len(_POWERS)
