"""The filters one by one: Gaussian, gradient magnitude, Hessian eigenvalues, MIND-SSC.

All work on a float32 (S, A, R) volume with spacing in mm and run in a few threads.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

Image = NDArray[np.float32]

_AT_ONCE = 64
"""Slices between two looks at whether the user wants to cancel."""

_TRUNCATE = 4.0
"""Standard deviations after which a Gaussian is cut off, as in scipy."""

CLIP = (-1.0, 2.0)
"""Normalised values kept: metal in a CT must not drown everything else."""

MIND_CHANNELS = 12


def normalised(volume: Volume, cancelled: IsCancelled | None = None) -> Image:
    """The volume as float32 with its 0.5 and 99.5 percentiles at 0 and 1, clipped to -1..2.

    Voxels that are NaN or infinite count as the low percentile, 0.
    """
    return scaled(volume, volume.value_range(), CLIP, cancelled)


def scaled(
    volume: Volume,
    ends: tuple[float, float],
    clip: tuple[float, float],
    cancelled: IsCancelled | None = None,
) -> Image:
    """The volume as float32 with two of its values at 0 and 1, then clipped.

    Voxels that are NaN or infinite become 0.
    """
    from napari_mrissl.features import kernels

    low, high = ends
    out = np.empty(volume.shape, np.float32)
    constants = (volume.slope, volume.intercept, low, 1.0 / (high - low), *clip)
    _in_slabs(
        lambda first, last: kernels.normalise(volume.data, *constants, out, first, last),
        out,
        cancelled,
    )
    return out


def gaussian(
    image: Image,
    sigma_mm: float,
    spacing: ArrayLike,
    out: Image | None = None,
    cancelled: IsCancelled | None = None,
) -> Image:
    """The image smoothed by a Gaussian of this standard deviation in mm along every axis.

    Along an axis whose voxels are much longer than the Gaussian nothing is smoothed.
    """
    from napari_mrissl.features import kernels

    taps = [_half_gaussian(sigma_mm / step) for step in np.asarray(spacing, np.float64)]
    result = np.empty(image.shape, np.float32) if out is None else out
    _in_slabs(
        lambda first, last: kernels.smooth(image, *taps, result, first, last), result, cancelled
    )
    return result


def gradient_magnitude(
    smoothed: Image,
    sigma_mm: float,
    spacing: ArrayLike,
    out: Image | None = None,
    cancelled: IsCancelled | None = None,
) -> Image:
    """Length of the gradient of an image smoothed by `sigma_mm`, times `sigma_mm`.

    The factor makes scales comparable (Lindeberg's normalisation, gamma 1).
    """
    from napari_mrissl.features import kernels

    result = np.empty(smoothed.shape, np.float32) if out is None else out
    steps = np.asarray(spacing, np.float64)
    _in_slabs(
        lambda first, last: kernels.gradient_magnitude(
            smoothed, steps, sigma_mm, result, first, last
        ),
        result,
        cancelled,
    )
    return result


def hessian_eigenvalues(
    smoothed: Image,
    sigma_mm: float,
    spacing: ArrayLike,
    out: Image | None = None,
    cancelled: IsCancelled | None = None,
) -> Image:
    """Eigenvalues (3, S, A, R), ascending, of the Hessian of a smoothed image, times sigma^2."""
    from napari_mrissl.features import kernels

    result = np.empty((3, *smoothed.shape), np.float32) if out is None else out
    steps = tuple(float(step) for step in np.asarray(spacing, np.float64))
    _in_slabs(
        lambda first, last: kernels.hessian_eigenvalues(
            smoothed, steps, sigma_mm**2, result[0], result[1], result[2], first, last
        ),
        smoothed,
        cancelled,
    )
    return result


def mind_ssc(
    image: Image,
    spacing: ArrayLike | None = None,
    radius_mm: float = 1.0,
    dilation_mm: float = 2.0,
    out: Image | None = None,
    cancelled: IsCancelled | None = None,
) -> Image:
    """MIND with self-similarity context: 12 channels (12, S, A, R), 0 to 1.

    Each channel compares two of the six neighbours at `dilation_mm` that lie at right
    angles, by the mean squared difference over a patch of `radius_mm`; the least
    channel is subtracted, the mean channel (clipped to 0.001 to 1000 times its mean over
    the volume) divides, and the exponential of the negative is taken. Lengths are rounded
    to whole voxels, at least one; without `spacing` they are voxels.

    Faithful to Heinrich et al. 2013 (MIND-SSC) as ConvexAdam computes it, but for the
    order of the channels: pairs of the neighbours -S, +S, -A, +A, -R, +R.
    """
    from napari_mrissl.features import kernels

    steps = np.ones(3) if spacing is None else np.asarray(spacing, np.float64)
    reach = np.maximum(np.rint(dilation_mm / steps), 1).astype(np.int64)
    radius = np.maximum(np.rint(radius_mm / steps), 1).astype(np.int64)
    result = np.empty((MIND_CHANNELS, *image.shape), np.float32) if out is None else out
    width = int(reach.max())
    padded = np.pad(image, width, mode="edge")
    for channel, (one, other) in zip(result, _orthogonal_pairs(reach), strict=True):
        given = padded, width, one, other, radius, channel
        _in_slabs(
            lambda first, last, given=given: kernels.patch_distance(*given, first, last),  # type: ignore[misc]
            image,
            cancelled,
        )
    del padded
    sums = np.zeros(len(image))
    _in_slabs(
        lambda first, last: kernels.subtract_least(result, sums, first, last), image, cancelled
    )
    mean = float(sums.sum() / image.size) or 1.0
    _in_slabs(
        lambda first, last: kernels.similarity(result, 1e-3 * mean, 1e3 * mean, first, last),
        image,
        cancelled,
    )
    return result


def _orthogonal_pairs(
    reach: NDArray[np.int64],
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    units = [sign * np.eye(3, dtype=np.int64)[axis] for axis in range(3) for sign in (-1, 1)]
    pairs = combinations(units, 2)
    return [(one * reach, other * reach) for one, other in pairs if not np.any(one * other)]


def _half_gaussian(sigma: float) -> NDArray[np.float32]:
    reach = int(_TRUNCATE * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(reach + 1) / max(sigma, 1e-6)) ** 2)
    return np.asarray(taps / (taps[0] + 2 * taps[1:].sum()), np.float32)


def _in_slabs(
    run: Callable[[int, int], object], image: NDArray[np.float32], cancelled: IsCancelled | None
) -> None:
    """Call `run` on all slices, in threads, asking now and then whether to stop."""
    slices = image.shape[-3]
    for start in range(0, slices, _AT_ONCE):
        stop_if(cancelled)
        stop = min(start + _AT_ONCE, slices)
        over_rows(
            lambda first, last, start=start: run(start + first, start + last),  # type: ignore[misc]
            stop - start,
            (stop - start) * image.shape[-2] * image.shape[-1],
        )
