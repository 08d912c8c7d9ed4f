"""A dataset over two scans, with an episode of one frame and one with a cut."""

import pytest
from flight_datasets import dataset_over, fly, remembered_scans, walk

from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import render
from napari_mrissl.slicing.pictures import gray
from napari_mrissl.trajectories import Dataset, Recorder
from napari_mrissl.trajectories.exchange.stretches import Stretches

SIZE = 20
FRAMES = (21, 7, 70, 1)


@pytest.fixture
def volumes(tmp_path):
    return remembered_scans(tmp_path)


@pytest.fixture
def dataset(volumes, clock, tmp_path):
    """Four policy's episodes of so many frames, and a recorded one with a cut after six."""
    dataset_over(tmp_path / "flights", volumes, FRAMES)
    recorder = Recorder(tmp_path / "flights", volumes[0], task="find the ball", clock=clock)
    poses = walk(volumes[0], 13, 9)
    fly(recorder, poses[:6], clock)
    recorder.pause()
    recorder.pose(poses[6])
    recorder.resume()
    fly(recorder, poses[6:], clock)
    assert recorder.commit().cuts == (5,)
    return Dataset.open(tmp_path / "flights")


@pytest.fixture
def stretches(dataset):
    """Poses (T, 8), actions (T, 7) and pictures (T, N, N) of all stretches, by our renderer."""
    found = list(Stretches(dataset, SIZE))
    assert [len(one) for one in found] == [21, 7, 70, 1, 6, 8]
    return found


def pictures(stretch, volumes):
    """Grey slices (T, N, N), rendered from the scan itself."""
    (volume,) = (one for one in volumes if one.identity == stretch.entry.identity)
    slices = render(volume, [Pose.from_row(row) for row in stretch.poses], SIZE)
    return gray(slices, volume.display_window())


@pytest.fixture
def expected(stretches, volumes):
    """Pictures (T, N, N) of all stretches."""
    return [pictures(one, volumes) for one in stretches]
