"""Random numbers that depend on (seed, index, stage) only: not on order, threads or device.

Parameters are drawn by numpy's counter-based Philox generator on the CPU. Noise per voxel
comes from a hash of the voxel's number, computed where the volume lies: the finaliser of
SplitMix64 (Steele, Lea and Flood 2014) and the Box-Muller transform, the same integers on
every device.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

GOLDEN = 0x9E3779B97F4A7C15
"""SplitMix64's increment; voxel pairs are numbered in steps of it."""

MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def generator(seed: int, index: int, stage: str) -> np.random.Generator:
    """The generator of a stage's parameters."""
    key = int.from_bytes(_digest(seed, index, stage), "little")
    return np.random.Generator(np.random.Philox(key=key))


def voxel_key(seed: int, index: int, stage: str) -> int:
    """The 64-bit key of a stage's noise per voxel."""
    return int.from_bytes(_digest(seed, index, f"{stage}, voxels")[:8], "little")


def coarse_noise(
    rng: np.random.Generator, shape: tuple[int, ...], std: float
) -> NDArray[np.float32]:
    """Gaussian numbers of mean 0 on a coarse grid."""
    return rng.standard_normal(shape, np.float32) * np.float32(std)


def _digest(seed: int, index: int, stage: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{index}/{stage}".encode(), digest_size=16).digest()
