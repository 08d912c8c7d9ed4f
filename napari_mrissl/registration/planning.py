"""The grid on which scans are compared, and what that takes, before anything is computed."""

from __future__ import annotations

import math

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.source import Estimate
from napari_mrissl.registration.grids import Grid, working_grid
from napari_mrissl.registration.settings import RegistrationSettings
from napari_mrissl.volumes import Volume

_CHANNELS = {"mind": 12, "network": 16, "both": 28, "intensity": 1}
_AT_ONCE = {"mind": 13, "network": 16, "both": 16, "intensity": 2}
"""Volumes that are there at one time while features are computed: MIND pads the image."""

_SCANS, _PREPARING = 12, 18
"""Bytes a voxel of both prepared scans with masks, and of what else there is while one is made."""

_FIELDS = 24
"""Numbers a node of Adam's parameters, field, gradients and moments."""

_MARGIN, _FREED, _MOST_FREED, _ALWAYS = 1.1, 8, 1 << 26, 1 << 23
"""What the sum of all arrays is exceeded by: by libraries, and by freed arrays that the C library
keeps for later (those below 32 MiB).

With them the estimate is 1.01 to 1.35 times what was measured, as growth of the resident memory of
a process that had compiled everything, on 64^3 to 160 x 192 x 160 voxels with MIND (8 and 12
channels) and grey values, nodes of 1, 2 and 4 voxels, with and without masks. Below 30 MiB it is
up to 1.5 times that.
"""

_GROWTH = 1.05

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
        If no grid is coarse enough: every side has at least two nodes of both grids.
    """
    multiple = math.lcm(settings.grid, settings.adam_grid)
    limit = settings.memory_gib * 2**30
    least = memory((2 * multiple) ** 3, settings)
    if least > limit:
        enough = math.ceil(1000 * least / 2**30) / 1000
        raise MrisslError(
            f"{settings.memory_gib:g} GiB do not suffice for any grid",
            where="memory_gib",
            expected=f"at least {enough:g} GiB, for a grid of {2 * multiple} voxels a side",
            remedy="allow more, or choose search and field grids of which one divides the other",
        )
    grid = working_grid(fixed, settings.spacing_mm, multiple)
    while (needed := memory(grid.voxels, settings)) > limit:
        grid = working_grid(fixed, _GROWTH * float(grid.spacing.max()), multiple)
    return grid, Estimate(int(needed), 0, _seconds(grid.voxels, settings))


def memory(voxels: int, settings: RegistrationSettings) -> float:
    """Bytes at the peak, beside the given scans and what a network's pass takes for itself."""
    channels = _CHANNELS[settings.features]
    kept = min(settings.channels or channels, channels)
    coarse, fine = voxels / settings.grid**3, voxels / settings.adam_grid**3
    nodes, width = coarse + fine, 2 * settings.search
    pools = 4.0 * (2 * kept + 1) * nodes
    around = kept * (math.cbrt(coarse) + width) ** 3
    features = 4.0 * max(
        voxels * _AT_ONCE[settings.features] + channels * nodes,
        voxels * min(channels, _AT_ONCE[settings.features]) + 2 * channels * nodes,
        3 * channels * nodes,
    )
    search = pools + 4.0 * (coarse * ((width + 1) ** 3 + 30) + around)
    refinement = pools + 4.0 * fine * (2 * kept + _FIELDS)
    peak = voxels * _SCANS + max(voxels * _PREPARING, features, search, refinement)
    return _MARGIN * peak + min(_FREED * voxels, _MOST_FREED) + _ALWAYS


def _seconds(voxels: int, settings: RegistrationSettings) -> float:
    channels = _CHANNELS[settings.features]
    kept = min(settings.channels or channels, channels)
    tried = (2 * settings.search + 1) ** 3 * (1 + settings.inverse_consistent)
    search = _PER_COST * tried * voxels / settings.grid**3
    node_steps = settings.iterations * voxels / settings.adam_grid**3
    steps = _PER_MATCH * (kept + _STEP_IN_CHANNELS) * node_steps
    return 2 * _SECONDS[settings.features] * voxels + search + steps + _PER_VOXEL * voxels
