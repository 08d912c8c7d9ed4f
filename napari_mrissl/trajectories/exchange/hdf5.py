"""Export of flights as one HDF5 file in stable-worldmodel's columns.

Written from the published layout: all frames of all episodes one after the other in columns
``pixels``, ``action`` and whatever else there is; ``ep_len`` and ``ep_offset`` say where each
episode lies (stable-worldmodel 0.1, ``HDF5Dataset``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.trajectories.exchange.hdf5_file import new_hdf5
from napari_mrissl.trajectories.exchange.stretches import Stretch, Stretches

TOLD = "napari_mrissl"
"""Attribute of the file: JSON of how the flights were made, and over which scans."""

_PIXELS = "pixels"
_NUMBERS = {
    "action": (np.float32, (7,)),
    "state": (np.float64, (8,)),
    "timestamp": (np.float64, ()),
    "episode_idx": (np.int64, ()),
    "step_idx": (np.int64, ()),
}
_ROWS = 1024


def write(stretches: Stretches, partial: Path) -> None:
    """Write the file.

    ``pixels`` (frames, N, N, 3) uint8, three equal channels; ``action`` (frames, 7) float32,
    zeros in an episode's last; ``state`` (frames, 8) float64, the pose; ``timestamp`` float64
    in seconds; ``episode_idx``, ``step_idx``; ``ep_len`` and ``ep_offset``.
    """
    # The newest file layout: stable-worldmodel reads while others write, which needs it.
    with new_hdf5(partial, libver="latest") as (file, check):
        _write(file, stretches, check)


def columns_of(stretch: Stretch, hertz: float) -> dict[str, NDArray[Any]]:
    """A stretch's numbers by column."""
    count = len(stretch)
    return {
        "action": stretch.actions.astype(np.float32),
        "state": stretch.poses,
        "timestamp": np.arange(count) / hertz,
        "episode_idx": np.full(count, stretch.number),
        "step_idx": np.arange(count),
    }


def _write(file: Any, stretches: Stretches, check: Callable[[], None]) -> None:
    total, size = stretches.total, stretches.size
    pixels = file.create_dataset(
        _PIXELS, (total, size, size, 3), np.uint8, chunks=(1, size, size, 3), compression="gzip"
    )
    for name, (dtype, shape) in _NUMBERS.items():
        file.create_dataset(name, (total, *shape), dtype, chunks=(min(total, _ROWS), *shape))
    lengths, made, start = [], [], 0
    for stretch in stretches:
        count = len(stretch)
        for name, values in columns_of(stretch, stretches.hertz).items():
            file[name][start : start + count] = values
        first = start
        for part in stretches.pictures(stretch):
            pixels[first : first + len(part)] = np.repeat(part[..., None], 3, axis=-1)
            first += len(part)
            check()
        lengths.append(count)
        made.append(stretch.made)
        start += count
    file["ep_len"] = np.array(lengths, np.int32)
    file["ep_offset"] = np.cumsum([0, *lengths[:-1]], dtype=np.int64)
    told = {**stretches.told(), "hertz": stretches.hertz, "episodes": made}
    file.attrs["fps"] = stretches.hertz
    file.attrs[TOLD] = np.bytes_(json.dumps(told, allow_nan=False))
