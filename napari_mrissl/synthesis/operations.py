"""What a device must be able to do for the data engine: one protocol, two implementations.

`compiled.CompiledOperations` runs numba kernels on numpy arrays, `torch_operations`
the same arithmetic on tensors of any device. Volumes are (S, S, S); labels are uint8 and
grey values float32.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.synthesis.templates import Templates

Array = Any
"""A numpy array or a tensor, whichever the operations work on."""

WHOLE = 1 << 32

_SMALLEST_RANGE = 1e-20


class Placements(NamedTuple):
    """Affine maps from voxels to templates, in whole numbers that wrap around as they do.

    A coordinate is a fraction of the template's period, in units of 2^-32: the same
    integers on every device, hence the same labels.

    Attributes
    ----------
    numbers
        (n,) which template.
    origins
        (n, 3) coordinates of voxel (0, 0, 0), 0 <= origin < 2^32.
    steps
        (n, 3, 3) what a step along each output axis (last index) adds.
    limits
        (n, 3) coordinates below this lie in the template's box.
    periods
        (n, 3) the period in template voxels.
    """

    numbers: NDArray[np.int64]
    origins: NDArray[np.int64]
    steps: NDArray[np.int64]
    limits: NDArray[np.int64]
    periods: NDArray[np.int64]


class Scaled(NamedTuple):
    """Grey values that are still to be brought to [0, 1], by the next stage in passing."""

    image: Array
    low: float
    high: float


class Operations(Protocol):
    """The stages' arithmetic. Operations may work in place on what they are given."""

    def use(self, templates: Templates) -> None:
        """Hold a pool ready where the volumes lie."""

    def paint(self, placements: Placements, side: int) -> Array:
        """Later templates over earlier ones; the first is what nothing covers."""

    def median(self, labels: Array, width: int) -> Array:
        """Ordinal median of the label numbers; beyond the border the nearest voxel."""

    def ball(
        self,
        nodes: tuple[int, ...],
        coarse: NDArray[np.float32],
        centre: tuple[float, float, float],
        radius: float,
        side: int,
    ) -> Array:
        """A ball warped by smooth noise, (3, nodes) in voxels: 1 inside, 0 outside."""

    def merge(self, labels: Array, mask: Array) -> Array:
        """Outside the mask 0, inside one more than before."""

    def envelope(self, labels: Array, mask: Array, width: float) -> Array:
        """The next free label for what lies within ``width`` voxels of the mask's border."""

    def range_of_labels(self, labels: Array) -> tuple[int, int]:
        """The lowest and the highest label."""

    def mixture(
        self, labels: Array, means: NDArray[np.float32], stds: NDArray[np.float32], key: int
    ) -> Scaled:
        """A Gaussian grey value per voxel, by its label, not below 0."""

    def modulate(
        self,
        scaled: Scaled,
        nodes: tuple[int, ...],
        coarse: NDArray[np.float32],
        amplitude: float,
    ) -> Scaled:
        """Bring to [0, 1], then multiply by 1 + amplitude * smooth noise."""

    def bias(self, scaled: Scaled, coefficients: tuple[float, ...]) -> Array:
        """Bring to [0, 1], then multiply by the exponential of a Legendre polynomial."""

    def spike(self, image: Array, location: tuple[int, int, int], intensity: float) -> Array:
        """Set one point of k-space to ``intensity`` * 2.5 * mean log |k|."""

    def contrast(self, image: Array, gamma: float) -> Array:
        """A gamma curve between the least and the most grey value."""

    def smooth(self, image: Array, sigma: tuple[float, float, float]) -> Array:
        """A Gaussian blur; zero beyond the border."""

    def gibbs(self, image: Array, alpha: float) -> Array:
        """Cut k-space to a ball."""

    def sharpen(
        self,
        image: Array,
        sigma: tuple[float, float, float],
        second: tuple[float, float, float],
        alpha: float,
    ) -> Array:
        """A blurred image plus ``alpha`` times what a second blur takes away."""

    def low_resolution(self, image: Array, zoom: float) -> Array:
        """Down to a coarser grid by the nearest voxel, and up linearly."""

    def finish(self, image: Array) -> Array:
        """Not below 0, then to [0, 1]."""

    def unit(self, scaled: Scaled) -> Array:
        """A copy brought to [0, 1]."""

    def copy(self, array: Array) -> Array:
        """A copy that later operations leave alone."""

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """As a numpy array."""


def stretch(low: float, high: float) -> float:
    """What grey values are multiplied by to fill [0, 1]; 0 for a volume that is constant.

    A spike in the k-space of a black volume leaves a range so small that single precision
    could not hold its reciprocal.
    """
    return 1 / (high - low) if high - low > _SMALLEST_RANGE else 0.0


