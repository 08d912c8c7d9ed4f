"""The numpy way to sample voxels: what serves until the compiled kernels are ready.

The rules are those of `napari_mrissl.slicing.kernels`, step by step: coordinates in
float64, inside = up to half a voxel beyond the outer centres, clamped there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.slicing.voxels import Voxels

TOLERANCE = 1e-6
"""Voxels by which a pixel may miss the border and still be inside: rounding.

Kernels cached on disk hold this number: touch ``kernels.py`` when it changes.
"""

_PIXELS_AT_ONCE = 65_536


def number_type(dtype: np.dtype[Any]) -> type[np.float32] | type[np.float64]:
    """The type in which voxels are interpolated: float64 where float32 would round them."""
    exact = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.float32 if exact else np.float64


def gather_linear(
    voxels: Voxels,
    planes: NDArray[np.float64],
    slope: float,
    intercept: float,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    """Fill ``values`` and ``valid`` (K, I, J) by trilinear interpolation."""
    flat = voxels.flat
    number = number_type(flat.dtype)
    for plane, rows, coordinates in _blocks(planes, values.shape):
        inside = _inside(coordinates, voxels.shape)
        index = np.full(inside.shape, voxels.start, np.intp)
        weights, steps = [], []
        for position, n, stride in zip(coordinates, voxels.shape, voxels.strides, strict=True):
            np.clip(position, 0, n - 1, out=position)
            first = np.minimum(position.astype(np.intp), max(n - 2, 0))
            weights.append((position - first).astype(number))
            steps.append(stride if n > 1 else 0)
            index += first * stride

        w0, w1, w2 = weights
        s0, s1, s2 = steps

        def along_last(at: NDArray[np.intp], w: Any = w2, step: int = s2) -> NDArray[Any]:
            low: NDArray[Any] = flat[at].astype(number)
            high: NDArray[Any] = flat[at + step].astype(number)
            mixed: NDArray[Any] = low + w * (high - low)
            return mixed

        low = along_last(index)
        low += w1 * (along_last(index + s1) - low)
        high = along_last(index + s0)
        high += w1 * (along_last(index + (s0 + s1)) - high)
        low += w0 * (high - low)
        values[plane, rows] = np.where(inside, low * number(slope) + number(intercept), 0)
        valid[plane, rows] = inside


def gather_nearest(
    voxels: Voxels,
    planes: NDArray[np.float64],
    slope: float,
    intercept: float,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    """Fill ``values`` and ``valid`` (K, I, J) with the value of the nearest voxel."""
    for plane, rows, coordinates in _blocks(planes, values.shape):
        inside = _inside(coordinates, voxels.shape)
        found = voxels.flat[_nearest(coordinates, voxels)]
        values[plane, rows] = np.where(inside, found * np.float64(slope) + intercept, 0)
        valid[plane, rows] = inside


def gather_labels(voxels: Voxels, planes: NDArray[np.float64], labels: NDArray[Any]) -> None:
    """Fill ``labels`` (K, I, J), of the voxels' dtype, with the nearest label; outside 0."""
    for plane, rows, coordinates in _blocks(planes, labels.shape):
        inside = _inside(coordinates, voxels.shape)
        labels[plane, rows] = voxels.flat[_nearest(coordinates, voxels)]
        labels[plane, rows][~inside] = 0


def _blocks(
    planes: NDArray[np.float64], shape: tuple[int, ...]
) -> Iterator[tuple[int, slice, tuple[NDArray[np.float64], ...]]]:
    """Blocks of whole rows: plane number, rows, and voxel coordinates (3 x (rows, J))."""
    _, height, width = shape
    step = max(1, _PIXELS_AT_ONCE // max(width, 1))
    columns = np.arange(width, dtype=np.float64)
    for k, (origin, down, across) in enumerate(planes):
        for start in range(0, height, step):
            rows = np.arange(start, min(start + step, height), dtype=np.float64)[:, None]
            coordinates = tuple(
                (o + rows * d) + columns * a for o, d, a in zip(origin, down, across, strict=True)
            )
            yield k, slice(start, start + step), coordinates


def _inside(
    coordinates: tuple[NDArray[np.float64], ...], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    inside = np.ones(coordinates[0].shape, bool)
    for position, n in zip(coordinates, shape, strict=True):
        inside &= (position >= -0.5 - TOLERANCE) & (position <= n - 0.5 + TOLERANCE)
    return inside


def _nearest(coordinates: tuple[NDArray[np.float64], ...], voxels: Voxels) -> NDArray[np.intp]:
    index = np.full(coordinates[0].shape, voxels.start, np.intp)
    for position, n, stride in zip(coordinates, voxels.shape, voxels.strides, strict=True):
        np.clip(position + 0.5, 0, n - 1, out=position)
        index += position.astype(np.intp) * stride
    return index
