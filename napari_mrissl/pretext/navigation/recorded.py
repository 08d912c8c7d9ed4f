"""Recorded flights as a run keeps them: poses by scan, in one file known by its sha256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.networks import weights
from napari_mrissl.trajectories.dataset import Dataset
from napari_mrissl.trajectories.frames import Episodes
from napari_mrissl.trajectories.scan_index import locate

Flights = Mapping[str, tuple[NDArray[np.float64], ...]]
"""Stretches of poses (n, 8) by the identity of their scan."""

_NAME = re.compile(r"([0-9a-f]{64})/[0-9]{1,7}")
_WHERE = "recorded flights"


def flights_of(dataset: str | Path, frames: int, hertz: float) -> Flights:
    """What a dataset has in stretches of so many frames or more, at a steady rate.

    No stretch leads over a pause in which the plane was moved.

    Raises
    ------
    MrisslError
        If the dataset cannot be read, or has none.
    """
    episodes = Episodes(Dataset.open(dataset))
    found: dict[str, list[NDArray[np.float64]]] = {}
    for number, entry in enumerate(episodes.entries):
        poses = episodes.table(number)["pose"]
        for rows in episodes.stretches(number, hertz):
            if len(rows) >= frames:
                found.setdefault(entry.identity, []).append(poses[rows].astype(np.float64))
    if not found:
        raise MrisslError(
            f"no flight of {frames} frames at {hertz:g} a second",
            where=dataset,
            expected="longer flights",
            remedy="record longer ones, or take more frames a second",
        )
    return {identity: tuple(stretches) for identity, stretches in sorted(found.items())}


def save(path: Path, flights: Flights, hertz: float) -> str:
    """Write flights; the sha256 of the file.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    arrays = {
        f"{identity}/{number}": poses
        for identity, stretches in flights.items()
        for number, poses in enumerate(stretches)
    }
    weights.save_arrays(path, arrays, {"content": "flights", "hertz": hertz})
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=4)
def known(sha256: str) -> Flights:
    """The flights of a run, from where this machine knows its file.

    Raises
    ------
    MrisslError
        If it is not known here, or is another one by now.
    """
    path = locate(sha256)
    try:
        content = b"" if path is None else path.read_bytes()
    except OSError:
        content = b""
    if path is None or hashlib.sha256(content).hexdigest() != sha256:
        raise MrisslError(
            "are missing or others than the settings say",
            where=_WHERE,
            expected="the file that was written when the run was made",
            remedy="make the run again",
        )
    found: dict[str, list[NDArray[np.float64]]] = {}
    for name, poses in sorted(weights.load_arrays(path).items()):
        identity = _NAME.fullmatch(name)
        if identity is None or poses.ndim != 2 or len(poses) < 1:
            raise MrisslError("hold what is no flight", where=_WHERE)
        for row in poses:
            Pose.from_row(row)
        found.setdefault(identity[1], []).append(poses.astype(np.float64))
    return {identity: tuple(stretches) for identity, stretches in found.items()}
