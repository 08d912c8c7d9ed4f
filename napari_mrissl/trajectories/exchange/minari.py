"""Export of flights as a Minari dataset: steps towards where each flight ended.

Written from the published layout (Minari 0.5, HDF5): a group an episode, one observation more
than there are steps, and spaces as JSON. Minari itself is not needed to write it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories.exchange.hdf5_file import new_hdf5
from napari_mrissl.trajectories.exchange.stretches import Stretch, Stretches
from napari_mrissl.volumes.atomic import write_text

MINARI_VERSION = "0.5.0"
DATASET_ID = "mrissl/flights-v0"
REWARD_MM, REWARD_DEGREES = 30.0, 30.0
"""So far from the end is worth a reward of one."""


def write(stretches: Stretches, partial: Path) -> None:
    """Fill the folder, which holds one Minari dataset.

    With ``MINARI_DATASETS_PATH`` set to the folder, ``mrissl/flights-v0`` is found in it.
    Observations are ``pixels`` (1, N, N) uint8 and ``pose`` (8) float64; a step is the action
    (7) to the next frame. What somebody flew to is where the flight ends: a step's reward is
    by how much it comes nearer to that plane, 30 mm and 30 degrees being one each, and the
    last step terminates. A stretch of one frame has no step, and is left out.

    Raises
    ------
    MrisslError
        If there is no step at all.
    """
    folder = partial / DATASET_ID / "data"
    folder.mkdir(parents=True)
    with new_hdf5(folder / "main_data.hdf5", track_order=True) as (file, check):
        flown: list[Stretch] = []
        for stretch in stretches:
            if len(stretch) > 1:
                group = file.create_group(f"episode_{len(flown)}")
                _write(group, stretches, stretch, len(flown), check)
                flown.append(stretch)
    if not flown:
        raise MrisslError("no flight has two frames", expected="a step at least")
    weight = (folder / "main_data.hdf5").stat().st_size
    told = json.dumps(_metadata(stretches, flown, weight), allow_nan=False)
    write_text(folder / "metadata.json", told)


def rewards_of(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much nearer to the last plane each step comes, (T - 1).

    Parameters
    ----------
    poses
        (T, 8) in the order of `POSE_COLUMNS`. Distances are those of the last centre from
        the plane of each.
    """
    flown = [Pose.from_row(row) for row in poses]
    end = flown[-1]
    away = np.array(
        [
            abs((end.center - pose.center) @ pose.normal) / REWARD_MM
            + _tilt_degrees(pose, end) / REWARD_DEGREES
            for pose in flown
        ]
    )
    nearer: NDArray[np.float64] = away[:-1] - away[1:]
    return nearer


def _tilt_degrees(pose: Pose, end: Pose) -> float:
    """Between normals without sign, 0 to 90."""
    across = np.linalg.norm(np.cross(pose.normal, end.normal))
    return float(np.degrees(np.arctan2(across, abs(pose.normal @ end.normal))))


def _write(
    group: Any, stretches: Stretches, stretch: Stretch, number: int, check: Callable[[], None]
) -> None:
    steps, size = len(stretch) - 1, stretches.size
    group.attrs["id"] = number
    group.attrs["total_steps"] = steps
    for name in ("identity", "task"):
        group.attrs[name] = stretch.made[name]
    seen = group.create_group("observations")
    pixels = seen.create_dataset(
        "pixels",
        (len(stretch), 1, size, size),
        np.uint8,
        chunks=(1, 1, size, size),
        compression="gzip",
    )
    first = 0
    for part in stretches.pictures(stretch):
        pixels[first : first + len(part)] = part[:, None]
        first += len(part)
        check()
    seen["pose"] = stretch.poses
    group["actions"] = stretch.actions[:-1].astype(np.float32)
    group["rewards"] = rewards_of(stretch.poses)
    group["terminations"] = np.arange(steps) == steps - 1
    group["truncations"] = np.zeros(steps, bool)
    # Minari takes it to be there when it shows an episode.
    group.create_group("infos")


def _metadata(stretches: Stretches, flown: Sequence[Stretch], weight: int) -> dict[str, Any]:
    size = stretches.size
    # With a channel of its own: what looks like a picture, some versions take for JPEG.
    pixels = _box("uint8", np.zeros((1, size, size), int), np.full((1, size, size), 255))
    pose = _box("float64", np.full(8, -np.inf), np.full(8, np.inf))
    action = _box("float32", np.full(7, -np.inf), np.full(7, np.inf))
    spaces = {"type": "Dict", "subspaces": {"pixels": pixels, "pose": pose}}
    return {
        "total_episodes": len(flown),
        "total_steps": sum(len(stretch) - 1 for stretch in flown),
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": json.dumps(spaces),
        "action_space": json.dumps(action),
        "dataset_id": DATASET_ID,
        "minari_version": MINARI_VERSION,
        "dataset_size": round(weight / 1e6, 1),
        "algorithm_name": "recorded flights",
        "description": "Flights of an oblique plane through MRI scans; the reward of a step is "
        "by how much it comes nearer to where the flight ended.",
        "requirements": [f"napari-mrissl>={__version__}"],
        "napari_mrissl": stretches.told()
        | {"volume_of_episode": [stretch.entry.identity for stretch in flown]},
    }


def _box(dtype: str, low: NDArray[Any], high: NDArray[Any]) -> dict[str, Any]:
    return {
        "type": "Box",
        "dtype": dtype,
        "shape": list(low.shape),
        "low": low.tolist(),
        "high": high.tolist(),
    }