def gaussian_taps(sigma: float) -> NDArray[np.float32]:
    """Taps of a Gaussian from its centre outwards, by the error function, cut at 4 sigma.

    As in MONAI's ``gaussian_1d``, not normalised.
    """
    from scipy.special import erf

    reach = int(max(sigma * 4, 0.5) + 0.5)
    x = np.arange(reach + 1)
    slope = np.sqrt(0.5) / max(sigma, 1e-12)
    taps = 0.5 * (erf(slope * (x + 0.5)) - erf(slope * (x - 0.5)))
    positive: NDArray[np.float32] = np.maximum(taps, 0).astype(np.float32)
    return positive


def legendre_rows(side: int) -> NDArray[np.float64]:
    """(4, side) Legendre polynomials of degree 0 to 3 over [-1, 1]."""
    x = np.linspace(-1, 1, side, dtype=np.float32).astype(np.float64)
    return np.stack([np.ones(side), x, (3 * x * x - 1) / 2, (5 * x * x - 3) * x / 2])


def legendre_cube(coefficients: tuple[float, ...]) -> NDArray[np.float64]:
    """(4, 4, 4) weights of products of polynomials, those of total degree up to 3."""
    cube = np.zeros((4, 4, 4))
    places = [(i, j, k) for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    cube[tuple(np.array(places).T)] = coefficients
    return cube


def legendre_planes(
    coefficients: tuple[float, ...], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A polynomial as cubic ones along R: their coefficients (S, A, 4), and `legendre_rows`.

    Summed one by one: a matrix product may differ with the number of its threads.
    """
    rows = legendre_rows(side)
    slices = np.einsum("ijk,iz->zjk", legendre_cube(coefficients), rows, optimize=False)
    cubic = np.einsum("zjk,jy->zyk", slices, rows, optimize=False)
    return np.ascontiguousarray(cubic, np.float32), rows.astype(np.float32)


class Wave(NamedTuple):
    """A plane wave: the real part of ``plane`` (S, A) times ``line`` (R)."""

    plane: NDArray[np.complex128]
    line: NDArray[np.complex128]


def frequency_of(location: tuple[int, int, int], side: int) -> tuple[int, int, int]:
    """Of a place in shifted k-space, counted from its middle."""
    z, y, x = (place - side // 2 for place in location)
    return z, y, x


def spike_wave(
    frequency: tuple[int, int, int], old: complex, intensity: float, mean_log: float, side: int
) -> Wave:
    """What to add to a volume so that one point of its k-space gets the wanted size.

    Parameters
    ----------
    frequency
        Of the point.
    old
        Its value in the volume's spectrum.
    intensity, mean_log
        The logarithm of the wanted size is 2.5 times their product.
    side
        Of the volume.
    """
    z, y, x = frequency
    size = abs(old)
    change = (old / size if size else 1.0) * (math.exp(2.5 * intensity * mean_log) - size)
    turns = np.arange(side) / side
    plane = np.exp(2j * np.pi * (z * turns[:, None] + y * turns)) * (change / side**3)
    return Wave(plane, np.exp(2j * np.pi * x * turns))


class Cutoff(NamedTuple):
    """The ball in k-space that `Operations.gibbs` keeps.

    Attributes
    ----------
    squares, partners
        (S,) squared distance along an axis of a frequency, and of its negative, from the
        middle that MONAI takes, which lies half a step off.
    limit
        Squared radius of the ball.
    """

    squares: NDArray[np.float32]
    partners: NDArray[np.float32]
    limit: np.float32


def gibbs_ball(side: int, alpha: float) -> Cutoff:
    """The ball that remains when a part ``alpha`` of the largest radius is cut off."""
    radius = (1 - alpha) * side * math.sqrt(2) / 2
    frequencies = np.fft.ifftshift(np.arange(side) - side // 2)
    squares = ((frequencies + 0.5) ** 2).astype(np.float32)
    partners = np.concatenate([squares[:1], squares[:0:-1]])
    return Cutoff(squares, partners, np.float32(radius * radius))


def coarse_grid(side: int, zoom: float) -> tuple[NDArray[np.int64], ...]:
    """Down and up again along one axis: voxel before, voxel after, and the latter's weight.

    Nearest-exact down to round(side * zoom), linear up; in single precision, as torch.
    """
    count = max(1, round(side * zoom))
    down = np.float32(side) / np.float32(count)
    places = np.floor((np.arange(count, dtype=np.float32) + np.float32(0.5)) * down)
    kept = np.minimum(places.astype(np.int64), side - 1)
    up = np.float32(count) / np.float32(side)
    at = np.maximum(up * (np.arange(side, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5), 0)
    first = np.minimum(at.astype(np.int64), count - 1)
    second = np.minimum(first + 1, count - 1)
    return kept[first], kept[second], (at - first).astype(np.float32)
