"""Binary shapes made by rule: blobs, ellipsoids, tubes, sheets and cells of smooth noise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline

Shape = NDArray[np.bool_]


def procedural_masks(seed: int) -> Iterator[Shape]:
    """Endless shapes of 16 to 112 voxels a side, one kind after the other."""
    for number, make in enumerate(itertools.cycle((_blob, _ellipsoid, _tube, _sheet, _cell))):
        rng = np.random.default_rng([seed, number])
        side = round(float(np.exp(rng.uniform(np.log(16), np.log(112)))))
        shape = make(rng, side)
        if shape.any():
            yield shape


def _grid(side: int) -> list[NDArray[np.float32]]:
    line = np.linspace(-1, 1, side, dtype=np.float32)
    return list(np.meshgrid(line, line, line, indexing="ij", sparse=True))


def _noise(rng: np.random.Generator, side: int, nodes: int) -> NDArray[np.float32]:
    """Smooth noise of standard deviation about 1."""
    coarse = rng.standard_normal((nodes,) * 3).astype(np.float32)
    # Cubic, so that borders of what is cut out of it are smooth; an axis at a time.
    curve = CubicSpline(np.arange(nodes), np.eye(nodes))
    weights = curve(np.linspace(0, nodes - 1, side)).astype(np.float32)
    smooth: NDArray[np.float32] = np.einsum(
        "ijk,zi,yj,xk->zyx", coarse, weights, weights, weights, optimize=True
    )
    smooth /= smooth.std() + np.float32(1e-6)
    return smooth


def _largest(mask: Shape) -> Shape:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    largest: Shape = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return largest


def _blob(rng: np.random.Generator, side: int) -> Shape:
    """A ball whose radius follows smooth noise."""
    z, y, x = _grid(side)
    radius = np.sqrt(z * z + y * y + x * x)
    bumps = rng.uniform(0.05, 0.25) * _noise(rng, side, int(rng.integers(3, 7)))
    return _largest(radius < 0.7 + bumps)


def _ellipsoid(rng: np.random.Generator, side: int) -> Shape:
    z, y, x = _grid(side)
    axes = rng.uniform(0.3, 1, 3)
    inside: Shape = (z / axes[0]) ** 2 + (y / axes[1]) ** 2 + (x / axes[2]) ** 2 < 1
    return inside


def _tube(rng: np.random.Generator, side: int) -> Shape:
    """All voxels near a smooth curve."""
    knots = rng.uniform(0.1, 0.9, (int(rng.integers(3, 6)), 3)) * (side - 1)
    curve = CubicSpline(np.linspace(0, 1, len(knots)), knots)(np.linspace(0, 1, 8 * side))
    points = np.unique(np.clip(np.rint(curve), 0, side - 1).astype(np.intp), axis=0)
    away = np.ones((side,) * 3, bool)
    away[tuple(points.T)] = False
    width = rng.uniform(0.03, 0.1) * side + 1
    near: Shape = ndimage.distance_transform_edt(away) < width
    return near


def _sheet(rng: np.random.Generator, side: int) -> Shape:
    """A thin curved layer."""
    z, _, _ = _grid(side)
    height = rng.uniform(0.1, 0.5) * _noise(rng, side, int(rng.integers(3, 6)))[side // 2]
    inside: Shape = np.abs(z - height[None]) < rng.uniform(0.04, 0.15) + 1 / side
    return inside


def _cell(rng: np.random.Generator, side: int) -> Shape:
    """One label of an argmax over smooth noise fields (SynthMorph's shapes, 2004.10282)."""
    nodes = int(rng.integers(3, 6))
    fields = np.stack([_noise(rng, side, nodes) for _ in range(4)])
    return _largest(np.argmax(fields, axis=0) == 0)
