"""The grid on which scans are compared, and what that takes, before anything is computed."""

from __future__ import annotations

import math

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.source import Estimate
from napari_mrissl.registration.grids import Grid, working_grid
from napari_mrissl.registration.settings import RegistrationSettings
from napari_mrissl.volumes import Volume

_CHANNELS = {"mind": 12, "network": 16, "both": 28, "intensity": 1}
_AT_ONCE = {"mind": 13, "network": 16, "both": 16, "intensity": 1}
"""Channels of the features that are there at full size at one time: MIND pads the image."""

_GROWTH, _MOST_STEPS = 1.05, 60

_SECONDS = {"mind": 6e-8, "network": 4.0e-6, "both": 4.1e-6, "intensity": 2e-8}
_PER_COST, _PER_MATCH, _PER_VOXEL = 1.1e-8, 2.8e-9, 1.6e-7
_STEP_IN_CHANNELS = 10
"""Processor seconds on one core: features of a voxel, a node's displacement, a channel and step of
a node, and everything else of a voxel; and to how many channels what else a step does comes.

Measured for MIND on 64^3 (EPYC, AVX-512); the network's is that of the published one on 128^3.
"""


def plan(fixed: Volume, settings: RegistrationSettings) -> tuple[Grid, Estimate]:
    """The grid of comparison, as coarse as `settings.memory_gib` asks, and what it takes.

    Raises
    ------
    MrisslError
        If no grid is coarse enough.
    """
    multiple = math.lcm(settings.grid, settings.adam_grid)
    side = settings.spacing_mm
    limit = settings.memory_gib * 2**30
    grid = working_grid(fixed, side, multiple)
    for _ in range(_MOST_STEPS):
        needed = memory(grid.voxels, settings)
        if needed <= limit:
            return grid, Estimate(int(needed), 0, _seconds(grid.voxels, settings))
        side = _GROWTH * float(grid.spacing.max())
        grid = working_grid(fixed, side, multiple)
    raise MrisslError(
        f"{settings.memory_gib:g} GiB do not suffice for any grid",
        where="memory_gib",
        remedy="allow more memory, or choose a smaller search reach",
    )


def memory(voxels: int, settings: RegistrationSettings) -> float:
    """Bytes at the peak, beside the scans and what a network's pass takes for itself."""
    channels = _CHANNELS[settings.features]
    kept = min(settings.channels or channels, channels)
    coarse, fine = voxels / settings.grid**3, voxels / settings.adam_grid**3
    images = 2 * voxels * 6.0
    features = 4.0 * voxels * _AT_ONCE[settings.features] + 2 * 4.0 * channels * (coarse + fine)
    search = 4.0 * coarse * ((2 * settings.search + 1) ** 3 + 2 * kept + 30)
    refinement = 4.0 * fine * (4 * kept + 30)
    field = 4.0 * voxels * 5
    return images + max(features, 8.0 * kept * (coarse + fine) + max(search, refinement), field)


def _seconds(voxels: int, settings: RegistrationSettings) -> float:
    channels = _CHANNELS[settings.features]
    kept = min(settings.channels or channels, channels)
    tried = (2 * settings.search + 1) ** 3 * (1 + settings.inverse_consistent)
    search = _PER_COST * tried * voxels / settings.grid**3
    node_steps = settings.iterations * voxels / settings.adam_grid**3
    steps = _PER_MATCH * (kept + _STEP_IN_CHANNELS) * node_steps
    return 2 * _SECONDS[settings.features] * voxels + search + steps + _PER_VOXEL * voxels
