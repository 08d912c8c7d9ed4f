"""Smooth noise: sums of trilinearly upsampled coarse Gaussian fields, at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.synthesis.draws import coarse_noise
from napari_mrissl.synthesis.settings import REFERENCE_SIDE


def nodes_of(scales: tuple[int, ...]) -> tuple[int, ...]:
    """Nodes along each side of the coarse fields, the same for every side of the volume.

    Corrected: the distance between nodes scales with the side.
    """
    return tuple(math.ceil(REFERENCE_SIDE / scale) for scale in scales)


def draw_fields(
    rng: np.random.Generator,
    scales: tuple[int, ...],
    std: tuple[float, float],
    components: int = 1,
) -> tuple[tuple[float, ...], NDArray[np.float32]]:
    """The standard deviation per scale, and all coarse fields.

    Returns
    -------
    stds, coarse
        One number per scale; (components, nodes of all fields) float32, scale after scale.
    """
    stds = tuple(float(rng.uniform(*std)) for _ in scales)
    parts = [
        coarse_noise(rng, (components, n**3), strength)
        for n, strength in zip(nodes_of(scales), stds, strict=True)
    ]
    if not parts:
        return stds, np.zeros((components, 0), np.float32)
    return stds, np.ascontiguousarray(np.concatenate(parts, axis=1))


@dataclass(frozen=True, eq=False)
class Upsampling:
    """How fields of ``nodes`` grow to ``side`` (trilinear, corners not aligned).

    Attributes
    ----------
    nodes
        (fields,) int64.
    before, mix
        (fields, side): the node before each voxel, and the weight of the one after it.
    weights
        (sum of nodes, side) float32: the same as a matrix per field.
    """

    nodes: NDArray[np.int64]
    before: NDArray[np.int64]
    mix: NDArray[np.float32]
    weights: NDArray[np.float32]


@lru_cache(maxsize=16)
def upsampling(nodes: tuple[int, ...], side: int) -> Upsampling:
    """The tables for fields of these nodes and this side of the volume."""
    before = np.zeros((len(nodes), side), np.int64)
    mix = np.zeros((len(nodes), side), np.float32)
    weights = np.zeros((sum(nodes), side), np.float32)
    start = 0
    for field, n in enumerate(nodes):
        at = np.maximum((np.arange(side) + 0.5) * n / side - 0.5, 0)
        first = np.floor(at).astype(np.int64)
        before[field], mix[field] = first, at - first
        columns = np.arange(side)
        weights[start + first, columns] += 1 - mix[field]
        weights[start + np.minimum(first + 1, n - 1), columns] += mix[field]
        start += n
    return Upsampling(np.array(nodes, np.int64), before, mix, weights)
