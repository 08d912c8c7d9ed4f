"""A small oblique volume and a flight over it."""

import numpy as np
import pytest

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.trajectories import Dataset, Flight, flight_info
from napari_mrissl.volumes import Volume


@pytest.fixture
def volume():
    affine = np.array([[0.9, 0.1, 0, -10], [-0.1, 0.9, 0, 4], [0, 0, 2.5, 7], [0, 0, 0, 1]])
    voxels = np.arange(10 * 11 * 12, dtype=np.int16).reshape(10, 11, 12)
    return Volume.from_stored(voxels, affine, name="PATIENT-7 private")


@pytest.fixture
def poses(volume):
    rng = np.random.default_rng(0)
    walked = [Pose.from_normal_up(volume.center, (1, 2, 3), (0, 1, 0), 25.0)]
    for _ in range(29):
        walked.append(apply_action(walked[-1], rng.normal(scale=0.1, size=7)))
    return walked


@pytest.fixture
def flight(volume, poses):
    times = np.cumsum(np.random.default_rng(1).integers(0, 3, len(poses))) * 10_000_000
    return Flight(volume.identity, poses, times, flight_info(volume, policy="walk", seed=3))


class Clock:
    """Nanoseconds that pass only when told to."""

    def __init__(self):
        self.now = 1 << 40

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += round(seconds * 1e9)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def dataset(flight, tmp_path):
    """Three episodes of a flight, the last one shorter."""
    made = Dataset.create(tmp_path / "set", hertz=50)
    made.append(flight, task="look around")
    made.append(flight, task="find it", source="spline")
    made.append(Flight(flight.identity, flight.poses[:9], flight.times_ns[:9], flight.info))
    return made
