"""Small datasets with known content, over scans made here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import policies, render
from napari_mrissl.trajectories import Dataset, Recorder, flight_info, flight_of, remember
from napari_mrissl.trajectories.sampling import sample
from napari_mrissl.volumes import Volume, read


def scan_file(folder: Path, seed: int = 0) -> Path:
    """A textured ball in a slightly turned int16 NIfTI."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (30, 34, 26)), indexing="ij")
    ball = 800 / (1 + np.exp(9 * (x**2 + y**2 + z**2 - 0.6)))
    voxels = (ball + 60 * np.sin(7 * x + seed) + rng.normal(0, 5, x.shape)).astype(np.int16)
    affine = np.array([[1.1, 0.1, 0, -16], [-0.1, 1.0, 0, -17], [0, 0, 1.5, -19], [0, 0, 0, 1.0]])
    path = folder / f"scan{seed}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def remembered_scans(folder: Path) -> list[Volume]:
    """Two scans that this machine remembers."""
    found = []
    for seed in (0, 1):
        path = scan_file(folder, seed)
        found.append(read(path))
        remember(found[-1].identity, path)
    return found


def walk(volume: Volume, frames: int, seed: int) -> list[Pose]:
    """Poses of a walk through a volume."""
    return policies.generate(volume, "walk", frames, seed)


def dataset_over(folder: Path, volumes: Sequence[Volume], frames: Sequence[int]) -> Dataset:
    """Episodes of so many frames, over the volumes in turn; every other with a task."""
    dataset = Dataset.create(folder, hertz=20.0)
    for n, count in enumerate(frames):
        volume = volumes[n % len(volumes)]
        flight = flight_of(volume, walk(volume, count, n), 20.0, policy="walk", seed=n)
        dataset.append(flight, task=("find the ball", "")[n % 2])
    return dataset


def add_with_frames(dataset: Dataset, volume: Volume, poses: list[Pose], size: int) -> None:
    """An episode with its frames stored, and with all optional columns."""
    events = [(0, {"window": [1.0, 9.0]}), (0, {"layers": {"labels:1": True}})]
    for k, pose in enumerate(poses):
        t = round(k * 1e9 / dataset.hertz)
        events.append((t, {"pose": pose.to_row().tolist()}))
        events.append((t, {"cursor": [float(k), 2.0, 3.0] if k % 3 else None}))
        if k % 4 == 2:
            events.append((t, {"click": [float(k), 1.0, 2.0, 5]}))
    dataset.add(
        sample(sorted(events, key=lambda event: event[0]), dataset.hertz, idle_seconds=None),
        volume.identity,
        flight_info(volume),
        columns=frozenset(("cursor", "window", "clicks", "layers")),
        frame_size=size,
        pictures=lambda start, stop: render(volume, poses[start:stop], size).values,
    )


def rows(poses: Sequence[Pose]) -> np.ndarray:
    """Poses as rows of a table, (n, 8)."""
    return np.array([pose.to_row() for pose in poses])


def fly(recorder: Recorder, poses: Sequence[Pose], clock: Any, seconds: float = 0.05) -> None:
    """Give a recorder a pose every so many seconds of a clock that is told."""
    for pose in poses:
        recorder.pose(pose)
        clock.wait(seconds)
