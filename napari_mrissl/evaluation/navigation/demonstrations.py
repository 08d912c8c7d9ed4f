"""Recorded flights to the standard plane: flown by who knows the way, kept as a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation.plane_heads import VIEW_MM, DisplacedHead
from napari_mrissl.evaluation.navigation.standard_plane import volume_centre
from napari_mrissl.geometry import Pose, apply_action, relative_action
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.trajectories.dataset import Dataset, open_or_create
from napari_mrissl.trajectories.flight import flight_of
from napari_mrissl.trajectories.frames import Episodes
from napari_mrissl.volumes import Volume

LIMITS = np.array([0.03, 0.03, 0.03, 0.07, 0.07, 0.07, 0.05])
"""Most of an action: 3 % of the field of view, 4 degrees, 5 % of zoom."""

STILL = 0.05
"""Of each limit: an action below it hardly moves, and two in a row end a flight."""

FRAMES = 24
HERTZ = 4.0
TASK = "fly to the mid-sagittal plane"

_JITTER_MM, _JITTER_DEGREES = 10.0, 10.0
_ERRATIC = 0.5
"""Of each limit: what a step of the demonstrator errs by, so that ways back are shown too."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame of a demonstration.

    Attributes
    ----------
    identity
        Of the scan.
    pose
        Where it was taken.
    action
        (7,) clipped towards the end of the flight.
    """

    identity: str
    pose: Pose
    action: NDArray[np.float64]


def clipped(action: NDArray[np.floating]) -> NDArray[np.float64]:
    """An action within `LIMITS`, in its own direction: shift, turn and zoom each by itself."""
    parts = np.asarray(action, np.float64).copy()
    for part in (slice(0, 3), slice(3, 6), slice(6, 7)):
        most, length = float(LIMITS[part][0]), float(np.linalg.norm(parts[part]))
        if length > most:
            parts[part] *= most / length
    return parts


def start_of(volume: Volume) -> Pose:
    """Where every flight begins: the middle of the grid, sagittal in the world."""
    plane = volume_centre(volume)
    return Pose.from_normal_up(plane.point, plane.normal, (0, 0, 1), VIEW_MM)


def demonstrated(head: DisplacedHead, seed: int, frames: int = FRAMES) -> list[Pose]:
    """A flight from near the start to the standard plane, by who knows where that is."""
    rng = generator(seed, 0, f"demonstration {head.volume.identity}")
    pose = start_of(head.volume)
    moved = (
        rng.uniform(-1, 1, 7)
        * np.r_[np.full(3, _JITTER_MM / pose.fov), np.full(3, np.radians(_JITTER_DEGREES)), 0.1]
    )
    pose = apply_action(pose, moved)
    poses = [pose]
    for step in range(frames - 2):
        action = clipped(relative_action(pose, head.target))
        if step < frames // 2:
            action = action + rng.normal(size=7) * _ERRATIC * LIMITS
        pose = apply_action(pose, action)
        poses.append(pose)
    # The end is what is meant, however far it still was.
    return [*poses, head.target]


def record(
    folder: Path,
    heads: Sequence[DisplacedHead],
    each: int,
    seed: int,
    tell: Callable[[float], object] = lambda part: None,
) -> Dataset:
    """Demonstrations over heads, as an ordinary dataset of flights; those there are not redone.

    Raises
    ------
    MrisslError
        If the folder holds anything else, or the disk refuses.
    """
    dataset = open_or_create(folder, HERTZ)
    there = len(dataset)
    for number, head in enumerate(heads):
        for again in range(max(0, there - each * number), each):
            poses = demonstrated(head, seed + again)
            flight = flight_of(head.volume, poses, HERTZ)
            dataset.append(flight, task=TASK, source="policy", policy="demonstrator", seed=seed)
        tell((number + 1) / len(heads))
    return dataset


def frames_shown(dataset: Dataset) -> list[Shown]:
    """Every frame of a dataset with the clipped action to the last one of its flight.

    What somebody flew to is where the flight ends; frames in which nothing was moved are the
    same answer more often.

    Raises
    ------
    MrisslError
        If there is none.
    """
    episodes = Episodes(dataset)
    found = []
    for number, entry in enumerate(episodes.entries):
        poses = [Pose.from_row(row) for row in episodes.table(number)["pose"]]
        for pose in poses:
            found.append(Shown(entry.identity, pose, clipped(relative_action(pose, poses[-1]))))
    if not found:
        raise MrisslError("no recorded flight", where="demonstrations", expected="one or more")
    return found
